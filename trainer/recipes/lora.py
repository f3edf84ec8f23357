"""lora: a low-rank adapter for a bundle's transformer, from 5 to 50 photos or clips of one product, place or style."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from engine.adapters import EVERY_BLOCK, LowRank
from trainer.loop import LoopConfig


@dataclass(frozen=True)
class SamplesConfig:
    """What a bundle learns from: `--set base=BUNDLE --set data=FOLDER`.

    `data` holds photos (JPEG, PNG, WebP) and clips (MP4, MOV), each with what it shows in NAME.txt beside it, or else
    in `prompt`. Size and length 0 are those that the base was trained for; a photo is one frame.
    """

    fewest: ClassVar[int] = 5
    most: ClassVar[int] = 50

    base: str = ""
    data: str = ""
    prompt: str = ""
    dit: str = "single"  # of an own bundle with both transformers
    height: int = 0
    width: int = 0
    frames: int = 0
    dtype: str = "float32"  # of the base's weights; the adapter's own are always float32


@dataclass(frozen=True)
class LoraConfig(SamplesConfig):
    """All of a lora run."""

    rank: int = 16
    alpha: float = 16.0
    targets: tuple[str, ...] = EVERY_BLOCK
    seed: int = 0
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            steps=400, batch=4, learning_rate=5e-4, warmup=20, weight_decay=0.0, ema=0.98, save_every=100
        )
    )

    @property
    def low_rank(self) -> LowRank:
        return LowRank(self.rank, self.alpha, self.targets)


def lora() -> LoraConfig:
    """The usual size."""
    return LoraConfig()


def lora_smoke() -> LoraConfig:
    """A run of seconds for tests."""
    return replace(LoraConfig(), rank=4, loop=replace(LoraConfig().loop, steps=4, batch=2, save_every=2, log_every=1))
