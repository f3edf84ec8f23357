"""A pretrained pipeline behind our requests: load once, then prepare -> denoise -> fit -> write, as often as asked.

Legend: T frames, H W pixels, C colours.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.bundles import Bundle, BundleError, explained, read_bundle
from engine.cache.apply import summed
from engine.cache.bundled import BundledCache
from engine.clock import Clock, OnEvent
from engine.device import CPU, usable
from engine.events import PROMPT_CUT, Canceled, Notice, Stage
from engine.generate import Generated, IsCanceled
from engine.media.background import background_kind
from engine.media.framing import plan_framing
from engine.media.layers import build_layers
from engine.media.masks import read_mask
from engine.media.photo import open_photo
from engine.media.video import VideoWriter
from engine.parallel.mesh import Mesh
from engine.pretrained.arguments import Ask, Frames, arguments, is_cut, times_of, wan_text
from engine.pretrained.directory import read_directory
from engine.pretrained.families import Native
from engine.pretrained.fitting import Plan, fitted, middle, plan_native, surrounded, to_i420
from engine.pretrained.halves import refuse_cache, together
from engine.pretrained.loading import load_pipelines
from engine.pretrained.wan import Spread, refuse_mesh
from engine.requests import MAX_SEED, Camera, ImageToVideo, TextToVideo

# Denoising and the decoding behind it, which has no steps of its own, take nearly all of the time.
BEGINS: dict[Stage, float] = {"prepare": 0.0, "denoise": 0.01, "render": 0.95}


@dataclass
class PretrainedEngine:
    """The pipeline of one imported bundle, loaded once; `pipelines` holds a class a kind, all of the same weights."""

    bundle: Bundle
    native: Native
    pipelines: dict[str, Any] = field(repr=False)
    cache: BundledCache = field(repr=False)
    mesh: Mesh | None = field(default=None, repr=False)

    @classmethod
    def load(
        cls,
        bundle: Bundle | Path,
        *,
        device: torch.device | str = CPU,
        dtype: torch.dtype | None = None,
        cache: float = 0.0,
        mesh: Mesh | None = None,
    ) -> PretrainedEngine:
        """Read, verify and load a bundle. `dtype` of transformer and text: float32 on a CPU, else bfloat16; the VAE
        stays in float32 where its pipelines allow. BundleError says what is wrong with it, ValueError that there is no
        such device, or that this model does not know what is asked of it: before its weights are loaded.

        `cache` is the error budget of a diffusion cache, see `cache.bundled.BundledCache`. `mesh`: every rank of it
        loads the bundle so, asks for the same and gets the same.
        """
        device = usable(device)
        bundle = bundle if isinstance(bundle, Bundle) else read_bundle(bundle)
        directory = read_directory(bundle.path)
        usual = torch.float32 if device.type == "cpu" else torch.bfloat16
        with explained(bundle, "capabilities.native"):
            native = Native.read(bundle.capabilities.get("native"))
        found = BundledCache(bundle, cache, mesh)
        _refuse(directory.transformers, found, mesh)
        made = cls(bundle, native, load_pipelines(bundle, directory, device, dtype or usual), found, mesh)
        if mesh is not None:
            for model in made.denoisers:
                Spread(model, mesh)
        return made

    @property
    def denoisers(self) -> list[torch.nn.Module]:
        """The denoisers: one, or Wan 2.2's two, the second for low noise."""
        pipe = next(iter(self.pipelines.values()))
        found = (getattr(pipe, name, None) for name in ("transformer", "transformer_2"))
        return [model for model in found if model is not None]

    def close(self) -> None:
        """Nothing is held beyond this object."""

    def generate(
        self,
        request: ImageToVideo | TextToVideo,
        photo: Path | None,
        out: Path,
        *,
        mask: Path | None = None,
        on_event: OnEvent = lambda event: None,
        is_canceled: IsCanceled = lambda: False,
    ) -> Generated:
        """Make the video and write it to `out`, whole or not at all. `mask` only helps to frame the photo.

        Raises ValueError for what this model cannot make, MediaError for a photo that cannot be used, Canceled when
        `is_canceled` said so between two steps; all leave no file.
        """
        clock = Clock(on_event, BEGINS)
        clock.enter("prepare")
        seed = int(self._summed(secrets.randbelow(MAX_SEED))) % MAX_SEED if request.seed is None else request.seed
        plan = plan_native(self.native, request.format, request.size, request.frames, request.fps)
        notices = list(plan.notices)
        image = None
        if isinstance(request, ImageToVideo):
            if photo is None:
                raise ValueError("A video from a photo needs the photo.")
            image, framed = _framed(request, photo, mask, (plan.width, plan.height))
            notices += framed
        ask = self._ask(request, plan, seed, image)
        if is_cut(self._pipe(request.kind), ask.prompt):
            notices.append(PROMPT_CUT)
        for notice in notices:
            on_event(notice)
        clock.enter("denoise", ask.steps)
        made_THWC = self.sample(ask, kind=request.kind, on_step=clock.step, is_canceled=is_canceled)
        clock.enter("render", request.frames)
        _write(made_THWC, plan, request, out, clock, is_canceled)
        return self._report(request, ask, plan, notices, out, clock.finish())

    @torch.inference_mode()
    def sample(
        self,
        ask: Ask,
        kind: str,
        *,
        on_step: Callable[[int], None] = lambda done: None,
        is_canceled: IsCanceled = lambda: False,
    ) -> Frames:
        """The model's own frames, uint8 [T, H, W, 3]. Raises Canceled between two steps, ValueError for a kind or a
        condition that this model does not know."""
        pipe = self._pipe(kind)

        def after(pipe: Any, step: int, time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            if self._summed(is_canceled()):
                raise Canceled
            on_step(step + 1)
            return {}

        if self._summed(is_canceled()):
            raise Canceled
        given = arguments(pipe, ask)
        with self._together(pipe, ask, given):
            frames_THWC = pipe(**given, output_type="np", callback_on_step_end=after).frames[0]
        if not np.isfinite(frames_THWC).all():
            raise BundleError(
                f"The bundle {self.bundle.name} made frames that are no numbers. Its weights are damaged."
            )
        return np.rint(np.clip(frames_THWC, 0, 1) * 255).astype(np.uint8)

    def _pipe(self, kind: str) -> Any:
        if kind not in self.pipelines:
            known = ", ".join(self.pipelines)
            raise ValueError(f"The bundle {self.bundle.name} does not serve {kind}: it serves {known}.")
        return self.pipelines[kind]

    def _summed(self, number: int) -> float:
        """Over all ranks of the mesh: one seed for all, and no rank waits in an exchange for one that was canceled."""
        device = next(self.denoisers[0].parameters()).device
        return number if self.mesh is None else summed(torch.tensor(number, device=device))[0]

    @contextmanager
    def _together(self, pipe: Any, ask: Ask, given: dict[str, Any]) -> Iterator[None]:
        """Within, guidance's halves are one call, where cache or mesh want them so; `given` then holds the texts."""
        apart = self.mesh is not None and self.mesh.cfg.size > 1
        if not self.cache.calibration and not apart:
            yield
            return
        if ask.guidance <= 1:
            raise ValueError("Without guidance there are no two halves to cache or to share: ask for more than 1.")
        if "prompt" in given:
            given |= wan_text(pipe, given.pop("prompt"), given.pop("negative_prompt"), guided=True)
        if self.cache.calibration and ask.guidance != self.cache.calibration.guidance:
            raise ValueError(f"The cache was calibrated with a guidance of {self.cache.calibration.guidance:g}.")
        times = times_of(pipe, ask.steps)
        with together(self.denoisers, given["negative_prompt_embeds"], times[:-1], self.cache, self.mesh):
            yield

    def _ask(self, request: ImageToVideo | TextToVideo, plan: Plan, seed: int, image: np.ndarray | None) -> Ask:
        sampling = self.bundle.capabilities["sampling"]
        chosen = "steps" in request.model_fields_set  # the default is our own model's, too few for these
        return Ask(
            prompt=_prompt(request),
            width=plan.width,
            height=plan.height,
            frames=plan.frames,
            steps=request.steps if chosen else int(sampling["steps"]),
            guidance=float(sampling["guidance"]),
            seed=seed,
            image=image,
        )

    def _report(
        self,
        request: ImageToVideo | TextToVideo,
        ask: Ask,
        plan: Plan,
        notices: list[Notice],
        out: Path,
        timings: dict[str, float],
    ) -> Generated:
        """`settings`: the request with its seed and steps, which makes the same video again, and what was made."""
        width, height = request.size
        settings = request.model_dump(mode="json") | {"seed": ask.seed, "steps": ask.steps}
        settings["native"] = {"width": ask.width, "height": ask.height, "frames": ask.frames, "fps": plan.fps}
        settings["understood_prompt"] = ask.prompt
        if self.cache.saved:
            settings["cache"] = self.cache.saved
        return Generated(
            path=out,
            width=width,
            height=height,
            fps=request.fps,
            frames=request.frames,
            seconds=request.frames / request.fps,
            settings=settings,
            model=self.bundle.identity,
            notices=notices,
            timings=timings,
        )


def _refuse(transformers: list[str], cache: BundledCache, mesh: Mesh | None) -> None:
    """ValueError where transformers of these classes cannot be cached or spread so: before minutes of loading."""
    if mesh is not None:
        for one in transformers:
            refuse_mesh(one, mesh)
    if cache.calibration:
        refuse_cache(transformers)


def _framed(
    request: ImageToVideo, photo_path: Path, mask_path: Path | None, size: tuple[int, int]
) -> tuple[np.ndarray, list[Notice]]:
    """The photo as the model's first frame of `size`, framed as for our own model, and what the user should know of it.

    A model of one size, or of rough multiples, is not of the video's form: what is shown of its frame, the middle, is.
    """
    photo = open_photo(photo_path)
    mask = photo.alpha if mask_path is None else read_mask(mask_path, photo.size)
    framing = plan_framing(
        photo.size, mask, request.format, Camera(move="static"), background=background_kind(photo, mask)
    )
    shown = build_layers(photo, mask, framing, middle(size, *request.size)[2:]).window_photo()
    return surrounded(shown, size), list(framing.notices)


def _prompt(request: ImageToVideo | TextToVideo) -> str:
    """Chosen controls in words, as such a model is told of them in no other way; then the prompt, which may be cut."""
    said = []
    if isinstance(request, ImageToVideo):
        if request.camera.move != "auto":
            said.append(CAMERA_WORDS[request.camera.move])
        if request.subject.motion != "auto":
            said.append(SUBJECT_WORDS[request.subject.motion])
    said += [request.prompt.strip()] if request.prompt.strip() else []
    return " ".join(part if part.endswith((".", "!", "?")) else f"{part}." for part in said)


CAMERA_WORDS = {
    "static": "The camera does not move.",
    "pan-left": "The camera pans left.",
    "pan-right": "The camera pans right.",
    "tilt-up": "The camera tilts up.",
    "tilt-down": "The camera tilts down.",
    "dolly-in": "The camera moves closer.",
    "dolly-out": "The camera moves away.",
    "orbit-left": "The camera orbits to the left around the product.",
    "orbit-right": "The camera orbits to the right around the product.",
    "roll-left": "The camera rolls to the left.",
    "roll-right": "The camera rolls to the right.",
}
SUBJECT_WORDS = {
    "still": "The product stands still.",
    "float": "The product floats gently.",
    "turn": "The product turns slowly.",
    "light-sweep": "Light sweeps over the product.",
}


def _write(
    made_THWC: Frames,
    plan: Plan,
    request: ImageToVideo | TextToVideo,
    out: Path,
    clock: Clock,
    is_canceled: IsCanceled,
) -> None:
    width, height = request.size
    with VideoWriter(out, width, height, request.fps) as writer:
        for done, frame in enumerate(fitted(made_THWC, plan, request.size, request.frames), 1):
            if is_canceled():
                raise Canceled("The generation was canceled.")
            writer.write(to_i420(frame))
            clock.step(done)
