"""What is distilled or preferred: a bundle's transformer, and what it reads beside the noisy latents.

Two kinds: bundles that move a photo (Motion VAE) and bundles of latent video. Scenes to ask them about come from the
worlds, by seed. Legend: B rows, C channels, T h w latents, M text tokens, K controls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from datapipe.worlds.clip import ASPECTS, draw_picture, exact_fields, sample_controls
from datapipe.worlds.film import caption, make_films, shown_words
from datapipe.worlds.motion import Motion, sample_motion
from datapipe.worlds.scene import sample_scene
from engine.bundles import Bundle, read_bundle
from engine.conditions import GRIDS, LATENT_TIMES, control_tensors, photo_tensor
from engine.denoise import FREE
from engine.device import CPU, device_of
from engine.generate import Engine
from engine.latent_video import SPACE, TIME, LatentVideo
from engine.models.video_dit import VideoDiT
from engine.samplers import guided
from trainer.objectives import rectified_flow, video_flow
from trainer.objectives.rectified_flow import channel_weights
from trainer.objectives.video_flow import DROP_TEXT, sample_tasks

BETWEEN_KINDS = 10_000_000  # seeds
# The share of scenes whose photo is all that is given, neither controls nor words, as a user asks who changes nothing.
# `sample_controls` draws it of three scenes in a thousand: too few for a student to know the request.
NOTHING_SAID = 0.12
Wish = dict[str, Any]  # what is asked of one scene, as JSON keeps it


@dataclass(frozen=True)
class Inputs:
    """What a transformer reads beside noisy latents and times, a row a sample."""

    condition_BCThw: Tensor
    text_BMC: Tensor
    text_mask_BM: Tensor
    ids_BK: Tensor | None = None
    strengths_BK: Tensor | None = None

    def __len__(self) -> int:
        return len(self.condition_BCThw)

    def rows(self, start: int, stop: int) -> Inputs:
        return Inputs(*(None if part is None else part[start:stop] for part in self._parts()))  # type: ignore[arg-type]

    def to(self, device: torch.device) -> Inputs:
        return Inputs(*(None if part is None else part.to(device) for part in self._parts()))  # type: ignore[arg-type]

    def _parts(self) -> list[Tensor | None]:
        return [getattr(self, field.name) for field in fields(self)]


class Teacher(Protocol):
    """A loaded bundle of our own, frozen. Its transformer is on the device that it was loaded for, and so are `weights`
    and what it reads; the small parts around it stay on the CPU.

    `kinds`: the shape [C, T, h, w] of the latents of every kind of scene (a format, a size). `least`: the fewest steps
    that it may be asked for. `weights`: how much the latents' channels count, broadcast over [C, T, h, w], mean 1.
    `times`: shift and spread of the times that such transformers learn at. `drawn`: what `draw` depends on beside the
    seed: trajectories of scenes that were drawn otherwise are others.
    """

    bundle: Bundle
    part: str
    model: VideoDiT
    guidance: float
    shift: float
    temperature: float
    kinds: dict[str, tuple[int, int, int, int]]
    least: int
    weights: Tensor
    times: tuple[float, float]
    drawn: dict[str, float]

    def draw(self, kind: str, seed: int) -> tuple[np.ndarray, Wish]:
        """A scene of the worlds as it is kept (of one shape and type a kind), and what is asked of it."""

    def inputs(self, given: np.ndarray, wishes: Sequence[Wish], *, unasked: bool = False) -> Inputs:
        """What the transformer reads: asked rows and, with `unasked`, as many to which nothing is said."""

    def seen(self, latents_BCThw: Tensor, given: np.ndarray) -> np.ndarray:
        """What a viewer would see of latents, a row a sample; `apart` says how far two such rows are apart."""

    def apart(self, one: np.ndarray, other: np.ndarray) -> float: ...

    @property
    def unit(self) -> str: ...


def load_teacher(path: str, dit: str = "single", device: torch.device = CPU) -> Teacher:
    """ValueError where no bundle is named, or one that is not ours, or has no such transformer."""
    if not path:
        raise ValueError("Say which bundle is meant: --set base=FOLDER.")
    bundle = read_bundle(Path(path))
    if "motion_vae.json" in bundle.files:
        if dit != "single":
            raise ValueError(f"{bundle.name} moves a photo, by its Single-DiT alone: leave out dit={dit}.")
        return MotionTeacher(bundle, device)
    if "vae.json" in bundle.files:
        return LatentTeacher(bundle, dit, device)
    raise ValueError(f"The bundle {bundle.name} is neither one that moves a photo nor one of latent video of our own.")


class MotionTeacher:
    """Bundles that move a photo: given the photo with its mask, asked by controls and words."""

    part, least = "single_dit", 4
    times = (rectified_flow.TIME_SHIFT, rectified_flow.TIME_SPREAD)
    drawn = {"nothing_said": NOTHING_SAID}

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        self.bundle, self.engine = bundle, Engine(bundle)
        self.model: VideoDiT = self.engine.dit
        cast(nn.Module, self.model).to(device)
        self.guidance, self.shift, self.temperature = _sampling(self.engine.sampling)
        channels = self.model.config["in_channels"]
        self.kinds = {kind: (channels, LATENT_TIMES, h // 8, w // 8) for kind, (h, w) in GRIDS.items()}
        self.weights = channel_weights(self.engine.vae).detach().to(device)

    def draw(self, kind: str, seed: int) -> tuple[np.ndarray, Wish]:
        rng = np.random.default_rng(seed)
        scene = sample_scene(rng, ASPECTS[kind])
        picture, _ = draw_picture(scene, *GRIDS[kind])
        asked = sample_controls(sample_motion(rng), scene.words, rng)
        given = np.concatenate([picture.rgb, picture.mask[..., None]], -1)
        if rng.random() < NOTHING_SAID:
            return given, {"prompt": "", "controls": list(FREE)}
        return given, {"prompt": asked.prompt, "controls": list(astuple(asked)[:4])}

    @torch.no_grad()
    def inputs(self, given: np.ndarray, wishes: Sequence[Wish], *, unasked: bool = False) -> Inputs:
        photo = photo_tensor(given)
        condition = self.engine.condition(photo, self.engine.vae.reference(photo))
        controls = [tuple(wish["controls"]) for wish in wishes]
        if unasked:
            controls += [FREE] * len(wishes)
            condition = torch.cat([condition, condition])
        text, mask = _read(self.engine, wishes, unasked)
        return Inputs(condition, text, mask, *control_tensors(controls)).to(device_of(self.model))

    def exact(self, kind: str, seed: int) -> tuple[Motion, np.ndarray]:
        """The motion of the scene that `draw` draws, and its exact fields as `seen` gives them, [5, T, h, w]."""
        rng = np.random.default_rng(seed)
        scene = sample_scene(rng, ASPECTS[kind])
        height, width = GRIDS[kind]
        _, layers = draw_picture(scene, height, width)
        motion = sample_motion(rng)
        made = exact_fields(scene, layers, motion, height // 2, width // 2)
        parts = [*made.scene_flow.transpose(3, 0, 1, 2), *made.product_flow.transpose(3, 0, 1, 2), made.light]
        return motion, np.stack(parts)

    @torch.no_grad()
    def seen(self, latents_BCThw: Tensor, given: np.ndarray) -> np.ndarray:
        """Motion fields [B, 5, T, h, w]: scene's and product's flow in fractions of the frame, light."""
        vae, latents = self.engine.vae, latents_BCThw.cpu()
        made: np.ndarray = vae.decode(vae.unscale_latents(latents), vae.reference(photo_tensor(given))).numpy()
        return made

    unit = "% of the frame"

    def apart(self, one: np.ndarray, other: np.ndarray) -> float:
        """Mean distance of where scene and product are at the end."""
        off = (one - other)[:4, -1].reshape(2, 2, -1)
        return 100 * float(np.linalg.norm(off, axis=1).mean())


class LatentTeacher:
    """Bundles of latent video: told in words, and given what is known of a film."""

    times = (video_flow.TIME_SHIFT, video_flow.TIME_SPREAD)
    least = 1
    drawn: dict[str, float] = {}

    def __init__(self, bundle: Bundle, dit: str, device: torch.device) -> None:
        self.bundle, self.part = bundle, f"{dit}_dit"
        self.video = LatentVideo(bundle, dit)
        self.model = self.video.dit
        cast(nn.Module, self.model).to(device)
        self.guidance, self.shift, self.temperature = _sampling(self.video.sampling)
        native = bundle.capabilities["latents"]
        self.frames, self.height, self.width = (
            int(native.get(key, usual)) for key, usual in (("frames", 17), ("height", 64), ("width", 64))
        )
        grid = 1 + (self.frames - 1) // TIME, self.height // SPACE, self.width // SPACE
        self.kinds = {f"{self.width}x{self.height}": (self.model.config["in_channels"], *grid)}
        self.weights = torch.ones(1, 1, 1, 1, device=device)

    def draw(self, kind: str, seed: int) -> tuple[np.ndarray, Wish]:
        """Given is the condition [C + mask, T, h, w], float16: what a task of the training knows of the film."""
        scene, [(motion, film)] = make_films(seed, self.height, self.width, 1)
        rng = np.random.default_rng((seed, 1))
        prompt, [task] = caption(motion, shown_words(scene, film[0]), rng)[0], sample_tasks(1, rng)
        known = {"text_to_video": 0, "image_to_video": 1, "continuation": 1 + TIME, "inpainting": self.frames}[task]
        hidden = _box(rng, self.height, self.width) if task == "inpainting" else None
        shape = self.kinds[kind][1:]
        condition = self.video.condition(film[:known] if known else None, hidden, shape)
        wish = {"prompt": "" if rng.random() < DROP_TEXT else prompt, "task": task}
        return condition[0].half().numpy(), wish

    @torch.no_grad()
    def inputs(self, given: np.ndarray, wishes: Sequence[Wish], *, unasked: bool = False) -> Inputs:
        condition = torch.from_numpy(np.ascontiguousarray(given)).float()
        text, mask = _read(self.video, wishes, unasked)
        read = Inputs(torch.cat([condition, condition]) if unasked else condition, text, mask)
        return read.to(device_of(self.model))

    def seen(self, latents_BCThw: Tensor, given: np.ndarray) -> np.ndarray:
        """Films [B, frames, H, W, 3] uint8."""
        return np.stack([self.video.decode(row[None]) for row in latents_BCThw.cpu()])

    unit = "of 255"

    def apart(self, one: np.ndarray, other: np.ndarray) -> float:
        """Mean absolute difference of the frames."""
        return float(np.abs(one.astype(np.float32) - other).mean())


def velocity_of(model: VideoDiT, x_BCThw: Tensor, time_B: Tensor, inputs: Inputs) -> Tensor:
    """The transformer's velocity, in float32."""
    controls = () if inputs.ids_BK is None else (inputs.ids_BK, inputs.strengths_BK)
    made = model(x_BCThw, time_B, inputs.text_BMC, inputs.text_mask_BM, inputs.condition_BCThw, *controls)
    assert isinstance(made, Tensor)
    return made.float()


