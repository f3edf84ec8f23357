"""tiny_video: a causal video VAE and both transformers at a few million parameters, trained on the worlds' films.

Small enough for two CPU cores, and through the very code of the 2B and the 13.4B: what is claimed of caches, sparse
attention and tasks is measured on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from trainer.films import FilmsConfig
from trainer.loop import LoopConfig
from trainer.parallel.layout import Layout
from trainer.parallel.policy import Memory
from trainer.recipes.sampling import Sampling

DIT: dict[str, Any] = {"patch_size": (1, 2, 2), "hidden": 192, "heads": 4, "rope_axes": (8, 20, 20)}


@dataclass(frozen=True)
class TinyVideoConfig:
    """All of a tiny_video run: data, sizes and the optimisation of its stages."""

    seed: int = 0
    # Chosen on 8 held-out films, the photo shown: 22.7 dB, 21.6 at the usual one, 22.9 with less noise, and greyer.
    sampling: Sampling = field(default_factory=lambda: Sampling(shift=3.0, guidance=1.5, temperature=0.6))
    layout: Layout = field(default_factory=Layout)  # of the transformers, under torchrun
    memory: Memory = field(default_factory=Memory)  # of the transformers, with any layout
    films: FilmsConfig = field(default_factory=lambda: FilmsConfig(scenes=4000))
    captions: int = 20_000  # for the tokenizer
    latent_channels: int = 16
    mask_channels: int = 4
    # Patches of 2 x 2 pixels, then two halvings: 8 x 8 pixels and 4 frames a latent.
    video_vae: dict[str, Any] = field(
        default_factory=lambda: {"base_dim": 24, "dim_mult": [1, 2, 4], "num_res_blocks": 1, "patch_size": 2}
    )
    principal_films: int = 200  # whose components the video VAE begins with
    principal_steps: int = 800  # of its steps, on the first five frames of films
    text: dict[str, Any] = field(
        default_factory=lambda: {"universal_layers": 2, "nlu_layers": 1, "nlu_width": 128, "max_tokens": 64}
    )
    single_dit: dict[str, Any] = field(default_factory=lambda: {**DIT, "depth": 6})
    multimodal_dit: dict[str, Any] = field(default_factory=lambda: {**DIT, "dual_depth": 2, "single_depth": 2})
    text_loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(steps=500, batch=48, learning_rate=1e-3, ema=0.99, save_every=100)
    )
    vae_loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(steps=1350, batch=4, learning_rate=3e-3, ema=0.98, save_every=50)
    )
    dit_loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            steps=4400,
            batch=16,
            learning_rate=1e-3,
            ema=0.99,
            save_every=50,
            optimiser="fused",
            validate_every=200,
        )
    )


def tiny_video() -> TinyVideoConfig:
    """The shipped size."""
    return TinyVideoConfig()


def tiny_video_smoke() -> TinyVideoConfig:
    """A run of seconds for tests: every stage for real, nothing learnt to speak of."""
    loop = LoopConfig(steps=2, batch=2, learning_rate=1e-3, save_every=1, log_every=1)
    tiny = {"patch_size": (1, 1, 1), "hidden": 32, "heads": 2, "rope_axes": (4, 6, 6)}
    return replace(
        TinyVideoConfig(),
        films=FilmsConfig(scenes=3, motions=2, height=32, width=32, processes=1),
        captions=200,
        latent_channels=4,
        principal_films=3,
        principal_steps=1,
        video_vae={"base_dim": 8, "dim_mult": [1, 1, 1], "num_res_blocks": 1, "patch_size": 2},
        text={"universal_width": 32, "universal_layers": 1, "universal_heads": 1, "nlu_width": 32, "nlu_layers": 1},
        single_dit={**tiny, "depth": 2},
        multimodal_dit={**tiny, "dual_depth": 1, "single_depth": 1},
        text_loop=loop,
        vae_loop=loop,
        dit_loop=replace(loop, validate_every=2),
    )
