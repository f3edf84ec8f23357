"""What a recipe says of one stage's optimisation, and how it is kept. Torch-free: the plan reads it anywhere."""

from __future__ import annotations

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
        for name in ("save_every", "log_every", "microbatches"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1, and {getattr(self, name)} was asked for.")
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
