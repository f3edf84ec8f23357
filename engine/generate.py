"""Photo and request in, finished video out: condition -> denoise -> decode -> render, readable top to bottom.

`Engine.load` once per process, then `generate` as often as asked. Legend: B batch of one, N requests, C channels,
T key times after the first, h w field grid, H W photo grid.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.bundles import SHIPPED, Bundle, BundleError, check_sees, read_bundle, sampling_of, steps_of
from engine.clock import Clock, OnEvent
from engine.conditions import dense_condition
from engine.denoise import Denoiser, Denoises, Row, Visit
from engine.describe import describe_motion
from engine.events import PROMPT_CUT, Notice
from engine.film import PREVIEW_EVERY, Film, Generated, IsCanceled, Prepared, Task
from engine.mask import Masker
from engine.media.asked_camera import Asked, Depths
from engine.media.background import background_kind
from engine.media.fields import MotionFields
from engine.media.framing import ASPECTS, plan_framing
from engine.media.framing_notices import softness
from engine.media.layers import build_layers, shrink
from engine.media.masks import read_mask
from engine.media.photo import Photo, open_photo
from engine.media.video import render_video
from engine.models.ernie import ErnieEncoder, PromptTokenizer
from engine.models.motion_vae import MotionVAE, Reference
from engine.models.relief import Relief
from engine.models.roundness import Roundness
from engine.models.single_dit import SingleDiT
from engine.recent import Recent
from engine.requests import MAX_SEED, ImageToVideo
from engine.seen import Seen, depths_of, picture_tensor, see, seen_fields
from engine.weights import check_parts, load_model

PHOTOS = 16  # as the models see them, that are kept: below half a MB each
Look = Callable[[], MotionFields]  # decodes what is denoised so far
FITTED_NOTICE = 0.97  # a motion that had to be made smaller than this share of what was announced is told


class Engine:
    """The models of one bundle, loaded once. `denoiser` may be one on many ranks: see `engine.runtime`.

    `cache`: the error budget of a diffusion cache, `strict`: see `denoise.Denoiser`; another denoiser has its own.
    """

    def __init__(
        self, bundle: Bundle, denoiser: Denoises | None = None, *, cache: float = 0.0, strict: bool = True
    ) -> None:
        if "image_to_video" not in bundle.kinds:
            raise BundleError(f"The bundle {bundle.name} does not make videos from photos.")
        check_sees(bundle)
        self.bundle, self.sampling = bundle, sampling_of(bundle)
        self.vae = load_model(bundle, MotionVAE, "motion_vae")
        self.relief = load_model(bundle, Relief, "relief")
        self.roundness = load_model(bundle, Roundness, "roundness")
        self.denoiser: Denoises = denoiser or Denoiser(bundle, cache=cache, strict=strict)
        if isinstance(self.denoiser, Denoiser):
            check_parts(bundle, self.vae, self.dit, self.text)
        self.masker = Masker(bundle)
        self.photos: Recent[str, Seen] = Recent(PHOTOS)

    @classmethod
    def load(cls, bundle: Path | None = None, *, cache: float = 0.0, strict: bool = True) -> Engine:
        """Read, verify and load a bundle (the shipped one by default). BundleError says what is wrong with it."""
        return cls(read_bundle(bundle or SHIPPED), cache=cache, strict=strict)

    @property
    def local(self) -> Denoiser:
        """The denoiser, where it is in this process."""
        assert isinstance(self.denoiser, Denoiser), "the denoiser is on other ranks"
        return self.denoiser

    @property
    def dit(self) -> SingleDiT:
        return self.local.dit

    @property
    def text(self) -> ErnieEncoder:
        return self.local.text

    @property
    def tokenizer(self) -> PromptTokenizer:
        return self.local.tokenizer

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
        film = self.begin(Task(self.settled(request), photo, out, mask, on_event, is_canceled))
        with closing(self.denoise(film.task.request, film.prepared, film.seed, film.task.go_on)) as steps:
            for step, fields in enumerate(steps, 1):
                film.show(step, fields)
        return self.finish(film)

    def settled(self, request: ImageToVideo) -> ImageToVideo:
        """The request with the bundle's own number of steps, where it leaves that open."""
        if "steps" in request.model_fields_set:
            return request
        return request.model_copy(update={"steps": steps_of(self.bundle, request.steps)})

    def begin(self, task: Task) -> Film:
        """The photo opened, framed and ready for denoising."""
        request, clock = task.request, Clock(task.on_event)
        seed = secrets.randbelow(MAX_SEED) if request.seed is None else request.seed
        clock.enter("prepare")
        prepared = self.prepare(request, task.photo, task.mask, task.go_on)
        for notice in prepared.notices:
            task.on_event(notice)
        clock.enter("denoise", request.steps)
        return Film(task, seed, clock, prepared, shrink(prepared.layers))

    def finish(self, film: Film) -> Generated:
        """The video of a denoised film."""
        task, prepared, clock = film.task, film.prepared, film.clock
        assert film.fields is not None
        made, fitted = prepared.fit(film.fields)
        told = [_fitted(fitted)] if fitted < FITTED_NOTICE else []
        if prepared.share_kept(made) < FITTED_NOTICE:
            told.append(_LEAVES)
        for notice in told:
            prepared.notices.append(notice)
            task.on_event(notice)
        prompt = task.request.prompt  # ranks answer before there is a file: one that dies leaves none
        said = self.understood(prompt) if prompt.strip() else {}
        clock.enter("render", task.request.frames)
        render_video(
            prepared.layers,
            made,
            task.out,
            fps=task.request.fps,
            frames=task.request.frames,
            on_frame=lambda done, total: clock.step(done),
            is_canceled=task.is_canceled,
        )
        return self._report(film, made, fitted, said)

    def prepare(
        self, request: ImageToVideo, photo_path: Path, mask_path: Path | None = None, visit: Visit = lambda: None
    ) -> Prepared:
        """Open and frame the photo; find the product where no mask is given. `visit` after each part that takes long
        with a large photo: it may raise Canceled.
        """
        visit()
        photo = open_photo(photo_path)
        visit()
        mask = self._mask(photo, mask_path)
        visit()
        framing = plan_framing(
            photo.size,
            mask,
            request.format,
            request.camera,
            background=background_kind(photo, mask),
            motion=request.subject,
        )
        camera = request.camera.model_copy(
            update={"strength": max(0.05, request.camera.strength * framing.strength_scale)}
        )
        layers = build_layers(photo, mask, framing, request.size)
        visit()
        notices = [*framing.notices, *softness(framing.window[2] - framing.window[0], request.size[0])]
        if self.denoiser.is_cut(request.prompt):
            notices.append(PROMPT_CUT)
        return Prepared(layers, framing, picture_tensor(layers, request.format), camera, notices)

    def denoise(
        self, request: ImageToVideo, prepared: Prepared, seed: int, visit: Visit = lambda: None
    ) -> Generator[MotionFields | None, None, None]:
        """After each step the fields as the model sees them then, where they are looked at: for a preview, and at the
        end. None after the other steps.
        """
        with closing(self.denoise_together([(request, prepared, seed)], visit)) as steps:
            for looks in steps:
                yield looks[0]() if looks else None

    @torch.inference_mode()
    def denoise_together(
        self, asked: Sequence[tuple[ImageToVideo, Prepared, int]], visit: Visit = lambda: None
    ) -> Generator[list[Look], None, None]:
        """`denoise` for several requests of one format and number of steps in one batch: what makes the fields of each,
        so that those of one which are no numbers (ValueError) leave the others alone; empty for None.
        """
        seen = [self._see(prepared.picture_BCHW) for _, prepared, _ in asked]
        depths = [depths_of(one.layers, photo, self.roundness) for (_, one, _), photo in zip(asked, seen, strict=True)]
        rows = [_row(*one, photo) for one, photo in zip(asked, seen, strict=True)]
        meant = [self._meant(request, prepared) for request, prepared, _ in asked]  # ranks answer before they denoise
        steps = self.settled(asked[0][0]).steps
        with closing(self.denoiser.denoise(rows, steps, visit)) as denoised:
            for step, data_NCTHW in enumerate(denoised, 1):
                is_shown = step == steps or step % PREVIEW_EVERY == 0
                made = zip(asked, meant, data_NCTHW, seen, depths, strict=True)
                yield [partial(self._fields, *one[:2], *rest) for one, *rest in made] if is_shown else []

    @torch.inference_mode()
    def row(self, request: ImageToVideo, prepared: Prepared, seed: int) -> Row:
        """What the denoiser is asked for one request."""
        return _row(request, prepared, seed, self._see(prepared.picture_BCHW))

    def _see(self, picture_BCHW: Tensor) -> Seen:
        """The photo for the models, kept by what they see of it."""
        pixels = picture_BCHW.numpy()
        key = f"{pixels.shape} {hashlib.sha256(pixels.tobytes()).hexdigest()}"
        return self.photos.get(key, lambda: see(picture_BCHW, self.vae, self.relief))

    def condition(self, picture_BCHW: Tensor, reference: Reference) -> Tensor:
        """What the transformer reads of photos and masks beside the noise: see `dense_condition`."""
        return dense_condition(picture_BCHW, reference, self.relief(picture_BCHW))

    def _fields(
        self, request: ImageToVideo, prepared: Prepared, meant: Asked, data_CTHW: Tensor, seen: Seen, depths: Depths
    ) -> MotionFields:
        return seen_fields(self.vae, request, meant, prepared.picture_BCHW, data_CTHW, seen, depths)

    def _meant(self, request: ImageToVideo, prepared: Prepared) -> Asked:
        """What controls ask for, and where they are left open the prompt."""
        asked = Asked(*_controls(request, prepared))
        is_open = "auto" in (asked.camera, asked.subject)
        said = self.understood(request.prompt) if is_open and request.prompt.strip() else {}
        if asked.camera == "auto" and "camera" in said:
            asked = replace(asked, camera=said["camera"], camera_strength=None)
        if asked.subject == "auto" and said.get("subject", "turn") != "turn":  # nothing says how far it turns
            asked = replace(asked, subject=said["subject"])
        return asked

    def _mask(self, photo: Photo, mask_path: Path | None) -> np.ndarray:
        if mask_path is not None:
            return read_mask(mask_path, photo.size)
        return photo.alpha if photo.alpha is not None else self.masker.mask(photo.rgb)

    def understood(self, prompt: str) -> dict[str, str]:
        """What the prompt says of camera and subject: the control of the nearest meaning, where it says anything."""
        return self.denoiser.understood(prompt)

    def close(self) -> None:
        """End the ranks of the denoiser, where it has any."""
        self.denoiser.close()

    def _report(self, film: Film, fields: MotionFields, fitted: float, said: dict[str, str]) -> Generated:
        """`settings`: the request with its seed, which makes the same video again, and beside it what came of it."""
        request, prepared = film.task.request, film.prepared
        width, height = request.size
        settings = request.model_dump(mode="json") | {"seed": film.seed}
        free = {"camera": request.camera.move == "auto", "subject": request.subject.motion == "auto"}
        # The model reads no strength where it chooses the move itself, and a camera that stands still has none.
        unsaid = free["camera"] or request.camera.move == "static"
        settings["applied_strength"] = None if unsaid else round(prepared.camera.strength * fitted, 4)
        settings["understood"] = {name: choice for name, choice in said.items() if free[name]}
        settings["decided_by"] = {name: _decided_by(is_free, said.get(name)) for name, is_free in free.items()}
        settings["measured"] = describe_motion(fields, prepared.picture_BCHW[0, 3].numpy(), ASPECTS[request.format])
        settings["window"] = [round(v, 2) for v in prepared.framing.window]
        if self.denoiser.saved:
            settings["cache"] = self.denoiser.saved
        return Generated(
            path=film.task.out,
            width=width,
            height=height,
            fps=request.fps,
            frames=request.frames,
            seconds=request.frames / request.fps,
            settings=settings,
            model=self.bundle.identity,
            notices=prepared.notices,
            timings=film.clock.finish(),
        )


def _row(request: ImageToVideo, prepared: Prepared, seed: int, seen: Seen) -> Row:
    return Row(request.prompt, _controls(request, prepared), seen.condition_CTHW, seed)


def _controls(request: ImageToVideo, prepared: Prepared) -> tuple[str, float, str, float]:
    camera, subject = prepared.camera, request.subject
    return camera.move, camera.strength, subject.motion, subject.strength


def _decided_by(is_free: bool, understood: str | None) -> str:
    """Who chose a motion: an explicit control always wins over the prompt."""
    if not is_free:
        return "control"
    return "prompt" if understood else "model"


def _fitted(factor: float) -> Notice:
    return Notice(
        "motion_fitted",
        "The motion would have shown what lies beyond the photo, or taken the product out of the picture: it was made "
        f"{round(factor * 100)} % as large.",
    )


_LEAVES = Notice(
    "product_leaves",
    "At least half of the motion is always left, and that takes the product past the edge of the picture. Choose a "
    "weaker motion, or another format.",
)
