"""What a recipe says of one stage's optimisation, and how it is kept. Torch-free: the plan reads it anywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from trainer.faults import FaultsConfig


@dataclass(frozen=True)
class LoopConfig:
    """Optimisation of one stage, and how it is kept."""

    steps: int
    batch: int
    learning_rate: float
    warmup: int = 50
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.998
    seed: int = 0
    save_every: int = 100
    log_every: int = 20
    validate_every: int = 0  # steps between two measurements of the held-out error; 0: none
    # One file, or folders that any number of ranks can read, written while training goes on or not. "auto": a file for
    # one process, "async" for several and where spikes are watched for, which a run goes back before.
    checkpoints: Literal["auto", "file", "async", "sync"] = "auto"
    keep: int = 2  # folders
    tensorboard: bool = True
    # Of one device, dense: what MFU and HFU are shares of. None: by the data sheet, where the device's is known.
    peak_tflops: float | None = None
    microbatches: int = 1  # of a rank's part of the batch, one after another
    # AdamW as plain steps, as one fused kernel, or with moments of 8 bits (torchao).
    optimiser: Literal["adamw", "fused", "8bit"] = "adamw"
    faults: FaultsConfig = field(default_factory=FaultsConfig)

    def __post_init__(self) -> None:
        for name in ("save_every", "log_every", "microbatches", "keep"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1, and {getattr(self, name)} was asked for.")
        for name in ("steps", "batch", "warmup"):  # no batch: of a recipe that says it elsewhere, as the large ones do
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is a whole number from 0 on, and {getattr(self, name)} was asked for.")
        for name in ("learning_rate", "clip"):  # at a clip of 0 nothing is learnt, and below it the loss is climbed
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is above 0, and {getattr(self, name)} was asked for.")
        if self.learning_rate == math.inf or not 0 <= self.weight_decay < math.inf:
            raise ValueError("learning_rate and weight_decay are finite, and weight_decay is 0 or more.")
        if not 0 <= self.ema <= 1:
            raise ValueError(f"ema is the share of the average that stays at a step, from 0 to 1: not {self.ema}.")
        if self.peak_tflops is not None and not self.peak_tflops > 0:
            raise ValueError(f"peak_tflops is above 0, and {self.peak_tflops} was asked for.")
        if self.validate_every < 0:
            raise ValueError(f"validate_every is a number of steps, or 0 for never: not {self.validate_every}.")


# A run may go on with another value of these: more steps, another rhythm of saving and logging, other care.
FREE = (
    "steps",
    "save_every",
    "log_every",
    "validate_every",
    "checkpoints",
    "keep",
    "tensorboard",
    "peak_tflops",
    "microbatches",
    "faults",
)
