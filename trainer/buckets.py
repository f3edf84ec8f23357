"""Which samples a batch holds: one bucket (latents of one size) a step, as many of them as make steps cost alike.

Everything is a function of the number of the batch: every rank finds the same bucket and samples and takes its own
rows, on any number of ranks, and a run goes on from a number. A bucket is drawn epoch after epoch without a gap: what
fills no batch at an epoch's end is counted, and comes first in the next.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np

from datapipe.shards import draw
from datapipe.shards.order import shuffled
from engine.costs import Config, token_count
from trainer.metrics import step_flops

Grid = tuple[int, int, int]  # latents: frames, height, width
SEEDS = 1_000_003  # between the seeds of two plans, more than one has buckets


@dataclass(frozen=True)
class Batch:
    """A step's samples in the order of their rows: `items` are numbers of records."""

    stage: str
    grid: Grid
    items: np.ndarray
    epoch: int


def sample_costs(config: Config, grids: Sequence[Grid], text_tokens: int, recompute: str = "none") -> dict[Grid, int]:
    """Operations of learning from one sample of each size: what its step time is predicted by."""
    return {
        grid: step_flops(config, token_count(config, *grid), text_tokens, checkpointing=recompute).hardware
        for grid in grids
    }


def balanced_rows(costs: Mapping[Grid, int], grid: Grid, batch: int, multiple: int = 1) -> dict[Grid, int]:
    """Samples a batch of each bucket: whose steps cost as nearly as can be what `batch` samples of `grid` cost.

    All are multiples of `multiple`: so many ranks, or any divisor of it, share every batch evenly. ValueError where
    `batch` is none.
    """
    if batch % multiple or batch < 1:
        raise ValueError(f"A batch of {batch} samples is not shared evenly by {multiple} ranks: give a multiple of it.")
    target = batch * costs[grid]
    return {one: max(1, round(target / cost / multiple)) * multiple for one, cost in costs.items()}


class BucketPlan:
    """The endless order of batches over buckets. `items`: numbers of the records of each; `rows` of a batch of each."""

    def __init__(self, name: str, items: Mapping[Grid, np.ndarray], rows: Mapping[Grid, int], seed: int) -> None:
        self.name, self.seed = name, seed
        self.grids = sorted(items)
        self.items, self.rows = dict(items), dict(rows)
        empty = [grid for grid in self.grids if not len(items[grid])]
        if empty or not self.grids:
            raise ValueError(f"The stage {name} has no samples of {empty or 'any size'}: encode some.")
        self._schedule = lru_cache(maxsize=2)(self._make_schedule)

    def batch(self, number: int) -> Batch:
        """The batch of this number."""
        epoch = self.epoch_of(number)
        buckets, turns = self._schedule(epoch)
        place = number - self.batches_before(epoch)
        index = int(buckets[place])
        grid = self.grids[index]
        first = (self._before(grid, epoch) + int(turns[place])) * self.rows[grid]
        positions = np.arange(first, first + self.rows[grid])
        drawn = draw(self.seed * SEEDS + index, len(self.items[grid]), positions)
        return Batch(self.name, grid, self.items[grid][drawn], epoch)

    def batches_before(self, epoch: int) -> int:
        """Whole batches of all epochs before this one."""
        return sum(self._before(grid, epoch) for grid in self.grids)

    def epoch_of(self, number: int) -> int:
        """The epoch in which a batch of this number is learnt from."""
        high = 1
        while self.batches_before(high) <= number:
            high *= 2
        return bisect_right(range(high + 1), number, key=self.batches_before) - 1

    def left_over(self, epoch: int) -> dict[Grid, int]:
        """Samples that fill no batch at this epoch's end, by bucket: the next begins with them."""
        return {grid: (epoch + 1) * len(self.items[grid]) % self.rows[grid] for grid in self.grids}

    def _before(self, grid: Grid, epoch: int) -> int:
        return epoch * len(self.items[grid]) // self.rows[grid]

    def _make_schedule(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Of each batch of an epoch its bucket, and how many of that bucket were before it in the epoch."""
        counts = [self._before(grid, epoch + 1) - self._before(grid, epoch) for grid in self.grids]
        ordered = np.repeat(np.arange(len(counts)), counts)
        buckets = ordered[shuffled(self.seed * SEEDS - 1, epoch, len(ordered), np.arange(len(ordered)))]
        turns = np.empty(len(buckets), np.int64)
        for index, count in enumerate(counts):
            turns[buckets == index] = np.arange(count)
        return buckets, turns


class Schedule:
    """Stages one behind the other: plans of batches, each for so many steps; the last for as many as there are."""

    def __init__(self, stages: Sequence[tuple[BucketPlan, int]]) -> None:
        self.plans = [plan for plan, _ in stages]
        self.starts = [0, *accumulate(steps for _, steps in stages[:-1])]
        self.steps = sum(steps for _, steps in stages)

    def batch(self, number: int) -> Batch:
        plan, inside = self._at(number)
        return plan.batch(inside)

    def size(self, number: int) -> int:
        """Samples of a batch."""
        return len(self.batch(number).items)

    def left_over(self, number: int) -> dict[Grid, int] | None:
        """Where a batch begins a new epoch of its stage: what the epoch before has left over."""
        plan, inside = self._at(number)
        epoch = plan.epoch_of(inside)
        begins = inside > 0 and plan.epoch_of(inside - 1) < epoch
        return plan.left_over(epoch - 1) if begins else None

    def _at(self, number: int) -> tuple[BucketPlan, int]:
        stage = bisect_right(self.starts, number) - 1
        return self.plans[stage], number - self.starts[stage]


def evenness(costs: Mapping[Grid, int], rows: Mapping[Grid, int], ranks: int = 1) -> float:
    """The longest predicted step over the mean one, when each bucket's rows are shared by so many ranks.

    A rank waits for the slowest: its step is that of the rank with most rows.
    """
    times = [costs[grid] * math.ceil(count / ranks) for grid, count in rows.items()]
    means = [costs[grid] * count / ranks for grid, count in rows.items()]
    return max(times) / (sum(means) / len(means))
