"""What may go wrong in a run, and what is done: batches that are left out, steps that are taken back, ranks that hang.

Everything is noted in the stage's `faults.jsonl`, one JSON object a line.
"""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from trainer.log import Log


@dataclass(frozen=True)
class FaultsConfig:
    """What the loop does about faults. All of it may be changed from call to call."""

    non_finite: Literal["stop", "skip"] = "stop"  # a loss or gradient that is not finite
    in_a_row: int = 10  # batches left out one after another, or rollbacks, at which the run stops
    spike: float = 0.0  # a loss of so many times the median of the last `window` is a spike; 0: not watched for
    window: int = 32
    offending: int = 1  # batches left out at a spike: its own and those just before it
    beat: float = 1.0  # seconds between the signs of life of a rank
    patience: float = 300.0  # seconds that a rank may stay in one phase of a step before it, or another, is named

    def __post_init__(self) -> None:
        for name in ("in_a_row", "window", "offending"):
            if getattr(self, name) < 1:
                raise ValueError(f"faults.{name} is at least 1, and {getattr(self, name)} was asked for.")
        if self.spike and not self.spike > 1:  # every other loss is as large as the median of those before
            raise ValueError(f"faults.spike is so many times the usual loss, above 1, or 0: not {self.spike}.")
        if not (self.beat > 0 and self.patience > 0):
            raise ValueError("faults.beat and faults.patience are above 0.")


class FaultLog:
    """A stage's faults, and the batches that it leaves out."""

    def __init__(self, stage: Path) -> None:
        self.log = Log(stage / "faults.jsonl")

    def left_out(self) -> set[int]:
        """Every batch that was found offending: a run that goes on, or goes back, leaves it out again."""
        return {batch for row in self.log.rows() for batch in row.get("left_out", ())}

    def note(self, what: str, **facts: Any) -> None:
        self.log.append({"what": what, "time": round(time.time()), **facts})


class Spikes:
    """Tells a spike from the losses before it. `recent` is kept in the checkpoint: a resumed run tells the same."""

    def __init__(self, config: FaultsConfig, recent: list[float] | None = None) -> None:
        self.config, self.recent = config, list(recent or [])

    @property
    def limit(self) -> float:
        """The least loss that is a spike now; infinite while too few are known."""
        if not self.config.spike or len(self.recent) < self.config.window:
            return math.inf
        return self.config.spike * statistics.median(self.recent)

    def add(self, loss: float) -> None:
        self.recent = [*self.recent, loss][-self.config.window :]
