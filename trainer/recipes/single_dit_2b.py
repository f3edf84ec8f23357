"""The Single-DiT of 2 B parameters. To be trained on a cluster: it has been run at its smoke size only.

The schedule follows Goku (arXiv 2502.04896: low resolution first, then 480p); batches and samples are ours.
"""

from __future__ import annotations

from engine.models.presets import SINGLE_DIT
from trainer.recipes.large import FORMATS_256, FORMATS_480, LargeVideoConfig, Stage, smoke


def single_dit_2b() -> LargeVideoConfig:
    """81 frames, at 256 x 256 and then at 832 x 480."""
    return LargeVideoConfig.measured(
        "single_dit_2b",
        SINGLE_DIT["2b"],
        (
            Stage("256px", (21, 32, 32), 4096, 200_000_000, FORMATS_256),
            Stage("480p", (21, 60, 104), 1024, 50_000_000, FORMATS_480),
        ),
        multiple=64,
        shift_from=21 * 16 * 16,
    )


def single_dit_2b_smoke() -> LargeVideoConfig:
    return smoke(single_dit_2b())
