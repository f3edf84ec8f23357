"""Closeups of products, each with how round it is: drawn once, memory-mapped. What `models/roundness` learns from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.lib.format import open_memmap

from datapipe.worlds.clip import ASPECTS, GRIDS
from datapipe.worlds.render import render_layers
from datapipe.worlds.scene import sample_scene
from engine.media.closeup import SIDE, closeup
from trainer.chunks import build_chunks
from trainer.claim import alone, check_claim, claim

CHUNK = 64
FINER = 2  # times the motion model's grid: a closeup is as sharp as that of a photo then


@dataclass(frozen=True)
class CloseupsConfig:
    """Of `count` scenes, of all formats in turn; scene i has seed + i."""

    count: int = 24_000
    seed: int = 600_000_000
    processes: int = 2

    @property
    def described(self) -> dict[str, int]:
        """What its bytes depend on."""
        return {"count": self.count, "seed": self.seed}


def build_closeups(folder: Path, config: CloseupsConfig, deadline: float = math.inf) -> bool:
    """Draw what is missing: True when nothing is, False when the deadline came first. ValueError where others lie in
    `folder`.
    """
    claim(folder / "closeups.json", config.described, "set of closeups")
    with alone(folder, "draws closeups in"):
        (folder / "chunks").mkdir(parents=True, exist_ok=True)
        for name, (shape, dtype) in _shapes(config).items():
            if not (folder / f"{name}.npy").exists():
                open_memmap(folder / f"{name}.npy", mode="w+", dtype=dtype, shape=shape).flush()
        return build_chunks(_draw_chunk, _missing(folder, config), config.processes, "closeups", deadline)


def open_closeups(folder: Path, config: CloseupsConfig) -> tuple[np.ndarray, np.ndarray]:
    """[count, SIDE, SIDE, 4] uint8, rgb and mask, and [count] float32, roundness. ValueError where others lie there, or
    not all of them.
    """
    check_claim(folder / "closeups.json", config.described, "set of closeups")
    if missing := len(_missing(folder, config)):
        raise ValueError(f"The closeups in {folder} lack {missing} chunks. Run the stage `roundness` again.")
    closeups, round = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in _shapes(config))
    return closeups, round


def draw_closeup(seed: int, format: str) -> tuple[np.ndarray, float]:
    """The product of a scene from close, uint8 [SIDE, SIDE, 4], and its roundness."""
    scene = sample_scene(np.random.default_rng(seed), ASPECTS[format])
    height, width = GRIDS[format]
    layers = render_layers(scene, FINER * height, FINER * width)
    return closeup(layers.composite, layers.product_alpha), scene.product.bulge


def _shapes(config: CloseupsConfig) -> dict[str, tuple[tuple[int, ...], type]]:
    return {"closeups": ((config.count, SIDE, SIDE, 4), np.uint8), "round": ((config.count,), np.float32)}


def _missing(folder: Path, config: CloseupsConfig) -> list[tuple[Path, CloseupsConfig, int]]:
    """The chunks that are not marked as drawn."""
    return [(folder, config, i) for i in range(0, config.count, CHUNK) if not (folder / "chunks" / f"{i}").exists()]


def _draw_chunk(task: tuple[Path, CloseupsConfig, int]) -> None:
    folder, config, start = task
    cv2.setNumThreads(1)
    closeups, round = (np.load(folder / f"{name}.npy", mmap_mode="r+") for name in _shapes(config))
    formats = list(GRIDS)
    for i in range(start, min(start + CHUNK, config.count)):
        closeups[i], round[i] = draw_closeup(config.seed + i, formats[i % len(formats)])
    closeups.flush()
    round.flush()
    temporary = folder / "chunks" / f".{start}"
    temporary.touch()
    temporary.replace(folder / "chunks" / f"{start}")