def sampled_by(model: VideoDiT, inputs: Inputs, scale: float = 1.0) -> Callable[[Tensor, Tensor], Tensor]:
    """A velocity for `engine.samplers`, at a guidance scale; other than 1 it needs the unasked rows too."""

    def velocity(x_BCThw: Tensor, time: Tensor) -> Tensor:
        time = time.to(x_BCThw.device)
        if scale == 1:
            return velocity_of(model, x_BCThw, time.expand(len(x_BCThw)), inputs)
        made = velocity_of(model, torch.cat([x_BCThw, x_BCThw]), time.expand(len(inputs)), inputs)
        asked, unasked = made.chunk(2)
        return guided(asked, unasked, scale)

    return velocity


def noise_of(teacher: Teacher, kind: str, seeds: Sequence[int]) -> Tensor:
    """Noise [B, C, T, h, w]: of each seed what the engine draws of it, as warm as the bundle has it."""
    shape = teacher.kinds[kind]
    drawn = [torch.randn(1, *shape, generator=torch.Generator().manual_seed(seed))[0] for seed in seeds]
    return (teacher.temperature * torch.stack(drawn)).to(device_of(teacher.model))


def _sampling(found: dict[str, float]) -> tuple[float, float, float]:
    return found["guidance"], found["shift"], found["temperature"]


def _read(of: Engine | LatentVideo, wishes: Sequence[Wish], unasked: bool) -> tuple[Tensor, Tensor]:
    ids, mask = of.tokenizer([wish["prompt"] for wish in wishes] + [""] * (len(wishes) if unasked else 0))
    return of.text(ids, mask), mask


def _box(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A hidden box of a half to three quarters a side."""
    hidden = np.zeros((height, width), bool)
    tall, wide = (int(rng.integers(n // 2, 3 * n // 4 + 1)) for n in (height, width))
    top, left = int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1))
    hidden[top : top + tall, left : left + wide] = True
    return hidden
