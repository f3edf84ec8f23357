"""See the relief of a photo: the error of the scene's disparity, under photographic augmentation."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.models.relief import SPREAD, Relief
from trainer.objectives.product_mask import photographed


def relief_loss(
    model: Relief, photo_B4HW: Tensor, disparity_B1hw: Tensor, generator: torch.Generator
) -> tuple[Tensor, dict[str, float]]:
    """Mean absolute error, in SPREADs, of the disparity and of its slope down the picture, which tells floor from wall.

    The photo as every model here reads it; flipped, and with other colours, exposure and noise, by the generator.
    """
    photo, exact = augment(photo_B4HW, disparity_B1hw, generator)
    error = (model(photo).float() - exact) / SPREAD
    value, slope = error.abs().mean(), (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    flat = (exact - exact.mean((1, 2, 3), keepdim=True)).abs().mean() / SPREAD
    parts = {"value": value, "slope": slope, "unseen": flat}
    return value + slope, {name: part.item() for name, part in parts.items()}


def augment(photo_B4HW: Tensor, disparity_B1hw: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Half of them mirrored, all of them as other cameras might have taken them."""
    flipped = (torch.rand(len(photo_B4HW), 1, 1, 1, generator=generator) < 0.5).to(photo_B4HW.device)
    photo = torch.where(flipped, photo_B4HW.flip(-1), photo_B4HW)
    rgb = photographed((photo[:, :3] + 1) / 2, generator)
    return torch.cat([rgb * 2 - 1, photo[:, 3:]], 1), torch.where(flipped, disparity_B1hw.flip(-1), disparity_B1hw)
