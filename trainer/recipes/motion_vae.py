"""The Motion VAE of nano alone: its bank and its own stage, for a Single-DiT that a run of nano then teaches."""

from __future__ import annotations

from dataclasses import dataclass, field

from trainer.data import BankConfig
from trainer.loop import LoopConfig
from trainer.recipes.nano import NanoConfig, nano_smoke


@dataclass(frozen=True)
class MotionVaeConfig:
    """What of nano's settings the Motion VAE depends on, under their names there."""

    seed: int = 0
    bank: BankConfig = field(default_factory=lambda: NanoConfig().bank)
    linear_clips: int = NanoConfig.linear_clips
    vae: LoopConfig = field(default_factory=lambda: NanoConfig().vae)

    @property
    def of_nano(self) -> NanoConfig:
        """The run of nano whose Motion VAE this is."""
        return NanoConfig(seed=self.seed, bank=self.bank, linear_clips=self.linear_clips, vae=self.vae)


def motion_vae() -> MotionVaeConfig:
    """The Motion VAE of the shipped size."""
    return MotionVaeConfig()


def motion_vae_smoke() -> MotionVaeConfig:
    """Nothing learnt to speak of, for tests."""
    small = nano_smoke()
    return MotionVaeConfig(bank=small.bank, linear_clips=small.linear_clips, vae=small.vae)
