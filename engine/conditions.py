"""What the motion models read beside the noise: the photo on their grid, controls as ids, the prompt as tokens.

Training and inference both go through here, so that they cannot drift apart.
Legend: B batch, C channels, H W photo grid, T latent times.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.motion_vae import Reference
from engine.models.relief import MIDDLE, SPREAD

CAMERA_IDS = (
    "auto",
    "static",
    "pan-left",
    "pan-right",
    "tilt-up",
    "tilt-down",
    "dolly-in",
    "dolly-out",
    "orbit-left",
    "orbit-right",
    "roll-left",
    "roll-right",
)
SUBJECT_IDS = ("auto", "still", "float", "turn", "light-sweep")
CONTROL_SIZES = (len(CAMERA_IDS), len(SUBJECT_IDS))
# Grids (height, width) of the photo that the models see. Their sides divide by 8, their areas are about equal.
GRIDS: dict[str, tuple[int, int]] = {"9:16": (80, 48), "1:1": (64, 64), "4:5": (72, 56), "16:9": (48, 80)}
KEYS = 17  # key times of the motion, the first being the photo itself
LATENT_TIMES = 4
REFERENCE_CHANNELS = 96
CONDITION_CHANNELS = REFERENCE_CHANNELS + 4 * 64 + 2 + 16


def photo_tensor(photos_BHW4: np.ndarray) -> Tensor:
    """uint8 rgb and mask to [B, 4, H, W]: rgb in [-1, 1], mask in [0, 1]; what every model here reads."""
    x = torch.from_numpy(np.ascontiguousarray(photos_BHW4)).permute(0, 3, 1, 2).float() / 255
    return torch.cat([x[:, :3] * 2 - 1, x[:, 3:]], 1)


def dense_condition(photo_BCHW: Tensor, reference: Reference, disparity_B1hw: Tensor) -> Tensor:
    """Condition channels [B, C, T, H/8, W/8]: reference features, the photo and mask themselves, where each cell
    lies, and the scene's disparity on half the photo's grid: how far a cell travels is its multiple of the move.
    """
    batch, _, height, width = photo_BCHW.shape
    pixels = F.pixel_unshuffle(photo_BCHW, 8)
    aspect = width / height
    y = torch.linspace(-1, 1, height // 8, device=photo_BCHW.device) / aspect**0.5
    x = torch.linspace(-1, 1, width // 8, device=photo_BCHW.device) * aspect**0.5
    place = torch.stack(torch.meshgrid(y, x, indexing="ij")).expand(batch, -1, -1, -1)
    features = reference.eighth.float()  # of any scale, whatever the autoencoder found convenient
    features = (features - features.mean(1, keepdim=True)) / (features.std(1, keepdim=True) + 1e-4)
    depths = F.pixel_unshuffle((disparity_B1hw.float() - MIDDLE) / SPREAD, 4)
    flat = torch.cat([features, pixels, place.to(pixels.dtype), depths.to(pixels.dtype)], 1)
    return flat[:, :, None].expand(-1, -1, LATENT_TIMES, -1, -1)


def control_tensors(controls: list[tuple[str, float, str, float]]) -> tuple[Tensor, Tensor]:
    """ids [B, 2] and strengths [B, 2] of (camera move, strength, subject motion, strength) rows."""
    ids = torch.tensor([[CAMERA_IDS.index(c), SUBJECT_IDS.index(s)] for c, _, s, _ in controls])
    strengths = torch.tensor([[cs, ss] for _, cs, _, ss in controls], dtype=torch.float32)
    return ids, strengths
