"""What the recipes of the large models say. Torch-free: `python -m trainer plan` reads them anywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

from engine.costs import parameters, token_count
from trainer.axes import Axes
from trainer.optimisation import LoopConfig
from trainer.parallel.policy import Memory
from trainer.plan.job import Job
from trainer.plan.memory import States

Grid = tuple[int, int, int]  # latents: frames, height, width


# Beside the usual size of a stage, about as many pixels in the studio's formats, and photos.
FORMATS_256: tuple[Grid, ...] = ((21, 24, 42), (21, 42, 24), (21, 36, 28), (1, 32, 32))
FORMATS_480: tuple[Grid, ...] = ((21, 104, 60), (21, 78, 78), (21, 88, 70), (1, 60, 104))
FORMATS_720: tuple[Grid, ...] = ((31, 160, 90), (31, 120, 120), (31, 134, 108), (1, 90, 160))


HELD_OUT, VALIDATE_EVERY = 64, 500  # films, steps


@dataclass(frozen=True)
class Stage:
    """A part of the schedule: its usual size, samples of a step of that size, samples in all; further sizes, of which a
    step takes as many samples as cost alike.
    """

    name: str
    grid: Grid
    batch: int
    samples: int
    buckets: tuple[Grid, ...] = ()

    def __post_init__(self) -> None:
        if min(self.batch, *(side for grid in self.grids for side in grid)) < 1 or self.samples < 0:
            raise ValueError(f"The stage {self.name} has a batch and sides of grids from 1 on, and samples from 0 on.")

    @property
    def grids(self) -> tuple[Grid, ...]:
        return tuple(dict.fromkeys((self.grid, *self.buckets)))

    @property
    def steps(self) -> int:
        return self.samples // self.batch


@dataclass(frozen=True)
class LargeVideoConfig:
    """A run of a large video transformer: model, schedule of resolutions, optimisation.

    `encoder` is the bundle whose video VAE and text encoder made `data`, the shards that `python -m trainer encode`
    writes. Steps and batches of the loop are those of the stages.
    """

    name: str
    model: dict[str, Any]  # arguments of SingleDiT or MultimodalDiT
    stages: tuple[Stage, ...]
    text_tokens: int = 512
    states: States = field(default_factory=States)
    data: str = ""
    encoder: str = ""
    held_out: int = 0  # films that no step takes, for the held-out error
    layout: Axes = field(default_factory=Axes)  # under torchrun
    memory: Memory = field(default_factory=Memory)
    # Every batch is a multiple of it: so many ranks, or any divisor of it, share each batch evenly.
    multiple: int = 1
    shift_from: int = 0  # video tokens beyond which times are shifted towards the noise; 0: they never are
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(steps=0, batch=0, learning_rate=1e-4, warmup=2000, ema=0.9999)
    )
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError(f"{self.name} has at least one stage: set stages to a list of them.")
        if self.multiple < 1 or self.text_tokens < 1 or min(self.held_out, self.shift_from) < 0:
            raise ValueError("multiple and text_tokens are from 1 on, held_out and shift_from from 0 on.")

    @classmethod
    def measured(cls, name: str, model: dict[str, Any], stages: tuple[Stage, ...], **settings: Any) -> LargeVideoConfig:
        """A recipe that keeps films back, and measures its error on them: runs from before there was that do not."""
        config = cls(name, model, stages, held_out=HELD_OUT, **settings)
        return replace(config, loop=replace(config.loop, validate_every=VALIDATE_EVERY))

    @property
    def part(self) -> str:
        """What the transformer is called in a bundle."""
        return "multimodal_dit" if "dual_depth" in self.model else "single_dit"

    def shift(self, grid: Grid) -> float:
        """Of the times of one size: longer sequences keep more of their signal (arXiv 2403.03206, 5.3.2)."""
        if not self.shift_from:
            return 1.0
        return max(1.0, math.sqrt(token_count(self.model, *grid) / self.shift_from))

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
        largest = max(token_count(self.model, *grid) for grid in stage.grids)
        tokens = token_count(self.model, *stage.grid)
        return Job(self.model, tokens, self.text_tokens, batch or stage.batch, largest)


def smoke(config: LargeVideoConfig) -> LargeVideoConfig:
    """The same run in seconds, for tests: tiny films of 17 frames, encoded by the smoke size of `tiny_video`."""
    tiny = {"in_channels": 4, "condition_channels": 8, "hidden": 32, "heads": 2, "text_dim": 32, "rope_axes": (4, 6, 6)}
    depths = {name: 1 if name.startswith(("dual", "single")) else 2 for name in config.model if name.endswith("depth")}
    return replace(
        config,
        name=f"{config.name}_smoke",
        model={**config.model, **tiny, **depths},
        stages=(
            Stage("16px", (5, 2, 2), 4, 16, ((1, 2, 2),)),
            Stage("32px", (5, 4, 4), 4, 24, ((5, 4, 2), (5, 2, 4), (1, 4, 4))),
        ),
        text_tokens=32,
        multiple=2,
        shift_from=5,
        held_out=0,
        loop=LoopConfig(steps=0, batch=0, learning_rate=1e-3, warmup=2, ema=0.9, save_every=2, log_every=2),
    )
