"""What a step computes: one small protocol, the published policies, and the calibrated one.

A policy sees no tensor. It says per step what is to be computed and how the rest is made of what is known; `Cache` does
it, and alone decides what needs numbers (the change of the first block), so that all ranks do the same.

Sources: first-block cache (ParaAttention), MagCache (arXiv 2506.09045), TaylorSeer (arXiv 2503.06923); reuse of the
guidance's unasked half as in FasterCache (arXiv 2410.19355), here with fitted weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol


class Compute(StrEnum):
    """What of the model runs in a step."""

    ALL = "all"
    ASKED = "asked"  # the asked half of guidance; the unasked half is forecast
    NONE = "none"  # the whole velocity is forecast
    FIRST = "first"  # the first block; the others too, unless it changed by less than a threshold
    TRUNK = "trunk"  # what stands before and after the blocks; what the blocks add is reused


@dataclass(frozen=True)
class Choice:
    """`weights` of a forecast, over what is known: NONE: the last velocity and the one before. ASKED: the asked
    velocity of now, then unasked and asked of the last step, then of the one before. Missing ones count as zero.

    `limit`, of ALL and ASKED: where the asked velocity of any row has changed by more than this share of itself since
    the last that is held, all steps to come are computed. None: nobody looks.
    """

    compute: Compute
    weights: tuple[float, ...] = ()
    threshold: float = 0.0
    limit: float | None = None


ALL = Choice(Compute.ALL)
HOLD = (1.0,)
HOLD_DIFFERENCE = (1.0, 1.0, -1.0)


class Policy(Protocol):
    """`in_blocks`: it asks for FIRST or TRUNK, so that the blocks have to be reached."""

    in_blocks: bool

    def start(self, steps: int) -> None:
        """A request of so many calls of the model begins: nothing of the last one is known any more."""

    def choose(self, step: int, time: float, known: Sequence[float]) -> Choice:
        """`known`: the times of the last velocities that are held, newest first, at most two and at least one."""


class Exact:
    """No cache: every step computes everything."""

    in_blocks = False

    def start(self, steps: int) -> None: ...

    def choose(self, step: int, time: float, known: Sequence[float]) -> Choice:
        return ALL


@dataclass
class FirstBlock:
    """The residual of the other blocks is reused while that of the first has changed by less than `threshold`."""

    threshold: float
    in_blocks = True

    def start(self, steps: int) -> None: ...

    def choose(self, step: int, time: float, known: Sequence[float]) -> Choice:
        return Choice(Compute.FIRST, threshold=self.threshold)


@dataclass
class Magnitude:
    """MagCache: the blocks' residual is reused while the error that its calibrated ratios predict is below `threshold`.

    `ratios[i]` is the residual's magnitude in step i over that in step i - 1; at most `longest` reuses follow each
    other, and none comes in the first `kept` share of the steps.
    """

    ratios: Sequence[float]
    threshold: float
    longest: int = 4
    kept: float = 0.2
    in_blocks = True

    def start(self, steps: int) -> None:
        if steps != len(self.ratios):
            raise ValueError(f"These magnitudes were calibrated for {len(self.ratios)} steps, not {steps}.")
        self._refresh()

    def choose(self, step: int, time: float, known: Sequence[float]) -> Choice:
        self.ratio *= self.ratios[step]
        self.error += abs(1 - self.ratio)
        self.reused += 1
        if self.error < self.threshold and self.reused <= self.longest and step >= self.kept * len(self.ratios):
            return Choice(Compute.TRUNK)
        self._refresh()
        return ALL

    def _refresh(self) -> None:
        self.ratio, self.error, self.reused = 1.0, 0.0, 0


@dataclass
class Taylor:
    """Every `every`-th step is computed, the velocity of the others continued on a line through the last two."""

    every: int
    in_blocks = False

    def start(self, steps: int) -> None: ...

    def choose(self, step: int, time: float, known: Sequence[float]) -> Choice:
        return ALL if step % self.every == 0 else Choice(Compute.NONE, line(time, known))


@dataclass
class Guidance:
    """Every `every`-th step computes both halves; the others keep their difference, or continue it on a line."""

    every: int
    linear: bool = False
    in_blocks = False

    def start(self, steps: int) -> None: ...

    def choose(self, step: int, time: float, known: Sequence[float]) -> Choice:
        if step % self.every == 0:
            return ALL
        if not self.linear:
            return Choice(Compute.ASKED, HOLD_DIFFERENCE)
        return Choice(Compute.ASKED, (1.0, *(sign * w for w in line(time, known) for sign in (1, -1))))


@dataclass
class Schedule:
    """A calibrated choice for each step.

    `limits` guard it: one, as in `Choice`, for each step behind step 0 that computes anything; none: unguarded.
    """

    choices: Sequence[Choice]
    limits: Sequence[float] = ()
    in_blocks = False

    def __post_init__(self) -> None:
        looking = [n for n, choice in enumerate(self.choices) if n and choice.compute is not Compute.NONE]
        if self.limits and len(self.limits) != len(looking):
            raise ValueError(f"A schedule that computes in {len(looking)} steps has as many limits, or none.")
        self.limit_at = dict(zip(looking, self.limits, strict=False))

    def start(self, steps: int) -> None:
        if steps != len(self.choices):
            raise ValueError(f"This schedule was calibrated for {len(self.choices)} steps, not {steps}.")

    def choose(self, step: int, time: float, known: Sequence[float]) -> Choice:
        return replace(self.choices[step], limit=self.limit_at.get(step))


def line(time: float, known: Sequence[float]) -> tuple[float, ...]:
    """Weights of the values at the `known` times for the line through them at `time`; of one value: hold it."""
    if len(known) < 2:
        return HOLD
    ahead = (time - known[0]) / (known[0] - known[1])
    return 1 + ahead, -ahead
