"""The distil run, stage by stage: the teacher's trajectories, a student without guidance, one of few steps, figures.

Every stage keeps what it made in the run's folder; a run that is started again goes on where it stopped.
"""

from __future__ import annotations

import copy
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.bundles import Bundle
from engine.device import CPU, device_of
from engine.models.video_dit import VideoDiT
from engine.samplers import shifted_times
from trainer.bundling import check_folders, check_trained, provenance_of
from trainer.checks import check_loops
from trainer.data import batch_indices, check_batches
from trainer.derived import Change, changed_card, write_derived
from trainer.distil_figures import compare_students, comparison_of, markdown_of
from trainer.draws import Draws
from trainer.loop import LoopConfig, LossValue, Run, train
from trainer.objectives.distillation import few_steps_loss, guidance_loss
from trainer.ranks import by_first
from trainer.recipes.distil import DistilConfig
from trainer.teachers import Inputs, Teacher, load_teacher
from trainer.trajectories import Trajectories, build_trajectories, open_trajectories
from trainer.validation import check_unmeasured

STAGES = ("trajectories", "guidance", "few_steps", "comparison")


def run_distil(
    config: DistilConfig,
    folder: Path,
    stages: tuple[str, ...] = STAGES,
    minutes: float | None = None,
    device: torch.device = CPU,
) -> bool:
    """Run the stages; True when all of them are finished. ValueError says what is missing or wrong."""
    deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes
    loops = {"guidance": config.guidance, "few_steps": config.few_steps}
    check_unmeasured(loops, stages)
    check_loops(loops, stages, folder)
    teacher = load_teacher(config.base, config.dit, device)
    check_sizes(config, teacher)
    makers = {
        "trajectories": make_trajectories,
        "guidance": train_guidance,
        "few_steps": train_few_steps,
        "comparison": make_comparison,
    }
    return all(makers[stage](config, folder, teacher, deadline) for stage in STAGES if stage in stages)


def check_sizes(config: DistilConfig, teacher: Teacher) -> None:
    """ValueError where a student of so many steps cannot be made, or not be asked, or too few trajectories are solved
    for its batches: before any is, since those of other settings are not gone on with.
    """
    points, items = config.trajectories.points, config.trajectories.items
    check_batches({"guidance": (config.guidance.batch, items), "few_steps": (config.few_steps.batch, items)}, STAGES)
    if config.steps < 1 or points % config.steps:
        raise ValueError(f"A student's {config.steps} steps cannot skip evenly over {points} points: choose a divisor.")
    if config.steps < teacher.least:
        raise ValueError(f"{teacher.bundle.name} is asked for {teacher.least} steps at least, not {config.steps}.")


def make_trajectories(config: DistilConfig, folder: Path, teacher: Teacher, deadline: float = math.inf) -> bool:
    return by_first(lambda: build_trajectories(folder / "trajectories", config.trajectories, teacher, deadline))


def train_guidance(config: DistilConfig, folder: Path, teacher: Teacher, deadline: float = math.inf) -> bool:
    run = guidance_run(config, folder, teacher)
    if run.finished:
        return True
    data = _Batches(config, folder, teacher, config.guidance, config.seed)
    dit = _dit(run, teacher)

    def loss(step: int, draws: Draws) -> LossValue:
        points, inputs = data.batch(step, draws)
        places = torch.rand(data.loop.batch, generator=draws)[draws.slice] * config.trajectories.points
        return guidance_loss(dit, points, data.times, inputs, places.to(run.device), teacher.weights)

    return train(run, loss, deadline=deadline)


def train_few_steps(config: DistilConfig, folder: Path, teacher: Teacher, deadline: float = math.inf) -> bool:
    run = few_steps_run(config, folder, teacher)
    if run.finished:
        return True
    data = _Batches(config, folder, teacher, config.few_steps, config.seed + 1)
    dit, every = _dit(run, teacher), config.trajectories.points // config.steps

    def loss(step: int, draws: Draws) -> LossValue:
        points, inputs = data.batch(step, draws)
        which = int(torch.randint(config.steps, (1,), generator=draws))
        return few_steps_loss(dit, points[:, ::every], data.times[::every], inputs, which, teacher.weights)

    return train(run, loss, deadline=deadline)


def guidance_run(config: DistilConfig, folder: Path, teacher: Teacher) -> Run:
    """The student that needs no guidance: it begins as the teacher."""
    return _student_run(folder / "guidance", teacher, teacher.model, config.guidance, _learnt_from(config, teacher))


