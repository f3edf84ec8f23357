"""The Multimodal-DiT of 13.4 B parameters. To be trained on a cluster: it has been run at its smoke size only.

The schedule is that of the field (256 px, 480p, 720p, as in Seaweed, arXiv 2504.08685); batches and samples are ours.
"""

from __future__ import annotations

from engine.models.presets import MULTIMODAL_DIT
from trainer.recipes.large import FORMATS_256, FORMATS_480, FORMATS_720, LargeVideoConfig, Stage, smoke


def multimodal_dit_13b() -> LargeVideoConfig:
    """81 frames at 256 x 256 and 832 x 480, then 121 at 1280 x 720."""
    return LargeVideoConfig.measured(
        "multimodal_dit_13b",
        MULTIMODAL_DIT["13b"],
        (
            Stage("256px", (21, 32, 32), 4096, 200_000_000, FORMATS_256),
            Stage("480p", (21, 60, 104), 1024, 50_000_000, FORMATS_480),
            Stage("720p", (31, 90, 160), 512, 10_000_000, FORMATS_720),
        ),
        multiple=64,
        shift_from=21 * 16 * 16,
    )


def multimodal_dit_13b_smoke() -> LargeVideoConfig:
    return smoke(multimodal_dit_13b())
