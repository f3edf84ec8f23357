"""How much of the time a run advances when nodes fail, and how often to save: by simulation, and by formula.

A run works for `interval` seconds, then stands still for `blocking` while it is saved; the copy is safe `writing`
seconds later (an asynchronous checkpoint; 0: a synchronous one). A failure takes it back to the last safe copy, and
`restart` seconds pass before it works again, unless it fails in them too. With failures that have no memory the
simulation must agree with the formula (Daly, FGCS 22, 2006, extended by `writing`); real ones come in bursts (`shape`
below 1: Weibull), where there is none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

DAY = 86400.0
# 419 unplanned interruptions in 54 days on 16,384 H100, 8 a node (Llama 3, arXiv 2407.21783):
# https://direct.datacenterdynamics.com/en/news/meta-report-details-hundreds-of-gpu-and-hbm3-related-interruptions-to-llama-3-training-run
NODE_DAYS = 54 * 16384 / 8
RATE = 419 / NODE_DAYS
HOPELESS = 5.0  # a restart succeeds once in e^5: simulating more of them takes hours


@dataclass(frozen=True)
class Faults:
    """Failures a node and day, devices a node, seconds to be at work again; `shape` of the Weibull gaps."""

    rate: float = RATE
    node: int = 8
    restart: float = 600.0
    shape: float = 1.0

    def between(self, devices: int) -> float:
        """Mean seconds between two failures of a run on so many devices. ValueError where of a hundred and fifty
        restarts one succeeds, or fewer: such a run is never at work.
        """
        between = DAY / (self.rate * math.ceil(devices / self.node))
        tries = (self.restart / between * math.gamma(1 + 1 / self.shape)) ** self.shape
        if tries > HOPELESS:
            raise ValueError(
                f"On {devices:,} devices something fails every {between:,.0f} s, and a restart takes {self.restart:g}: "
                f"hardly one succeeds. Give a shorter --restart or a lower --rate, or plan for fewer devices."
            )
        return between


@dataclass(frozen=True)
class Saving:
    """Seconds: of work between two checkpoints, in which the run stands still, until the copy is safe."""

    interval: float
    blocking: float
    writing: float = 0.0

    @property
    def period(self) -> float:
        return self.interval + self.blocking


def young(blocking: float, between: float) -> float:
    """Young's interval (CACM 17, 1974), a first order approximation, in seconds."""
    return math.sqrt(2 * blocking * between)


def daly(blocking: float, between: float) -> float:
    """Daly's interval (2006, equation 37), in seconds."""
    if blocking >= 2 * between:
        return between
    root = math.sqrt(blocking / (2 * between))
    return math.sqrt(2 * blocking * between) * (1 + root / 3 + root**2 / 9) - blocking


def effective_time(saving: Saving, faults: Faults, devices: int) -> float:
    """The share of the time in which the run advances, by formula; for failures without memory."""
    between = faults.between(devices)
    lost = math.exp(faults.restart / between) * math.expm1(saving.period / between) * between
    return saving.interval * math.exp(-saving.writing / between) / lost


def simulate(saving: Saving, faults: Faults, devices: int, *, failures: int = 20_000, seed: int = 0) -> float:
    """The same by drawing so many failures: the work that was kept over the time that passed."""
    rng = np.random.default_rng(seed)
    between = faults.between(devices)
    worked = _gaps(rng, failures, between, faults.shape)
    kept = np.maximum(0.0, np.floor((worked - saving.writing) / saving.period)) * saving.interval
    return float(kept.sum() / (worked.sum() + _restarts(rng, failures, between, faults)))


def _gaps(rng: np.random.Generator, count: int, between: float, shape: float) -> np.ndarray:
    return rng.weibull(shape, count) * between / math.gamma(1 + 1 / shape)


def _restarts(rng: np.random.Generator, count: int, between: float, faults: Faults) -> float:
    """Seconds of that many restarts, with those in which it fails again and begins anew."""
    seconds = 0.0
    while count:
        gaps = _gaps(rng, count, between, faults.shape)
        seconds += float(np.minimum(gaps, faults.restart).sum())
        count = int((gaps < faults.restart).sum())
    return seconds


def best_interval(saving: Saving, faults: Faults, devices: int, *, failures: int = 20_000) -> Saving:
    """The interval that keeps most, among steps of 12 % around Daly's, each tried on the same failures."""
    near = daly(saving.blocking, faults.between(devices))
    tries = [replace(saving, interval=near * 1.12**step) for step in range(-12, 13)]
    return max(tries, key=lambda one: simulate(one, faults, devices, failures=failures))


@dataclass(frozen=True)
class Row:
    """What so many devices can expect. Intervals in seconds, shares of the time in which the run advances."""

    devices: int
    between: float
    young: float
    daly: float
    best: float
    simulated: float  # at the best interval
    formula: float  # at the best interval
    hourly: float  # simulated, with a checkpoint an hour


def rows(saving: Saving, faults: Faults, devices: Sequence[int]) -> list[Row]:
    """Of each number of devices; `saving.interval` is not used."""
    found = []
    for count in devices:
        best, between = best_interval(saving, faults, count), faults.between(count)
        found.append(
            Row(
                count,
                between,
                young(saving.blocking, between),
                daly(saving.blocking, between),
                best.interval,
                simulate(best, faults, count, seed=1),
                effective_time(best, faults, count),
                simulate(replace(saving, interval=3600.0), faults, count, seed=1),
            )
        )
    return found
