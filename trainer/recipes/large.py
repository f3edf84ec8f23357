"""What the recipes of the large models say. Torch-free: `python -m trainer plan` reads them anywhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.costs import parameters, token_count
from trainer.plan.job import Job
from trainer.plan.memory import States


@dataclass(frozen=True)
class Stage:
    """A part of the schedule: latents [frames, height, width], samples of a step, samples in all."""

    name: str
    grid: tuple[int, int, int]
    batch: int
    samples: int


@dataclass(frozen=True)
class LargeVideoConfig:
    """A run of a large video transformer: model, schedule of resolutions, optimisation."""

    name: str
    model: dict[str, Any]  # arguments of SingleDiT or MultimodalDiT
    stages: tuple[Stage, ...]
    text_tokens: int = 512
    states: States = field(default_factory=States)
    learning_rate: float = 1e-4
    warmup: int = 2000
    weight_decay: float = 0.01
    clip: float = 1.0
    ema_decay: float = 0.9999
    seed: int = 0

    @property
    def parameters(self) -> int:
        return parameters(self.model)

    def stage(self, name: str | None = None) -> Stage:
        """The last one by default: the one that costs most. ValueError for an unknown name."""
        if name is None:
            return self.stages[-1]
        found = {stage.name: stage for stage in self.stages}
        if name not in found:
            raise ValueError(f"{self.name} has no stage {name!r}. It has: {', '.join(found)}.")
        return found[name]

    def job(self, stage: Stage, batch: int | None = None) -> Job:
        """A step of this stage; `batch`: another number of samples than the recipe's."""
        return Job(self.model, token_count(self.model, *stage.grid), self.text_tokens, batch or stage.batch)
