"""The held-out error while a stage learns: of the averaged weights, on samples that no step takes, at fixed times and
with fixed noise, so that the curves of two runs compare.

What is computed together does not depend on the ranks, and each of them takes whole parts of it: any number of ranks
finds the same numbers. Nothing of it touches the training: it draws from no stream of the run, and leaves every weight
bit for bit as it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor

from trainer.kernels import kernels
from trainer.objectives.times import shifted
from trainer.optimisation import LoopConfig
from trainer.run import Run

NOISE = 20_505  # seed of all held-out noise
POINTS = 5  # times of a grid
SCENES = 1_000_000_000  # seed of the first held-out scene of motion; evaluation and calibration draw others
HELD_OUT_FROM = 900_000_000  # training draws no scenes from here on


@dataclass(frozen=True)
class Probe:
    """Held-out samples that are measured together. `errors()` is the error of each row, on any device; `at` the place
    in the grid of each row's time.
    """

    at: tuple[int, ...]
    errors: Callable[[], Tensor]


@dataclass(frozen=True)
class Validation:
    """All that is measured; every time of the grid has as many rows. `digest` is of what the errors are of: curves of
    another digest are of other samples, or of other latents, and do not compare.
    """

    times: tuple[float, ...]
    probes: Sequence[Probe]
    digest: str

    @classmethod
    def of(
        cls, times: tuple[float, ...], probes: Sequence[Probe], samples: Sequence[Tensor], told: object
    ) -> Validation:
        """With the digest of these samples, and of what else is told of them."""
        digest = hashlib.sha256(json.dumps([list(times), told]).encode())
        for sample in samples:
            digest.update(sample.detach().float().cpu().contiguous().numpy().tobytes())
        return cls(times, probes, digest.hexdigest()[:12])


def time_grid(shift: float = 1.0, spread: float = 1.0) -> tuple[float, ...]:
    """Where the recipe learns: the middles of equal shares of its times, to three digits; 1 is noise."""
    normal = torch.tensor([NormalDist().inv_cdf((i + 0.5) / POINTS) for i in range(POINTS)])
    return tuple(round(time, 3) for time in shifted(normal, shift, spread).tolist())


def noise_of(shape: Sequence[int], *place: int) -> Tensor:
    """The held-out noise of this place, alike in every run."""
    seed = np.random.SeedSequence((NOISE, *place)).generate_state(1)[0]
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(int(seed)))


def check_unmeasured(loops: dict[str, LoopConfig], stages: Sequence[str]) -> None:
    """ValueError where one of `stages` that have no held-out samples is to be measured: before anything is made."""
    for stage, loop in loops.items():
        if stage in stages and loop.validate_every:
            raise ValueError(f"The stage {stage} has no held-out samples: set its validate_every to 0.")


def measure(run: Run, validation: Validation, tick: Callable[[], None] = lambda: None) -> dict[str, float]:
    """The mean error of the run's averaged weights, `loss`, and that at each time, `at_TIME`; alike on every rank.

    `tick` is called before each part of the work, as often on every rank.
    """
    spread, probes = run.spread, validation.probes
    turns = -(-len(probes) // spread.data_size)  # ranks that shard weights go forward equally often
    mine = [turn * spread.data_size + spread.data_rank for turn in range(turns)]
    parts = [
        _Part(run, validation, probes[min(number, len(probes) - 1)], tick, counts=number < len(probes))
        for number in mine
    ]
    with run.with_average():
        value, metrics = spread.evaluate(parts)
    return {name: round(one, 6) for name, one in {"loss": value, **metrics}.items()}


class _Part:
    """A probe as a microbatch; `counts`: or it is gone through for the other ranks' sake."""

    def __init__(
        self, run: Run, validation: Validation, probe: Probe, tick: Callable[[], None], *, counts: bool
    ) -> None:
        self.run, self.validation, self.probe, self.tick = run, validation, probe, tick
        self.items = float(len(probe.at)) if counts else 0.0

    def loss(self) -> tuple[Tensor, dict[str, float]]:
        self.tick()
        with kernels(self.run.device):
            errors = self.probe.errors().double().cpu()
        at, times = torch.tensor(self.probe.at), self.validation.times
        # Of each time a share of the rows: what is weighed by all rows has to count that much more.
        means = {f"at_{time:g}": (errors * (at == i)).mean().item() * len(times) for i, time in enumerate(times)}
        return errors.mean(), means
