"""A teacher's trajectories on disk: scenes of the worlds, what is asked of them, and the latents on the way to data.

Item i of kind k is the scene with seed + k * 10^7 + i, its noise too. An interrupted build goes on with the chunks
that are missing. Legend: N items of a kind, P kept points, C channels, T h w latents.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from rich.progress import track
from torch import Tensor

from engine.samplers import euler, shifted_times
from trainer.claim import alone, check_claim, claim
from trainer.recipes.distil import TrajectoriesConfig
from trainer.teachers import BETWEEN_KINDS, Inputs, Teacher, Wish, noise_of, sampled_by

CHUNK = 16  # items that are solved, and marked as solved, together


@dataclass(frozen=True)
class Trajectories:
    """Those of one kind: `given` [N, ...] and `wishes` as the teacher drew them, `points` [N, P + 1, C, T, h, w]."""

    given: np.ndarray
    points: np.ndarray
    wishes: list[Wish]


def build_trajectories(folder: Path, config: TrajectoriesConfig, teacher: Teacher, deadline: float = math.inf) -> bool:
    """Solve what is missing: True when nothing is, False when the deadline came first.

    ValueError where others lie in `folder`, or where the points do not divide the steps.
    """
    if config.points < 1 or config.steps % config.points:
        raise ValueError(f"{config.points} points cannot be kept evenly of {config.steps} steps: choose a divisor.")
    claim(folder / "trajectories.json", _described(config, teacher), "set of trajectories")
    with alone(folder, "solves trajectories in"):
        (folder / "chunks").mkdir(exist_ok=True)
        for kind, start in track(_missing(folder, config, teacher), "trajectories"):
            if time.monotonic() >= deadline:
                return False
            _solve_chunk(folder, config, teacher, kind, start)
    return True


def open_trajectories(folder: Path, config: TrajectoriesConfig, teacher: Teacher) -> dict[str, Trajectories]:
    """Those of all kinds. ValueError where there are none, others, or not all of them."""
    if not (folder / "trajectories.json").exists():
        raise ValueError(f"There are no trajectories in {folder}. Run the stage `trajectories` first.")
    check_claim(folder / "trajectories.json", _described(config, teacher), "set of trajectories")
    missing = len(_missing(folder, config, teacher))
    if missing:
        raise ValueError(
            f"The trajectories in {folder} lack {missing} chunks. Run the stage `trajectories` to its end."
        )
    found = {}
    for kind in teacher.kinds:
        given, points = (np.load(folder / f"{_name(kind)}-{part}.npy", mmap_mode="r") for part in ("given", "points"))
        chunks = sorted((folder / "chunks").glob(f"{_name(kind)}-*.json"))
        wishes = [wish for chunk in chunks for wish in json.loads(chunk.read_text())]
        found[kind] = Trajectories(given, points, wishes)
    return found


@torch.no_grad()
def solve(teacher: Teacher, inputs: Inputs, noise: Tensor, steps: int, points: int) -> Tensor:
    """The guided teacher's way from noise, [B, points + 1, C, T, h, w], evenly spread over its steps."""
    kept, every = [noise], steps // points
    velocity = sampled_by(teacher.model, inputs, teacher.guidance)
    for step, (x, _) in enumerate(euler(velocity, noise, shifted_times(steps, teacher.shift)), 1):
        if step % every == 0:
            kept.append(x)
    return torch.stack(kept, 1)


def draw_scenes(teacher: Teacher, kind: str, seeds: Sequence[int]) -> tuple[np.ndarray, list[Wish]]:
    """Scenes by seed, stacked, and what is asked of them."""
    drawn = [teacher.draw(kind, seed) for seed in seeds]
    return np.stack([given for given, _ in drawn]), [wish for _, wish in drawn]


def seeds_of(teacher: Teacher, kind: str, first: int, start: int, stop: int) -> range:
    """The seeds of items of a kind."""
    base = first + list(teacher.kinds).index(kind) * BETWEEN_KINDS
    return range(base + start, base + stop)


def _solve_chunk(folder: Path, config: TrajectoriesConfig, teacher: Teacher, kind: str, start: int) -> None:
    stop = min(start + CHUNK, config.items)
    seeds = seeds_of(teacher, kind, config.seed, start, stop)
    given, wishes = draw_scenes(teacher, kind, seeds)
    inputs = teacher.inputs(given, wishes, unasked=teacher.guidance != 1)
    noise = noise_of(teacher, kind, seeds)
    points = solve(teacher, inputs, noise, config.steps, config.points)
    for part, values in (("given", given), ("points", points.half().cpu().numpy())):
        path = folder / f"{_name(kind)}-{part}.npy"
        if not path.exists():
            open_memmap(path, mode="w+", dtype=values.dtype, shape=(config.items, *values.shape[1:])).flush()
        whole = np.load(path, mmap_mode="r+")
        whole[start:stop] = values
        whole.flush()
    temporary = folder / "chunks" / f".{_name(kind)}-{start:06d}.tmp"
    temporary.write_text(json.dumps(wishes))
    temporary.replace(_mark(folder, kind, start))


def _missing(folder: Path, config: TrajectoriesConfig, teacher: Teacher) -> list[tuple[str, int]]:
    """The chunks that are not marked as solved; all kinds grow together."""
    starts = range(0, config.items, CHUNK)
    return [(kind, i) for i in starts for kind in teacher.kinds if not _mark(folder, kind, i).exists()]


def _mark(folder: Path, kind: str, start: int) -> Path:
    return folder / "chunks" / f"{_name(kind)}-{start:06d}.json"


def _described(config: TrajectoriesConfig, teacher: Teacher) -> dict[str, object]:
    return {**config.described, **teacher.drawn, "base": teacher.bundle.digest, "part": teacher.part}


def _name(kind: str) -> str:
    return kind.replace(":", "x")
