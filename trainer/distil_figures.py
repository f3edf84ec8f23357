"""Students beside their teacher on held-out scenes: how far from what it makes of the same noise in many steps.

Also the teacher at the student's steps, with guidance and at as many passes without, and what another noise makes: a
student that is no nearer than these has learnt nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr
from torch import Tensor

from engine.bundles import steps_of
from engine.models.video_dit import VideoDiT
from engine.requests import ImageToVideo
from engine.samplers import euler, shifted_times
from trainer.recipes.distil import DistilConfig
from trainer.run import Run
from trainer.teachers import MotionTeacher, Teacher, noise_of, sampled_by
from trainer.trajectories import draw_scenes, seeds_of

COMPARISON = "comparison.json"  # within a run's folder
HELD_OUT = 950_000_000  # seed of the first scene: training never draws scenes from 900,000,000 on
OTHER_NOISE = 1_000_003
TOGETHER = 16  # scenes in a batch
LEAST = 0.1  # of the exact travel: less does not count as a move, as in `trainer.evaluate`


@dataclass(frozen=True)
class Way:
    """How films are made: by which transformer, at which guidance and steps, from which noise."""

    name: str
    model: VideoDiT
    scale: float
    steps: int
    other_noise: bool = False

    @property
    def passes(self) -> int:
        """Rows of the transformer that one film costs."""
        return self.steps * (1 if self.scale == 1 else 2)


@dataclass
class Found:
    """One line of the comparison; means over the scenes, `error` their standard errors.

    `latents`: distance to the reference, as a share of its size; `seen`: as `Teacher.apart` has it; `camera`: share of
    explicit camera moves that go the asked way by a tenth of the exact travel at least, read from the motion fields;
    `strength`: rank correlation of asked and made strength. The last two are of bundles that move a photo.
    """

    name: str
    steps: int
    passes: int
    latents: float
    latents_error: float
    seen: float
    seen_error: float
    camera: float | None = None
    strength: float | None = None
    moves: int = 0


def compare_students(config: DistilConfig, folder: Path, teacher: Teacher, runs: Mapping[str, Run]) -> None:
    """Measure, print, and write `comparison.json` of the run's folder."""
    students = {stage: cast(VideoDiT, run.modules[teacher.part]) for stage, run in runs.items()}
    found = measure(teacher, ways_of(config, teacher, students), config)
    sizes = {"scenes": config.compared, "reference_steps": config.reference_steps}
    about = {**sizes, "trained": {stage: run.step for stage, run in runs.items()}, "unit": teacher.unit}
    temporary = (folder / COMPARISON).with_suffix(".tmp")
    temporary.write_text(json.dumps({**about, "rows": [asdict(row) for row in found]}, indent=1) + "\n")
    temporary.replace(folder / COMPARISON)
    Console(width=max(140, Console().width)).print(table_of(found, teacher.unit, config.compared))


def read_comparison(folder: Path) -> dict[str, Any] | None:
    """What was measured of a run's students, where it was."""
    path = folder / COMPARISON
    found: dict[str, Any] | None = json.loads(path.read_text()) if path.exists() else None
    return found


def comparison_of(config: DistilConfig, folder: Path, runs: Mapping[str, Run]) -> dict[str, Any] | None:
    """What was measured, where it is of the asked sizes and of these runs as far as they are trained now."""
    found = read_comparison(folder)
    if found is None or (found["scenes"], found["reference_steps"]) != (config.compared, config.reference_steps):
        return None
    trained = found.get("trained", {})  # an earlier version did not note it
    return found if all(trained.get(stage) == run.step for stage, run in runs.items()) else None


def markdown_of(measured: dict[str, Any]) -> str:
    """The comparison for a model card."""
    lines = [
        f"Distance to what the teacher makes of the same noise in {measured['reference_steps']} steps, "
        f"{measured['scenes']} held-out scenes:\n",
        f"| | steps | passes | latents | seen, {measured['unit']} |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['name']} | {row['steps']} | {row['passes']} | {row['latents']:.3f} | {row['seen']:.2f} |"
        for row in measured["rows"]
    ]
    return "\n".join(lines)


