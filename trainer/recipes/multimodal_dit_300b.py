"""A Multimodal-DiT of the 300 B class: for planning only. The shape is ours: 96 heads of 128, more joint blocks."""

from __future__ import annotations

from typing import Any

from engine.models.presets import LARGE
from trainer.recipes.large import LargeVideoConfig, Stage

MODEL: dict[str, Any] = {**LARGE, "hidden": 12288, "dual_depth": 20, "single_depth": 84, "heads": 96}


def multimodal_dit_300b() -> LargeVideoConfig:
    """121 frames at 1280 x 720, after 81 at 832 x 480."""
    return LargeVideoConfig.measured(
        "multimodal_dit_300b",
        MODEL,
        (Stage("480p", (21, 60, 104), 1024, 50_000_000), Stage("720p", (31, 90, 160), 512, 10_000_000)),
    )
