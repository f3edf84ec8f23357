"""What a bundle is asked in an evaluation, what is exact about it, and the films that are no model's: the baselines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from datapipe.worlds import captions
from datapipe.worlds.film import film as exact_film
from datapipe.worlds.film import shown_words
from engine.requests import Format
from trainer.evaluate.motion import Answers
from trainer.evaluate.plan import Clip, plan_clips
from trainer.evaluate.scenes import World, make_world
from trainer.evaluate.work import HOMOGRAPHY, OURS, STILL, by_homography

TIMES = 17  # frames of a film, evenly over it
SHUFFLED, NONE, MEAN, EXACT = "shuffled condition", "no condition", "mean video", "exact film"
BASELINES = (STILL, HOMOGRAPHY, SHUFFLED, NONE, MEAN)
KINDS = (OURS, *BASELINES, EXACT)


@dataclass(frozen=True)
class Case:
    """A held-out scene and what is asked of it. `exact`: the film that a perfect model would make."""

    clip: Clip
    world: World
    answers: Answers
    exact: np.ndarray  # uint8 [T, H, W, 3]
    prompt: str

    @property
    def photo(self) -> np.ndarray:
        return self.world.photo[self.world.window]

    @property
    def mask(self) -> np.ndarray:
        return np.ascontiguousarray(self.world.mask[self.world.window])


def make_cases(count: int, side: int, formats: tuple[Format, ...]) -> list[Case]:
    """The first `count` held-out scenes, the same for every bundle; every camera move about equally often."""
    return [make_case(clip, side, formats) for clip in plan_clips(count, large=False)]


def make_case(clip: Clip, side: int, formats: tuple[Format, ...]) -> Case:
    clip = clip if clip.format in formats else replace(clip, format=formats[clip.index % len(formats)])
    world = make_world(clip.index, clip.format, side)
    width, height = world.size
    exact = exact_film(world.scene, world.layers, clip.asked, height, width, TIMES)
    rng = np.random.default_rng(5_000_000 + clip.index)
    words = shown_words(world.scene, exact[0])
    said = [
        captions.whole_scene_phrase(words, rng),
        captions.camera_phrase(clip.asked, rng),
        captions.subject_phrase(clip.asked, words["product"], rng),
        captions.backdrop_phrase(words["backdrop"], rng),
    ]
    return Case(clip, world, Answers(world, clip.asked), exact, captions.compose(said, rng))


def shuffled(cases: list[Case]) -> list[Case]:
    """To each case the next one's wishes: what a model makes that does not hear what it is asked."""
    return [cases[(index + 1) % len(cases)] for index in range(len(cases))]


def baseline_films(cases: list[Case], case: Case) -> Iterator[tuple[str, np.ndarray]]:
    """The films that no model made. The best homography knows the exact flow; the mean is that of the other scenes."""
    width, height = case.world.size
    yield STILL, still_film(case)
    yield HOMOGRAPHY, homography_film(case)
    others = [other.exact for other in cases if other is not case]
    resized = [np.stack([cv2.resize(frame, (width, height)) for frame in film]).astype(np.float32) for film in others]
    yield MEAN, np.asarray(np.round(np.mean(resized, 0)), np.uint8)
    yield EXACT, case.exact


def still_film(case: Case) -> np.ndarray:
    return np.repeat(case.photo[None], TIMES, 0)


def homography_film(case: Case) -> np.ndarray:
    """The photo moved by the homography that comes nearest to the exact flow, in even steps."""
    moved = [by_homography(case.world, case.answers, k / (TIMES - 1)) for k in range(1, TIMES)]
    return np.stack([case.photo, *moved])