def ways_of(config: DistilConfig, teacher: Teacher, students: dict[str, VideoDiT]) -> list[Way]:
    """The reference first."""
    usual, few, scale = steps_of(teacher.bundle, ImageToVideo().steps), config.steps, teacher.guidance
    return [
        Way("teacher, the reference", teacher.model, scale, config.reference_steps),
        Way("teacher, its own number", teacher.model, scale, usual),
        Way("teacher, the student's number", teacher.model, scale, few),
        Way("teacher, as many passes, no guidance", teacher.model, 1.0, few),
        Way("student without guidance", students["guidance"], 1.0, usual),
        Way("student without guidance, fewer", students["guidance"], 1.0, few),
        Way("student of few steps", students["few_steps"], 1.0, few),
        Way("teacher, another noise", teacher.model, scale, usual, other_noise=True),
    ]


@torch.no_grad()
def measure(teacher: Teacher, ways: list[Way], config: DistilConfig) -> list[Found]:
    """One line for each way; the first is the reference."""
    scores = [_Scores() for _ in ways]
    kinds = list(teacher.kinds)
    for number, kind in enumerate(kinds):
        count = len(range(number, config.compared, len(kinds)))
        for start in range(0, count, TOGETHER):
            seeds = seeds_of(teacher, kind, HELD_OUT, start, min(start + TOGETHER, count))
            _measure_scenes(teacher, kind, seeds, ways, scores)
    return [score.found(way) for way, score in zip(ways, scores, strict=True)]


class _Scores:
    """What one way has scored so far, scene by scene."""

    def __init__(self) -> None:
        self.latents: list[float] = []
        self.seen: list[float] = []
        self.travel: list[tuple[float, float]] = []  # asked strength, made travel as a share of the exact one

    def found(self, way: Way) -> Found:
        made = Found(way.name, way.steps, way.passes, *_mean(self.latents), *_mean(self.seen))
        if self.travel:
            asked, share = np.array(self.travel).T
            made.camera, made.moves = 100 * float((share > LEAST).mean()), len(share)
            made.strength = float(spearmanr(asked, asked * share).statistic) if len(share) > 2 else None
        return made


def _measure_scenes(teacher: Teacher, kind: str, seeds: range, ways: list[Way], scores: list[_Scores]) -> None:
    given, wishes = draw_scenes(teacher, kind, seeds)
    both = teacher.inputs(given, wishes, unasked=True)
    asked = both.rows(0, len(wishes))
    exact = (
        {row: teacher.exact(kind, seed) for row, seed in enumerate(seeds)} if isinstance(teacher, MotionTeacher) else {}
    )
    reference: Tensor | None = None
    for way, score in zip(ways, scores, strict=True):
        shift = OTHER_NOISE if way.other_noise else 0
        noise = noise_of(teacher, kind, [seed + shift for seed in seeds])
        velocity = sampled_by(way.model, asked if way.scale == 1 else both, way.scale)
        *_, (_, data) = euler(velocity, noise, shifted_times(way.steps, teacher.shift))
        seen = teacher.seen(data, given)
        if reference is None:
            reference, reference_seen = data, seen
        off = (data - reference).flatten(1).norm(dim=1) / reference.flatten(1).norm(dim=1)
        score.latents += off.tolist()
        score.seen += [teacher.apart(*pair) for pair in zip(seen, reference_seen, strict=True)]
        for row, (motion, fields) in exact.items():
            if wishes[row]["controls"][0] not in ("auto", "static"):
                score.travel.append((motion.camera_strength, _along(seen[row], fields)))


def _along(made: np.ndarray, exact: np.ndarray) -> float:
    """How far the scene goes at the end along its exact path, as a share of it."""
    one, other = made[:2, -1].ravel().astype(float), exact[:2, -1].ravel().astype(float)
    return float(one @ other / max(other @ other, 1e-12))


def _mean(values: list[float]) -> tuple[float, float]:
    """Mean and standard error."""
    spread = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return float(np.mean(values)), float(spread)


def table_of(found: list[Found], unit: str, scenes: int) -> Table:
    """The comparison as it is printed."""
    moves = f"camera goes the asked way ({found[0].moves} moves)"
    columns = ["", "steps", "passes", "off the reference's latents", f"seen, {unit}"]
    made = Table(*columns, moves, "asked against made strength", title=f"{scenes} held-out scenes, mean and its error")
    for row in found:
        camera = "" if row.camera is None else f"{row.camera:.0f} %"
        strength = "" if row.strength is None else f"{row.strength:.2f}"
        off = f"{row.latents:.3f} ± {row.latents_error:.3f}"
        made.add_row(
            row.name, str(row.steps), str(row.passes), off, f"{row.seen:.2f} ± {row.seen_error:.2f}", camera, strength
        )
    return made
