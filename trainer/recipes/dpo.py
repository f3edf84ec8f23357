"""dpo: a bundle learns what people prefer, from pairs of which one film was preferred to the other.

Source: Diffusion-DPO (Wallace et al., arXiv 2311.12908), with the loss of rectified flow and one weight at all times
(Flow-DPO, Liu et al., arXiv 2501.13918).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from trainer.loop import LoopConfig


@dataclass(frozen=True)
class DpoConfig:
    """All of a dpo run: `--set base=BUNDLE --set pairs=FILE.jsonl`; `trainer.preferences` says what the file holds."""

    base: str = ""
    pairs: str = ""
    dit: str = "single"  # of a bundle with both transformers
    seed: int = 0
    beta: float = 1000.0  # of the mean squared errors: the larger, the nearer to the base
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            steps=300, batch=8, learning_rate=5e-5, warmup=20, ema=0.98, save_every=50, weight_decay=0.0
        )
    )


def dpo() -> DpoConfig:
    """The usual size, for bundles of a few million parameters."""
    return DpoConfig()


def dpo_smoke() -> DpoConfig:
    """A run of seconds for tests."""
    return replace(DpoConfig(), loop=replace(DpoConfig().loop, steps=3, batch=2, save_every=1, log_every=1))
