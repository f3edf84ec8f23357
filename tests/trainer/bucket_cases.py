"""A toy over buckets through the one loop, as every rank runs it; and the wrong ways to choose batches."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

from trainer.buckets import Batch, BucketPlan, Schedule, balanced_rows, sample_costs
from trainer.loop import LoopConfig, LossValue, Run, train
from trainer.ranks import Ranks

MODEL = {
    "in_channels": 4,
    "condition_channels": 5,
    "patch_size": (1, 2, 2),
    "hidden": 64,
    "heads": 2,
    "depth": 2,
    "text_dim": 16,
}
GRIDS = [(5, 8, 8), (5, 6, 10), (5, 10, 6), (1, 8, 8), (5, 16, 16)]
COUNTS = [37, 18, 25, 90, 11]
COSTS = sample_costs(MODEL, GRIDS, text_tokens=8)
ROWS = balanced_rows(COSTS, GRIDS[0], batch=8, multiple=2)
CONFIG = LoopConfig(
    steps=24, batch=8, learning_rate=1e-2, save_every=6, log_every=4, tensorboard=False, checkpoints="sync"
)


def items() -> dict:
    """Records of every bucket, their numbers mixed as in a set of shards."""
    numbers, found, at = np.random.default_rng(0).permutation(sum(COUNTS)), {}, 0
    for grid, count in zip(GRIDS, COUNTS, strict=True):
        found[grid] = np.sort(numbers[at : at + count])
        at += count
    return found


def plan(kind: type[BucketPlan] = BucketPlan) -> BucketPlan:
    return kind("all", items(), ROWS, seed=3)


class EachRankItsOwn(BucketPlan):
    """Wrong: every rank draws a bucket for itself."""

    def batch(self, number: int) -> Batch:
        return super().batch(number + Ranks().rank)


class DropsTheTail(BucketPlan):
    """Wrong: what fills no batch at the end of an epoch is left away."""

    def _before(self, grid, epoch):
        return epoch * (len(self.items[grid]) // self.rows[grid])

    def batch(self, number: int) -> Batch:
        made = super().batch(number)
        index, size, rows = self.grids.index(made.grid), len(self.items[made.grid]), self.rows[made.grid]
        _, turns = self._schedule(made.epoch)
        first = int(turns[number - self.batches_before(made.epoch)]) * rows
        order = np.random.default_rng((self.seed, index, made.epoch)).permutation(size)
        return Batch(self.name, made.grid, self.items[made.grid][order[first : first + rows]], made.epoch)


def chosen(kind: type[BucketPlan], batches: int) -> list[tuple[str, list[int]]]:
    """What this rank takes to be in each batch."""
    made = plan(kind)
    return [(str(made.batch(k).grid), made.batch(k).items.tolist()) for k in range(batches)]


def trained(folder: str, steps: int = CONFIG.steps) -> dict[int, float]:
    """The losses of a run over two stages, up to so many steps; the samples that it takes are noted."""
    torch.manual_seed(1)
    small = BucketPlan("small", {grid: items()[grid] for grid in GRIDS[3:4]}, ROWS, seed=2)
    schedule = Schedule([(small, 5), (plan(), CONFIG.steps - 5)])
    model = nn.Linear(2, 1)
    run = Run(Path(folder) / "stage", {"model": model}, CONFIG)
    note = Path(folder) / f"samples-{Ranks().rank}.jsonl"

    def loss(number: int, draws) -> LossValue:
        batch = schedule.batch(number)
        mine = batch.items[draws.rows.start : draws.rows.stop]
        with note.open("a") as file:
            file.write(json.dumps([number, draws.rows.start, str(batch.grid), mine.tolist()]) + "\n")
        x = torch.from_numpy(np.stack([mine / 181, np.full(len(mine), batch.grid[0])], 1)).float()
        return (model(x + 0.1 * draws.normal(2)).float() - 1).square().mean(), {}

    def size(number: int) -> int:
        if run.step == steps:
            raise Left
        return schedule.size(number)

    try:
        train(run, loss, size=size)
    except Left:
        run.save()
        run.kept.settle()
    return {row["step"]: row["loss"] for row in run.steps_log.rows()}


class Left(Exception):
    pass


def samples(folder: Path) -> dict[int, list]:
    """The samples of each batch in the order of their rows, whichever ranks took them."""
    rows = [json.loads(line) for path in folder.glob("samples-*") for line in path.read_text().splitlines()]
    found: dict[int, list] = {}
    for number, _, grid, mine in sorted(rows):
        found.setdefault(number, [grid]).extend(mine)
    return found
