"""Films that no training set holds, with what they show in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datapipe.worlds.film import caption, make_films, shown_words

HELD_OUT = 930_000_000  # seed of the first scene: none of it is in a training set


@dataclass(frozen=True)
class HeldOutFilms:
    """Frames [B, 17, H, W, 3] uint8, and what they show in words."""

    frames: np.ndarray
    prompts: list[str]

    @classmethod
    def draw(cls, count: int, height: int = 64, width: int = 64, first: int = 0) -> HeldOutFilms:
        frames, prompts = [], []
        for seed in range(HELD_OUT + first, HELD_OUT + first + count):
            scene, [(motion, made)] = make_films(seed, height, width, 1)
            frames.append(made)
            prompts.append(caption(motion, shown_words(scene, made[0]), np.random.default_rng(seed))[0])
        return cls(np.stack(frames), prompts)
