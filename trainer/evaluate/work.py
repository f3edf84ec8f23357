"""All films of one scene and their scores: the unit of work of a run, made in a process of its own."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch

from datapipe.worlds.clip import GRIDS
from engine.generate import Engine, Prepared
from engine.media.fields import MotionFields
from trainer.evaluate import flow, pictures, prompts
from trainer.evaluate.films import MOMENTS, Film, film, make_fields, prepare, random_weights, within_canvas
from trainer.evaluate.motion import Answers, MotionScores, score_motion
from trainer.evaluate.plan import Clip
from trainer.evaluate.prompts import Obedience
from trainer.evaluate.scenes import World, exact_clip, make_world

OURS, RANDOM, STILL, HOMOGRAPHY, EXACT = "ours", "random weights", "still frame", "best homography", "exact fields"
_OTHER_SEED = 1_000_003


@dataclass
class ClipScores:
    """What one scene gave, by film: `motion` and `revealed` have one entry per kind of film."""

    clip: Clip
    motion: dict[str, MotionScores] = field(default_factory=dict)
    revealed: dict[str, float] = field(default_factory=dict)  # PSNR in dB
    prompts: dict[str, Obedience | None] = field(default_factory=dict)
    changes: dict[str, float] = field(default_factory=dict)  # mean difference of consecutive frames, 0..255
    first_frame: float | None = None
    sharpness: float | None = None
    halo: float | None = None
    other_seed: float | None = None  # mean difference of the flows at the middle, pixels at 1080
    same_seed: float | None = None


@dataclass
class Worker:
    """Two engines, loaded once: the bundle's, and one whose DiT has random weights."""

    engine: Engine
    random: Engine | None = None
    frames: int | None = None  # fewer frames than the request's, for quick runs

    @classmethod
    def load(cls, bundle: Path | None, *, threads: int, frames: int | None = None) -> Worker:
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
        return cls(Engine.load(bundle), frames=frames)

    def score(self, clip: Clip, *, with_prompt: bool = True) -> ClipScores:
        """Make and score all films of a clip."""
        world = make_world(clip.index, clip.format, clip.short_side)
        answers, scores = Answers(world, clip.asked), ClipScores(clip)
        with tempfile.TemporaryDirectory(prefix="i2v-") as name:
            folder = Path(name)
            prepared = prepare(world, clip.request())
            fields = make_fields(self.engine, clip.request(), prepared)
            made = self._film(clip, prepared, fields, folder)
            films = {OURS: made.frames, **_baselines(world, answers)}
            scores.changes[OURS] = float(made.changes.mean())
            films |= self._controls(world, clip, prepared, folder)
            if "seeds" in clip.controls:
                self._compare_seeds(scores, clip, prepared, made, folder)
            self._score_films(scores, world, answers, films)
            self._score_pictures(scores, world, prepared, fields, made)
            if with_prompt:
                self._ask(scores, world, clip, folder)
        return scores

    def _film(self, clip: Clip, prepared: Prepared, fields: MotionFields, folder: Path) -> Film:
        request = clip.request()
        return film(prepared, fields, folder, fps=request.fps, frames=self.frames or request.frames)

    def _controls(self, world: World, clip: Clip, prepared: Prepared, folder: Path) -> dict[str, list[np.ndarray]]:
        films = {}
        if "random" in clip.controls:
            wild = make_fields(self.wild(), clip.request(), prepared)
            films[RANDOM] = self._film(clip, prepared, wild, folder).frames
        if "exact" in clip.controls:
            height, width = GRIDS[clip.format]
            perfect = within_canvas(exact_clip(world, clip.asked, (height // 2, width // 2)), prepared)
            films[EXACT] = self._film(clip, prepared, perfect, folder).frames
        return films

    def wild(self) -> Engine:
        """The one with random weights."""
        if self.random is None:
            self.random = Engine(self.engine.bundle)
            random_weights(self.random)
        return self.random

    def _compare_seeds(self, scores: ClipScores, clip: Clip, prepared: Prepared, made: Film, folder: Path) -> None:
        if clip.camera == "static":
            return
        others = [clip.index + _OTHER_SEED, clip.index]
        apart = []
        for seed in others:
            fields = make_fields(self.engine, clip.request(seed), prepared)
            apart.append(_apart(made, self._film(clip, prepared, fields, folder)))
        scores.other_seed, scores.same_seed = apart

    def _score_films(
        self, scores: ClipScores, world: World, answers: Answers, films: dict[str, list[np.ndarray]]
    ) -> None:
        revealed = pictures.revealed_pixels(world, answers)
        for kind, frames in films.items():
            scores.motion[kind] = score_motion(answers, frames)
            if revealed is not None:
                scores.revealed[kind] = pictures.psnr(frames[-1], revealed[1], revealed[0])

    def _score_pictures(
        self, scores: ClipScores, world: World, prepared: Prepared, fields: MotionFields, made: Film
    ) -> None:
        if not scores.clip.is_large:
            return
        scores.first_frame = pictures.first_frame_psnr(world, prepared, fields)
        scores.sharpness = pictures.sharpness(world, made.frames)
        if scores.clip.subject != "light-sweep":
            scores.halo = pictures.halo(world, fields, made.frames[-1])

    def _ask(self, scores: ClipScores, world: World, clip: Clip, folder: Path) -> None:
        scores.prompts[OURS] = prompts.ask(self.engine, world, clip, folder, self.frames)
        if self.frames is None:  # a quick run does not judge the judge
            scores.prompts[EXACT] = prompts.ask_exact(world, clip, folder)
        if "random" in clip.controls:
            scores.prompts[RANDOM] = prompts.ask(self.wild(), world, clip, folder, self.frames)


def _baselines(world: World, answers: Answers) -> dict[str, list[np.ndarray]]:
    """The photo held still, and the photo moved by the homography that comes nearest to the exact motion."""
    photo = world.photo[world.window]
    return {STILL: [photo] * 3, HOMOGRAPHY: [photo, *(by_homography(world, answers, u) for u in (0.5, 1.0))]}


def by_homography(world: World, answers: Answers, u: float) -> np.ndarray:
    """The photo, with all that lies around the frame, under a share `u` of the best homography."""
    (width, height), layers = world.size, world.layers
    factor = width / answers.width
    to_small = np.diag([1 / factor, 1 / factor, 1.0])
    part = np.eye(3) + u * (answers.homography - np.eye(3))
    shift = np.array([[1, 0, layers.pad_x], [0, 1, layers.pad_y], [0, 0, 1.0]])
    backward = shift @ np.linalg.inv(to_small) @ part @ to_small
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(world.photo, backward, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _apart(one: Film, other: Film) -> float:
    """Mean difference of two films' flows at the middle of the clip, in pixels at 1080."""
    flows = [
        flow.forward_flows([flow.small(frame) for frame in film.frames[: MOMENTS // 2 + 1]])[-1]
        for film in (one, other)
    ]
    return float(np.linalg.norm(flows[0] - flows[1], axis=-1).mean()) * 1080 / flow.SIDE
