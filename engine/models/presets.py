"""The sizes of the two video transformers, as the arguments of their classes.

The shapes are ours: the papers give parameter counts only. They follow Goku-2B (arXiv 2502.04896) and HunyuanVideo
(2412.03603), with head width 128 and heads divisible by 8, so that heads spread evenly. The large ones read latents of
diffusers' `AutoencoderKLWan` (16 channels; 8 x 8 x 4) with a photo or video and its mask as a condition (16 + 4
channels, as Wan 2.1 does), and text of a T5-XXL-class encoder (4096 wide).
"""

from __future__ import annotations

from typing import Any

LARGE: dict[str, Any] = {
    "in_channels": 16,
    "condition_channels": 20,
    "patch_size": (1, 2, 2),
    "text_dim": 4096,
    "rope_axes": (16, 56, 56),
}
NANO: dict[str, Any] = {"patch_size": (1, 1, 1), "hidden": 192, "heads": 3, "text_dim": 128, "rope_axes": (8, 28, 28)}

SINGLE_DIT: dict[str, dict[str, Any]] = {
    "nano": {**NANO, "patch_size": (4, 1, 1), "depth": 6},
    "2b": {**LARGE, "hidden": 2048, "depth": 26, "heads": 16},
}
MULTIMODAL_DIT: dict[str, dict[str, Any]] = {
    "nano": {**NANO, "dual_depth": 2, "single_depth": 4},
    "13b": {**LARGE, "hidden": 3072, "dual_depth": 20, "single_depth": 46, "heads": 24},
}
