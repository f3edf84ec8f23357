"""How long a checkpoint stops the training: written while it goes on, and while it waits.

The same run, with a checkpoint every few steps, by both ways and with none, in turns. Blocking is what the loop itself
counts as stopped (`Checkpoints.blocked`); lost is what the whole run takes longer than without. Both a checkpoint.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.models.presets import SINGLE_DIT
from engine.models.single_dit import SingleDiT
from tests.benchmarks.trainer_parts.step import CONFIG, batch_of, flow_loss
from trainer.loop import Run, train

GOAL = 0.15
SIZE: dict[str, Any] = {**SINGLE_DIT["nano"], "hidden": 384, "heads": 6}
SAVES, EVERY = 4, 6  # checkpoints of a run, and steps between them
WAYS = ("none", "sync", "async")


def rows(reduced: bool) -> list[dict[str, Any]]:
    """Seconds a checkpoint."""
    torch.set_num_threads(1)
    blocked: dict[str, list[float]] = {way: [] for way in WAYS}
    took: dict[str, list[float]] = {way: [] for way in WAYS}
    for turn in range(1 if reduced else 3):
        for way in WAYS if turn % 2 == 0 else reversed(WAYS):
            seconds, waited = _run(way)
            took[way].append(seconds)
            blocked[way].append(waited)
    stopped = {way: statistics.median(blocked[way]) / SAVES for way in WAYS}
    lost = {way: (statistics.median(took[way]) - statistics.median(took["none"])) / SAVES for way in WAYS}
    ratio = stopped["async"] / stopped["sync"]
    return [
        {
            "what": "checkpoint: blocking time, async over sync",
            "ours": stopped["async"],
            "peer": stopped["sync"],
            "ratio": ratio,
            "unit": "s",
            "goal": f"ratio <= {GOAL}",
            "met": ratio <= GOAL,
        },
        {
            "what": "checkpoint: training time lost to it in all, async and sync",
            "ours": lost["async"],
            "peer": lost["sync"],
            "ratio": None,
            "unit": "s",
            "goal": "told",
            "met": True,
        },
    ]


def _run(way: str) -> tuple[float, float]:
    """Seconds of a run after its first checkpoint, which makes room for copies; seconds in which saving held it up."""
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        model = SingleDiT(**SIZE)
        every = CONFIG.steps if way == "none" else EVERY
        config = replace(CONFIG, checkpoints="sync" if way == "none" else way, save_every=every, tensorboard=False)
        run = Run(Path(folder) / "dit", {"dit": model}, replace(config, steps=EVERY))

        def loss(step: int, _: torch.Generator) -> tuple[Tensor, dict[str, float]]:
            return flow_loss(model, batch_of(step)), {}

        train(run, loss)
        run.config = replace(config, steps=(SAVES + 1) * EVERY)
        before, began = run.kept.blocked, time.perf_counter()
        train(run, loss)
        seconds = time.perf_counter() - began
        waited = run.kept.blocked - before
        return seconds - (waited if way == "none" else 0.0), waited
