"""The bundles that can be evaluated, each asked in its own way, all answering with films of one form."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, get_args

import cv2
import numpy as np
import torch
from torch import Tensor

from datapipe.worlds.clip import ASPECTS, GRIDS, Fields, draw_picture, make_clips
from datapipe.worlds.film import film
from datapipe.worlds.motion import sample_motion
from datapipe.worlds.scene import sample_scene
from engine.bundles import Bundle, BundleError, read_bundle, steps_of
from engine.conditions import control_tensors, photo_tensor
from engine.generate import Engine
from engine.latent_video import LatentVideo, condition_of
from engine.media.compose import Compositor
from engine.requests import Format, ImageToVideo
from trainer.data import scene_seed
from trainer.evaluate.cases import HOMOGRAPHY, STILL, TIMES, Case, homography_film, make_cases, still_film
from trainer.evaluate.figures import Figure
from trainer.evaluate.films import make_fields, prepare
from trainer.evaluate.flow_loss import HeldOut
from trainer.evaluate.held_out import HeldOutFilms
from trainer.evaluate.scenes import FIRST_SEED, make_world
from trainer.evaluate.tasks import task_figures

HELD_OUT = FIRST_SEED + 1_000_000  # clips of the flow loss of bundles that learnt motion


class Maker(Protocol):
    """A loaded bundle. `side`: short side of its films here, in pixels; `formats` it is asked for."""

    bundle: Bundle
    side: int
    formats: tuple[Format, ...]
    how: str

    def film(self, case: Case, wishes: Case) -> np.ndarray:
        """The film [17, H, W, 3] of `case`'s photo that is asked what `wishes` asks; uint8, of the case's size."""

    def held_out(self, clips: int) -> HeldOut:
        """Clips that training never saw, as the transformer sees them."""

    def tasks(self, clips: int) -> list[Figure]:
        """How well it does each of its tasks, on that many unseen clips; empty where it has but one."""

    def training_scenes(self) -> list[tuple[int, float]]:
        """Seed and aspect of every scene that it was trained on; BundleError where it is not said."""


def load_maker(path: Path, dit: str = "single", steps: int | None = None) -> Maker:
    """The maker of a bundle, with its own number of denoising steps or another; BundleError for kinds that are not
    evaluated, ValueError for a transformer or steps that there cannot be.
    """
    if steps is not None and steps < 1:
        raise ValueError(f"A film is made in at least 1 step, not in {steps}.")
    bundle = read_bundle(path)
    if "motion_vae.json" in bundle.files:
        if dit != "single":
            raise ValueError(f"The bundle {bundle.name} moves a photo by a Single-DiT alone: leave out --dit {dit}.")
        return MotionMaker(bundle, steps)
    if "vae.json" in bundle.files:
        return LatentMaker(bundle, dit, steps)
    raise BundleError(
        f"The bundle {bundle.name} is not evaluated: image-to-video and latent video bundles of our own are, and an "
        f"imported model by `python -m engine bench`."
    )


class MotionMaker:
    """Bundles that move a photo: asked by their controls, without words."""

    side, formats = 360, get_args(Format)
    how = "asked by its camera and subject controls, rendered at 540 pixels, judged at 360"

    def __init__(self, bundle: Bundle, steps: int | None = None) -> None:
        self.bundle, self.engine = bundle, Engine(bundle)
        self.asked = {} if steps is None else {"steps": steps}

    def film(self, case: Case, wishes: Case) -> np.ndarray:
        clip = case.clip
        asked = wishes.clip.request(clip.index)
        request = asked.model_copy(update={"format": clip.format, "short_side": 540, **self.asked})
        prepared = prepare(make_world(clip.index, clip.format, 540), request)
        compositor = Compositor(prepared.layers, make_fields(self.engine, request, prepared))
        made = [compositor.frame(k / (TIMES - 1)) for k in range(TIMES)]
        return np.stack([cv2.resize(frame, case.world.size, interpolation=cv2.INTER_AREA) for frame in made])

    @torch.no_grad()
    def held_out(self, clips: int) -> HeldOut:
        vae, dit = self.engine.vae, self.engine.dit
        drawn = [make_clips(HELD_OUT + index, "1:1", 1) for index in range(clips)]
        pictures = [np.concatenate([one.rgb, one.mask[..., None]], -1) for one, _, _ in drawn]
        photo = photo_tensor(np.stack(pictures))
        fields = torch.stack([_fields(made) for _, _, [(_, made)] in drawn])
        reference = vae.reference(photo)

        def latents(fields: Tensor) -> Tensor:
            return vae.scale_latents(vae.encode(fields, reference)[0])

        motions = [motion for _, _, [(motion, _)] in drawn]
        rows = [(m.camera, m.camera_strength, m.subject, m.subject_strength) for m in motions]
        ids, strengths = control_tensors(rows)
        condition = self.engine.condition(photo, reference)
        token_ids, token_mask = self.engine.tokenizer([""] * clips)
        text = self.engine.text(token_ids, token_mask)

        def velocity(noisy: Tensor, time_B: Tensor, is_shuffled: bool) -> Tensor:
            order = torch.arange(clips).roll(1 if is_shuffled else 0)
            made = dit(noisy, time_B, text, token_mask, condition, ids[order], strengths[order])
            assert isinstance(made, Tensor)
            return made

        return HeldOut(latents(fields), velocity, {STILL: latents(torch.zeros_like(fields))})

    def tasks(self, clips: int) -> list[Figure]:
        return []  # it moves a photo, and that is measured on its films

    def training_scenes(self) -> list[tuple[int, float]]:
        found = _scenes(self.bundle, "bank")
        return [
            (scene_seed(found["seed"], format, i), ASPECTS[format]) for i in range(found["scenes"]) for format in GRIDS
        ]


class LatentMaker:
    """Bundles of latent video: shown the photo as the first frame, and told in words."""

    formats: tuple[Format, ...] = ("1:1",)

    def __init__(self, bundle: Bundle, dit: str, steps: int | None = None) -> None:
        self.bundle, self.video = bundle, LatentVideo(bundle, dit)
        self.side = int(bundle.capabilities["latents"].get("height", 64))
        self.steps = steps_of(bundle, ImageToVideo().steps) if steps is None else steps
        self.how = f"the {dit} transformer, shown the photo as first frame and told in words, at {self.side} pixels"

    def film(self, case: Case, wishes: Case) -> np.ndarray:
        known = np.ascontiguousarray(case.photo)[None]
        *_, (_, data) = self.video.denoise(
            wishes.prompt,
            known=known,
            frames=TIMES,
            height=self.side,
            width=self.side,
            steps=self.steps,
            seed=case.clip.index,
        )
        return self.video.decode(data)

    @torch.no_grad()
    def held_out(self, clips: int) -> HeldOut:
        planned = make_cases(clips, self.side, self.formats)
        films = [[make(case) for case in planned] for make in (lambda case: case.exact, still_film, homography_film)]
        data, of_still, of_flat = (torch.cat([self.video.encode(film) for film in every]) for every in films)
        known = torch.zeros(clips, 1, *data.shape[2:])
        known[:, :, :1] = 1
        dit = self.video.dit
        condition = condition_of(data, known, dit.config["condition_channels"] - data.shape[1])
        token_ids, token_mask = self.video.tokenizer([case.prompt for case in planned])
        text = self.video.text(token_ids, token_mask)

        def velocity(noisy: Tensor, time_B: Tensor, is_shuffled: bool) -> Tensor:
            order = torch.arange(clips).roll(1 if is_shuffled else 0)
            made = dit(noisy, time_B, text[order], token_mask[order], condition[order])
            assert isinstance(made, Tensor)
            return made

        return HeldOut(data, velocity, {STILL: of_still, HOMOGRAPHY: of_flat})

    def tasks(self, clips: int) -> list[Figure]:
        return task_figures(self.video, HeldOutFilms.draw(clips, self.side, self.side))

    def training_scenes(self) -> list[tuple[int, float]]:
        found = _scenes(self.bundle, "films")
        aspect = found.get("width", 1) / found.get("height", 1)
        return [(found["seed"] + i, aspect) for i in range(found["scenes"])]


def training_films(maker: Maker, scenes: int) -> tuple[list[np.ndarray], int]:
    """Films [17, H, W, 3] of the first scenes that the bundle was trained on, drawn again; and of how many."""
    drawn = maker.training_scenes()
    return [_film_of(*one, min(maker.side, 64)) for one in drawn[:scenes]], len(drawn)


def _film_of(seed: int, aspect: float, side: int) -> np.ndarray:
    """The first film of a scene, its short side `side` pixels."""
    height, width = round(side * max(1.0, 1 / aspect)), round(side * max(1.0, aspect))
    rng = np.random.default_rng(seed)
    scene = sample_scene(rng, aspect)  # of the very form that it was trained in: another one has other scenes
    _, layers = draw_picture(scene, height, width)
    return film(scene, layers, sample_motion(rng), height, width)


def _scenes(bundle: Bundle, name: str) -> dict[str, Any]:
    found: dict[str, Any] = bundle.provenance.get("config", {}).get(name, {})
    if not {"seed", "scenes"} <= set(found):
        raise BundleError(f"The bundle {bundle.name} does not say which scenes it was trained on.")
    return found


def _fields(made: Fields) -> Tensor:
    """Exact motion as a bank holds it: [5, T, h, w]."""
    parts = [*made.scene_flow.transpose(3, 0, 1, 2), *made.product_flow.transpose(3, 0, 1, 2), made.light]
    return torch.from_numpy(np.stack(parts)).float()
