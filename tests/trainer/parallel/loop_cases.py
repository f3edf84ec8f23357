"""The training loop over a layout, stopped on the way and gone on with over another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from tests.engine.parallel.cases import inputs_of
from tests.trainer.parallel.cases import ROWS, loss_of, modules_of
from trainer.faults import FaultsConfig
from trainer.loop import LoopConfig, Run, train
from trainer.meter import Meter, Work
from trainer.parallel.layout import Layout
from trainer.parallel.policy import Memory
from trainer.parallel.spread import Part
from trainer.ranks import Ranks
from trainer.replicas import KEEP, spread_over

STEPS = 8
CONFIG = LoopConfig(
    steps=STEPS,
    batch=ROWS,
    learning_rate=1e-3,
    warmup=2,
    ema=0.9,
    save_every=2,
    checkpoints="sync",
    tensorboard=False,
    faults=FaultsConfig(beat=0.1),  # whoever leaves looks at the others for five beats
)


class Left(Exception):
    pass


def trained(
    layout: Layout, folder: str, until: int = STEPS, memory: Memory = KEEP, checkpoints: str = CONFIG.checkpoints
) -> dict[int, float]:
    """The loss of each step that the run has made, after this call leaves it on its way to step `until`."""
    modules, inputs = modules_of("single", torch.float64), inputs_of("odd", ROWS, torch.float64)
    config = replace(CONFIG, checkpoints=checkpoints)
    run = Run(Path(folder) / "stage", modules, config, spread=spread_over(layout, memory))

    def loss(batch, draws):
        if batch == until:
            raise Left
        noise = draws.normal(1).double().mean()
        return loss_of(modules, inputs, draws.rows) + noise, {}

    try:
        train(run, loss)
    except Left:
        run.kept.settle()
    return {row["step"]: row["loss"] for row in run.steps_log.rows()}


def worked(layout: Layout, wrong: int = 1) -> Work:
    """What the ranks say that they have worked through in one step; `wrong`: times as many parts of the batch."""
    modules, inputs = modules_of("single", torch.float64), inputs_of("odd", ROWS, torch.float64)
    spread = spread_over(layout, KEEP)(modules)
    meter = Meter(modules, spread.recompute)
    spread.backward(
        [Part(lambda rows=rows: (loss_of(modules, inputs, rows), {}), len(rows)) for rows in spread.share(ROWS)]
    )
    meter.close()
    return meter.take().over(Ranks(), spread.data_size * wrong)


def told(folder: str, rows: int) -> None:
    """Two steps of a loop on batches of so many rows, told of in TensorBoard."""
    modules, inputs = modules_of("single", torch.float32), inputs_of("odd", rows, torch.float32)
    run = Run(Path(folder) / "stage", modules, replace(CONFIG, steps=2, log_every=1, tensorboard=True))

    def loss(batch, draws):
        return loss_of(modules, inputs, draws.rows), {}

    train(run, loss, size=lambda batch: rows)
