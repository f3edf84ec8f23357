"""aquarius-nano: the shipped image-to-video model, trained on the worlds on two CPU cores."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from trainer.closeups import CloseupsConfig
from trainer.data import BankConfig
from trainer.loop import LoopConfig
from trainer.photos import PhotosConfig
from trainer.recipes.sampling import Sampling


@dataclass(frozen=True)
class NanoConfig:
    """All of a nano run: data, sizes and the optimisation of its stages."""

    seed: int = 0
    # Chosen on held-out scenes by tests/benchmarks/fields.py; the temperature for videos that differ by their seeds.
    sampling: Sampling = field(default_factory=lambda: Sampling(shift=4.0, guidance=1.15, temperature=0.7))
    bank: BankConfig = field(default_factory=lambda: BankConfig(scenes=2560, motions=3, seed=1))
    photos: PhotosConfig = field(default_factory=PhotosConfig)
    closeups: CloseupsConfig = field(default_factory=CloseupsConfig)
    captions: int = 60_000  # for the tokenizer
    extra_captions: int = 48  # a step, for the text encoder beside the clips' own
    linear_clips: int = 600  # clips whose principal components begin the Motion VAE
    hidden: int = 192
    depth: int = 6
    heads: int = 3
    patch_size: tuple[int, int, int] = (4, 1, 1)
    rope_axes: tuple[int, int, int] = (8, 28, 28)
    text_width: int = 128
    vae: LoopConfig = field(
        default_factory=lambda: LoopConfig(steps=300, batch=32, learning_rate=1e-3, ema=0.98, save_every=100)
    )
    relief: LoopConfig = field(
        default_factory=lambda: LoopConfig(steps=3000, batch=32, learning_rate=2e-3, save_every=100, ema=0.99)
    )
    roundness: LoopConfig = field(
        default_factory=lambda: LoopConfig(steps=3000, batch=64, learning_rate=1e-3, save_every=100, ema=0.998)
    )
    dit: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            steps=4000, batch=32, learning_rate=1e-3, save_every=100, ema=0.998, validate_every=100
        )
    )
    mask: LoopConfig = field(
        default_factory=lambda: LoopConfig(steps=1500, batch=8, learning_rate=1e-3, save_every=100)
    )


def nano() -> NanoConfig:
    """The shipped size."""
    return NanoConfig()


def nano_smoke() -> NanoConfig:
    """A run of a minute for tests: every stage for real, nothing learnt to speak of."""
    small = replace(NanoConfig(), hidden=64, depth=2, heads=1, rope_axes=(8, 28, 28), captions=500, extra_captions=4)
    return replace(
        small,
        bank=BankConfig(scenes=4, motions=2, seed=1, processes=1),
        photos=PhotosConfig(count=16, processes=1),
        vae=LoopConfig(steps=4, batch=4, learning_rate=1e-3, save_every=2, log_every=1),
        closeups=CloseupsConfig(count=8, processes=1),
        relief=LoopConfig(steps=4, batch=4, learning_rate=1e-3, save_every=2, log_every=1),
        roundness=LoopConfig(steps=4, batch=4, learning_rate=1e-3, save_every=2, log_every=1),
        dit=LoopConfig(steps=4, batch=4, learning_rate=1e-3, save_every=2, log_every=1, validate_every=4),
        mask=LoopConfig(steps=2, batch=4, learning_rate=1e-3, save_every=2, log_every=1),
    )