def few_steps_run(config: DistilConfig, folder: Path, teacher: Teacher) -> Run:
    """The student of few steps: it begins as the finished one without guidance."""
    before = guidance_run(config, folder, teacher)
    if not before.finished:
        raise ValueError(
            f"A student of few steps begins as one without guidance; {before.folder} has {before.step} of "
            f"{before.config.steps} steps. Run the stage `guidance` to its end first."
        )
    before.use_average()
    data = {**_learnt_from(config, teacher), "guidance_steps": before.step, "steps": config.steps}
    return _student_run(folder / "few_steps", teacher, _dit(before, teacher), config.few_steps, data)


def _student_run(home: Path, teacher: Teacher, begins: VideoDiT, loop: LoopConfig, data: dict[str, Any]) -> Run:
    student = copy.deepcopy(begins).requires_grad_(True)
    return Run(home, {teacher.part: student}, loop, data)


def _learnt_from(config: DistilConfig, teacher: Teacher) -> dict[str, Any]:
    return {"seed": config.seed, "base": teacher.bundle.digest, "trajectories": config.trajectories.described}


def _dit(run: Run, teacher: Teacher) -> VideoDiT:
    dit = run.modules[teacher.part]
    assert isinstance(dit, VideoDiT)
    return dit


class _Batches:
    """Batches of trajectories of one kind each, by step; `times` [P + 1] of their points."""

    def __init__(self, config: DistilConfig, folder: Path, teacher: Teacher, loop: LoopConfig, seed: int) -> None:
        self.teacher, self.loop, self.seed = teacher, loop, seed
        self.found = open_trajectories(folder / "trajectories", config.trajectories, teacher)
        self.sizes = {kind: len(some.wishes) for kind, some in self.found.items()}
        self.device = device_of(teacher.model)
        self.times = shifted_times(config.trajectories.points, teacher.shift).to(self.device)

    def batch(self, step: int, draws: Draws) -> tuple[Tensor, Inputs]:
        """This rank's rows: points [B, P + 1, C, T, h, w], and what was asked."""
        kind, items = batch_indices(self.seed, step, self.sizes, self.loop.batch)
        some: Trajectories = self.found[kind]
        mine = items[draws.slice]
        inputs = self.teacher.inputs(some.given[mine], [some.wishes[item] for item in mine])
        return torch.from_numpy(np.asarray(some.points[mine])).float().to(self.device), inputs


def make_comparison(config: DistilConfig, folder: Path, teacher: Teacher, deadline: float = math.inf) -> bool:
    """Measure both students as they are beside the teacher on held-out scenes; True when it is done."""
    runs = students_of(config, folder, teacher)
    check_trained(folder, runs, {}, unfinished=False)

    def make() -> bool:
        if comparison_of(config, folder, runs):
            return True
        if time.monotonic() >= deadline:
            return False
        for run in runs.values():
            run.use_average()
        compare_students(config, folder, teacher, runs)
        return True

    return by_first(make)


def students_of(config: DistilConfig, folder: Path, teacher: Teacher) -> dict[str, Run]:
    """The runs of both students, by stage."""
    return {"guidance": guidance_run(config, folder, teacher), "few_steps": few_steps_run(config, folder, teacher)}


def export_distil(
    config: DistilConfig, folder: Path, out: Path, *, version: str, command: str, unfinished: bool = False
) -> Bundle:
    """Write the teacher's bundle with the student for its transformer to the new folder `out`, whole or not at all.

    It says guidance 1 and, of the few-step student, how many steps; what was measured of these students is on its
    card. ValueError as for every export.
    """
    check_folders(folder, out)
    teacher = load_teacher(config.base, config.dit)
    if config.exported == "guidance":
        runs = {"guidance": guidance_run(config, folder, teacher)}
    else:
        runs = students_of(config, folder, teacher)
    check_trained(folder, runs, {}, unfinished)
    run = runs[config.exported]
    run.use_average()
    steps = config.steps if config.exported == "few_steps" else None
    provenance = provenance_of("trainer.recipes.distil", asdict(config), runs, command)
    provenance["data"] = "the teacher's own trajectories on scenes generated by datapipe/worlds"
    about = f"{teacher.part} of {teacher.bundle.name} {teacher.bundle.version}, distilled: without guidance" + (
        f", {steps} steps." if steps else "."
    )
    measured = comparison_of(config, folder, runs)
    if measured:
        provenance["comparison"] = measured
        about += f"\n\n{markdown_of(measured)}"
    change = Change(teacher.bundle, teacher.part, _dit(run, teacher), keeps_other=False)
    card = changed_card(teacher.bundle, about, {"guidance": 1.0, **({"steps": steps} if steps else {})})
    return write_derived(out, change, card, version, provenance)
