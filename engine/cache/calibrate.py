"""Calibration: a few requests without cache, then what each policy costs and saves on them.

Schedules are searched on records alone. Along an uncached denoising every forecast, and with it the error that stays in
the final latents, is a linear combination of the recorded velocities. Their inner products are all that is needed to
fit the forecasts' weights (least squares over the requests) and to predict the error of any of the 3^N schedules. What
this misses is that latents that drift change later velocities: so what is found is then run, and the error measured.

A few requests hold no rare one. So schedules are guarded: a request whose velocity, where it is computed, strays
further from the last one than in any of these requests, is computed from there on. Step 1 always looks, for what is
forecast before anybody looks can no longer be made good.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from engine.attention.plain import accurate
from engine.cache.apply import Cache, Report, flat_of, summed
from engine.cache.budget import Calibration, Setting, undominated
from engine.cache.policies import Compute
from engine.cache.schedule import find_schedules
from engine.parallel.mesh import Mesh
from engine.parallel.sequence import PLANS

Sample = Callable[[], Tensor]  # denoises one request through the model, one call a step: its final latents
Candidate = tuple[str, dict[str, Any]]

THRESHOLDS = (0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.3, 0.45)
EVERY = (2, 3, 4)
ROOM = 1.01


@dataclass
class Record:
    """One uncached request: of each step the velocity of all rows and the blocks' residual, then the result."""

    velocities: list[Tensor] = field(default_factory=list)
    magnitudes: list[float] = field(default_factory=list)
    final: Tensor = field(default_factory=lambda: torch.empty(0))


@torch.no_grad()
def calibrate(
    model: nn.Module,
    samples: Sequence[Sample],
    times: Sequence[float],
    guidance: float,
    mesh: Mesh | None = None,
    only: Sequence[str] = (),
) -> Calibration:
    """What every policy, or these `only`, costs and saves on `samples`; `times` are the sampler's (the last is 0).

    A batch of the model is the asked rows, then the unasked: ValueError without guidance, and where a sample does not
    call the model once a step. About 60 runs a sample.
    """
    if guidance == 1:
        raise ValueError("Schedules are fitted on both halves of guidance: calibrate with the scale that is used.")
    records = [_run_recorded(model, sample, len(times) - 1) for sample in samples]
    halves = mesh is None or mesh.cfg.size * mesh.data.size == 1
    candidates = [*_fixed(halves), *_searched(records, times, guidance, halves)]
    if type(model) in PLANS:
        candidates += _in_blocks(records)
    wanted = [candidate for candidate in candidates if not only or candidate[0] in only]
    settings = [_measured(model, candidate, samples, records, times[:-1], mesh) for candidate in wanted]
    return Calibration(tuple(times[:-1]), guidance, len(samples), tuple(undominated(settings)))


def _fixed(halves: bool) -> list[Candidate]:
    taylor: list[Candidate] = [("taylor", {"every": n}) for n in EVERY]
    guidance: list[Candidate] = [("guidance", {"every": n, "linear": line}) for n in EVERY for line in (False, True)]
    return taylor + (guidance if halves else [])


def _in_blocks(records: Sequence[Record]) -> list[Candidate]:
    sums = torch.tensor([record.magnitudes for record in records]).double()
    ratios = [1.0, *(sums[:, 1:] / sums[:, :-1]).mean(0).tolist()]
    first: list[Candidate] = [("first-block", {"threshold": t}) for t in THRESHOLDS]
    return first + [("magnitude", {"ratios": [round(r, 6) for r in ratios], "threshold": t}) for t in THRESHOLDS]


def _searched(records: Sequence[Record], times: Sequence[float], guidance: float, halves: bool) -> list[Candidate]:
    gram_KK = torch.stack([gram_of(record) for record in records]).mean(0).numpy()
    kinds = [(Compute.NONE,), (Compute.NONE, Compute.ASKED)] if halves else [(Compute.NONE,)]
    found = [steps for kind in kinds for steps in find_schedules(gram_KK, times, guidance, kind)]
    return [("schedule", {"steps": steps, "limits": _unlimited(steps)}) for steps in found]


def _unlimited(steps: Sequence[str]) -> list[float]:
    """Limits that catch nothing, so that the changes are measured."""
    return [math.inf for text in steps[1:] if text.split()[0] != Compute.NONE]


def limits_of(reports: Sequence[Report]) -> list[float]:
    """The guard's limits: what no request's asked velocity has changed by, step by step.

    What strays further is unlike all that the schedule was fitted to and measured on. Of n requests of one kind, one
    in about n + 1 new ones does so in any one step. ROOM is left for what another machine rounds otherwise.
    """
    by_step = zip(*(report.changes for report in reports), strict=True)
    return [float(f"{ROOM * max(changes):.4g}") for changes in by_step]


def gram_of(record: Record) -> Tensor:
    """Inner products [2 N, 2 N] of the asked, then the unasked velocities of all steps, over that of the result."""
    halves = torch.stack([velocity.double() for velocity in record.velocities]).chunk(2, 1)
    all_KD = torch.cat(halves)
    return all_KD @ all_KD.T / record.final.double().square().sum()


def _measured(
    model: nn.Module,
    candidate: Candidate,
    samples: Sequence[Sample],
    records: Sequence[Record],
    times: Sequence[float],
    mesh: Mesh | None,
) -> Setting:
    """The candidate run on every sample."""
    found = Setting(*candidate)
    errors, reports = [], []
    with Cache(model, found.build(), mesh) as cache:
        for sample, record in zip(samples, records, strict=True):
            with cache.request(times) as report:
                errors.append(relative_error(sample(), record.final))
            reports.append(report)
    # None of these requests is beyond these limits: they are measured with them. What ends in no number fits no budget.
    if found.policy == "schedule" and all(map(math.isfinite, errors)):
        found = replace(found, arguments=found.arguments | {"limits": limits_of(reports)})
    return found.measured(errors, reports)


def relative_error(made: Tensor, exact: Tensor) -> float:
    """|made - exact| over |exact|."""
    return float((made - exact).norm() / exact.norm())


def _run_recorded(model: nn.Module, sample: Sample, steps: int) -> Record:
    with recorded(model) as record:
        record.final = sample()
    if len(record.velocities) != steps:
        raise ValueError(f"A request calls the model once a step: {len(record.velocities)} calls in {steps} steps.")
    return record


@contextmanager
def recorded(model: nn.Module) -> Iterator[Record]:
    """What the model gives, call by call, while this lasts."""
    record = Record()
    hooks = [model.register_forward_hook(lambda _, args, made: record.velocities.append(flat_of(made).clone()))]
    entered: list[Tensor] = []

    def before(block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        entered.append(args[0] if args else next(iter(kwargs.values())))

    def after(block: nn.Module, args: tuple[Any, ...], made: Any) -> None:
        video = made if isinstance(made, Tensor) else made[0]
        norms = (video - entered.pop()).norm(dim=-1, dtype=accurate(video.dtype))
        record.magnitudes.append(summed(norms.sum())[0])

    if type(model) in PLANS:
        blocks = [b for name in PLANS[type(model)].blocks for b in model.get_submodule(name).children()]
        hooks.append(blocks[0].register_forward_pre_hook(before, with_kwargs=True))
        hooks.append(blocks[-1].register_forward_hook(after, prepend=True))  # before a mesh joins the tokens
    try:
        yield record
    finally:
        for hook in hooks:
            hook.remove()
