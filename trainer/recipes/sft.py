"""sft: supervised fine-tuning. A bundle of latent video goes on learning, whole and at a low rate, from given clips.

A bundle that moves a photo learns from motion, which no clip tells: it goes on with `run nano --from BUNDLE`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from trainer.loop import LoopConfig
from trainer.recipes.lora import SamplesConfig


@dataclass(frozen=True)
class SftConfig(SamplesConfig):
    """All of a sft run: `--set base=BUNDLE --set data=FOLDER`, a folder as for `lora`, of any size."""

    most: ClassVar[int] = 100_000
    seed: int = 0
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            steps=1000, batch=8, learning_rate=5e-5, warmup=50, ema=0.99, save_every=100, weight_decay=0.0
        )
    )


def sft() -> SftConfig:
    """The usual size, for bundles of a few million parameters."""
    return SftConfig()
