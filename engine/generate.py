"""Photo and request in, finished video out: condition -> denoise -> decode -> render, readable top to bottom.

`Engine.load` once per process, then `generate` as often as asked. Legend: B batch (1, or 2 with guidance), C channels,
T key times after the first, h w field grid, H W photo grid.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from engine.bundles import SHIPPED, Bundle, BundleError, read_bundle, sampling_of
from engine.clock import Clock, OnEvent
from engine.conditions import CAMERA_IDS, GRIDS, KEYS, SUBJECT_IDS, control_tensors, dense_condition
from engine.describe import describe_motion
from engine.events import Canceled, Notice, Preview
from engine.mask import Masker
from engine.media.colour import to_rgb
from engine.media.compose import preview_jpeg
from engine.media.fields import MotionFields, fit_to_canvas
from engine.media.framing import Framing, background_kind, plan_framing
from engine.media.layers import Layers, build_layers, shrink
from engine.media.photo import Photo, open_photo
from engine.media.video import render_video
from engine.models.ernie import ErnieEncoder
from engine.models.motion_vae import MotionVAE, Reference
from engine.models.single_dit import SingleDiT
from engine.requests import MAX_SEED, Camera, ImageToVideo
from engine.samplers import euler, guided, shifted_times
from engine.weights import check_parts, load_model, load_tokenizer

IsCanceled = Callable[[], bool]
PREVIEW_EVERY = 3  # denoising steps
USUAL_STRENGTH = 0.6  # of the meanings that a prompt is compared with; the one that the text encoder was taught at
FITTED_NOTICE = 0.97  # a motion that had to be made smaller than this share of what was announced is told


@dataclass(frozen=True)
class Generated:
    """A finished video, and all that is needed to make it again."""

    path: Path
    width: int
    height: int
    fps: int
    frames: int
    seconds: float
    settings: dict[str, Any]
    model: dict[str, str]
    notices: list[Notice] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    """A photo taken apart for one request."""

    layers: Layers
    framing: Framing
    picture_BCHW: Tensor  # rgb in [-1, 1] and mask in [0, 1], on the model's grid
    camera: Camera  # as the framing allows it
    notices: list[Notice]

    def fit(self, fields: MotionFields) -> tuple[MotionFields, float]:
        """The model's fields within the canvas, and the factor that this took beyond what the framing announced.

        A camera that is left to the model has no strength to be asked for less: there the path itself is shortened.
        """
        if self.camera.move == "auto" and self.framing.strength_scale < 1:
            fields = fields.scaled(self.framing.strength_scale)
        return fit_to_canvas(fields, self.framing)


class Engine:
    """The models of one bundle, loaded once."""

    def __init__(self, bundle: Bundle) -> None:
        if "image_to_video" not in bundle.kinds:
            raise BundleError(f"The bundle {bundle.name} does not make videos from photos.")
        self.bundle, self.sampling = bundle, sampling_of(bundle)
        self.vae = load_model(bundle, MotionVAE, "motion_vae")
        self.dit = load_model(bundle, SingleDiT, "single_dit")
        self.text = load_model(bundle, ErnieEncoder, "text")
        self.tokenizer = load_tokenizer(bundle, self.text)
        check_parts(bundle, self.vae, self.dit, self.text)
        self.masker = Masker(bundle)

    @classmethod
    def load(cls, bundle: Path | None = None) -> Engine:
        """Read, verify and load a bundle (the shipped one by default). BundleError says what is wrong with it."""
        return cls(read_bundle(bundle or SHIPPED))

    def generate(
        self,
        request: ImageToVideo,
        photo: Path,
        out: Path,
        *,
        mask: Path | None = None,
        on_event: OnEvent = lambda event: None,
        is_canceled: IsCanceled = lambda: False,
    ) -> Generated:
        """Make the video and write it to `out`, whole or not at all.

        Raises MediaError for a photo that cannot be used, Canceled when `is_canceled` said so; both leave no file.
        """
        clock = Clock(on_event)
        seed = secrets.randbelow(MAX_SEED) if request.seed is None else request.seed
        clock.enter("prepare")
        prepared = self.prepare(request, photo, mask)
        for notice in prepared.notices:
            on_event(notice)
        clock.enter("denoise", request.steps)
        small = shrink(prepared.layers)
        fields = None
        for step, fields in enumerate(self.denoise(request, prepared, seed), 1):
            clock.step(step)
            if is_canceled():
                raise Canceled
            if step % PREVIEW_EVERY == 0 and step < request.steps:
                shown, _ = prepared.fit(fields)
                on_event(Preview(preview_jpeg(small, shown, step / request.steps), step))
        assert fields is not None
        made, fitted = prepared.fit(fields)
        if fitted < FITTED_NOTICE:
            prepared.notices.append(_fitted(fitted))
            on_event(prepared.notices[-1])
        clock.enter("render", request.frames)
        render_video(
            prepared.layers,
            made,
            out,
            fps=request.fps,
            frames=request.frames,
            on_frame=lambda done, total: clock.step(done),
            is_canceled=is_canceled,
        )
        return self._report(request, prepared, made, seed, fitted, out, clock.finish())

    def prepare(self, request: ImageToVideo, photo_path: Path, mask_path: Path | None = None) -> Prepared:
        """Open and frame the photo; find the product where no mask is given."""
        photo = open_photo(photo_path)
        mask = self._mask(photo, mask_path)
        framing = plan_framing(
            photo.size, mask, request.format, request.camera, background=background_kind(photo, mask)
        )
        camera = request.camera.model_copy(
            update={"strength": max(0.05, request.camera.strength * framing.strength_scale)}
        )
        layers = build_layers(photo, mask, framing, request.size)
        notices = list(framing.notices)
        if self.tokenizer.is_cut(request.prompt):
            notices.append(
                Notice("prompt_cut", "The prompt is long: only its beginning is read. Put the motion you want first.")
            )
        return Prepared(layers, framing, picture_tensor(layers, request.format), camera, notices)

    @torch.inference_mode()
    def denoise(self, request: ImageToVideo, prepared: Prepared, seed: int) -> Iterator[MotionFields]:
        """After each step the fields as the model sees them then; the last are the result."""
        reference = self.vae.reference(prepared.picture_BCHW)
        plate = self._plate(reference)
        velocity = self._velocity(request, prepared, dense_condition(prepared.picture_BCHW, reference))
        height, width = GRIDS[request.format]
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(
            1, self.dit.config.in_channels, (KEYS - 1) // 4, height // 8, width // 8, generator=generator
        )
        times = shifted_times(request.steps, self.sampling["shift"])
        for _, data in euler(velocity, noise, times):
            fields_BCThw = self.vae.decode(self.vae.unscale_latents(data), reference)
            yield _motion_fields(fields_BCThw[0].numpy(), plate)

    def _velocity(
        self, request: ImageToVideo, prepared: Prepared, condition_BCTHW: Tensor
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """The guided velocity of this request: asked and unasked rows in one batch."""
        scale = self.sampling["guidance"]
        asked = (prepared.camera.move, prepared.camera.strength, request.subject.motion, request.subject.strength)
        ids_BK, strengths_BK = control_tensors([asked, ("auto", 0.0, "auto", 0.0)])
        token_ids, token_mask = self.tokenizer([request.prompt, ""])
        text_BMC = self.text(token_ids, token_mask)
        condition_BCTHW = condition_BCTHW.expand(2, -1, -1, -1, -1)

        def velocity(x: Tensor, time: Tensor) -> Tensor:
            both = self.dit(
                x.expand(2, -1, -1, -1, -1), time.expand(2), text_BMC, token_mask, condition_BCTHW, ids_BK, strengths_BK
            )
            return guided(both[:1], both[1:], scale)

        return velocity

    def _plate(self, reference: Reference) -> np.ndarray:
        plate = self.vae.plate(reference)[0].permute(1, 2, 0).numpy()
        return np.clip((plate + 1) / 2, 0, 1)

    def _mask(self, photo: Photo, mask_path: Path | None) -> np.ndarray:
        if mask_path is not None:
            return read_mask(mask_path, photo.size)
        return photo.alpha if photo.alpha is not None else self.masker.mask(photo.rgb)

    @torch.inference_mode()
    def understood(self, prompt: str) -> dict[str, str]:
        """What the prompt says of camera and subject: the control of the nearest meaning, where it says anything."""
        token_ids, token_mask = self.tokenizer([prompt])
        said_KD = self.dit.said(self.text(token_ids, token_mask), token_mask)[0].float()
        found = {}
        for k, (name, choices) in enumerate((("camera", CAMERA_IDS), ("subject", SUBJECT_IDS))):
            nearest = int((self.dit.classes(k, USUAL_STRENGTH) - said_KD[k]).square().sum(-1).argmin())
            if nearest:  # the first is the free one: nothing said
                found[name] = choices[nearest]
        return found

    def _report(
        self,
        request: ImageToVideo,
        prepared: Prepared,
        fields: MotionFields,
        seed: int,
        fitted: float,
        out: Path,
        timings: dict[str, float],
    ) -> Generated:
        """`settings`: the request with its seed, which makes the same video again, and beside it what came of it."""
        width, height = request.size
        settings = request.model_dump(mode="json") | {"seed": seed}
        settings["applied_strength"] = round(prepared.camera.strength * fitted, 4)
        free = {"camera": request.camera.move == "auto", "subject": request.subject.motion == "auto"}
        said = self.understood(request.prompt) if request.prompt.strip() else {}
        settings["understood"] = {name: choice for name, choice in said.items() if free[name]}
        settings["decided_by"] = {name: _decided_by(is_free, said.get(name)) for name, is_free in free.items()}
        settings["measured"] = describe_motion(fields, prepared.picture_BCHW[0, 3].numpy())
        settings["window"] = [round(v, 2) for v in prepared.framing.window]
        return Generated(
            path=out,
            width=width,
            height=height,
            fps=request.fps,
            frames=request.frames,
            seconds=request.frames / request.fps,
            settings=settings,
            model=self.bundle.identity,
            notices=prepared.notices,
            timings=timings,
        )


def picture_tensor(layers: Layers, format: str) -> Tensor:
    """What the models see of the window: [1, 4, H, W], rgb in [-1, 1] and mask in [0, 1]."""
    (width, height), (x0, y0) = layers.size, (round(layers.origin[0]), round(layers.origin[1]))
    grid_height, grid_width = GRIDS[format]
    window = np.s_[y0 : y0 + height, x0 : x0 + width]
    rgb = cv2.resize(
        to_rgb(np.ascontiguousarray(layers.photo[window])), (grid_width, grid_height), interpolation=cv2.INTER_AREA
    )
    alpha = cv2.resize(layers.alpha[window], (grid_width, grid_height), interpolation=cv2.INTER_AREA)
    picture = np.concatenate([rgb, alpha[..., None]], -1).astype(np.float32) / 255
    picture[..., :3] = picture[..., :3] * 2 - 1
    return torch.from_numpy(picture).permute(2, 0, 1)[None].contiguous()


def read_mask(path: Path, size: tuple[int, int]) -> np.ndarray:
    """A mask picture as uint8 [H, W] of `size` (width, height): its alpha where it has one, else its brightness."""
    picture = open_photo(path)
    mask = picture.alpha if picture.alpha is not None else cv2.cvtColor(picture.rgb, cv2.COLOR_RGB2GRAY)
    return mask if picture.size == size else cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR)


def _motion_fields(fields_CThw: np.ndarray, plate: np.ndarray) -> MotionFields:
    """The model's fields with the first key, where nothing has moved yet."""
    first = np.zeros_like(fields_CThw[:, :1])
    every = np.concatenate([first, fields_CThw], 1)
    return MotionFields(
        scene_flow=every[0:2].transpose(1, 2, 3, 0),
        product_flow=every[2:4].transpose(1, 2, 3, 0),
        light=np.clip(every[4], -1, 1),
        plate=plate,
    )


def _decided_by(is_free: bool, understood: str | None) -> str:
    """Who chose a motion: an explicit control always wins over the prompt."""
    if not is_free:
        return "control"
    return "prompt" if understood else "model"


def _fitted(factor: float) -> Notice:
    return Notice(
        "motion_fitted",
        f"The motion would have shown what lies beyond the photo: it was made {round(factor * 100)} % as large.",
    )
