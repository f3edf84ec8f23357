"""distil: a bundle that needs no guidance and few steps, from one that needs both.

Two stages, both on the teacher's own trajectories. *guidance* (after Meng et al., arXiv 2210.03142): the student at
scale 1 moves as the teacher does with guidance, one row instead of two. *few_steps* (progressive distillation, Salimans
and Ho, arXiv 2202.00512, in one go as PeRFlow, arXiv 2405.07510): one step of the student goes where several of the
teacher go, from the teacher's own points.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from trainer.loop import LoopConfig


@dataclass(frozen=True)
class TrajectoriesConfig:
    """The teacher's paths from noise to data: `items` of each kind of scene, `steps` of the teacher, at `points` of
    which, evenly spread, the latents are kept.
    """

    items: int = 256
    steps: int = 12
    points: int = 12
    seed: int = 840_000_000  # of the first scene

    @property
    def described(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class DistilConfig:
    """All of a distil run: `--set base=BUNDLE`. `steps`: the student's; they divide the points."""

    base: str = ""
    dit: str = "single"  # of a bundle with both transformers
    seed: int = 0
    steps: int = 4
    exported: Literal["few_steps", "guidance"] = "few_steps"  # the stage whose student becomes the bundle
    trajectories: TrajectoriesConfig = field(default_factory=TrajectoriesConfig)
    guidance: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            steps=600, batch=16, learning_rate=2e-4, warmup=20, ema=0.99, save_every=50, weight_decay=0.0
        )
    )
    few_steps: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            steps=1200, batch=16, learning_rate=3e-4, warmup=20, ema=0.99, save_every=50, weight_decay=0.0
        )
    )
    compared: int = 32  # held-out scenes
    reference_steps: int = 48  # of the teacher that all are compared with


def distil() -> DistilConfig:
    """The usual size, for bundles of a few million parameters."""
    return DistilConfig()


def distil_smoke() -> DistilConfig:
    """A run of seconds for tests: every stage for real."""
    loop = LoopConfig(steps=3, batch=2, learning_rate=1e-3, warmup=1, save_every=1, log_every=1)
    small = TrajectoriesConfig(items=4, steps=4, points=4)
    return replace(
        DistilConfig(), steps=2, trajectories=small, guidance=loop, few_steps=loop, compared=4, reference_steps=8
    )
