"""See how round a product is from close, under photographic augmentation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.roundness import SPREAD, Roundness
from trainer.objectives.product_mask import photographed

_JITTER = 0.06  # of the square: by how much it is stretched, and two thirds of that moved


def roundness_loss(
    model: Roundness, closeup_B4SS: Tensor, round_B: Tensor, generator: torch.Generator
) -> tuple[Tensor, dict[str, float]]:
    """Mean absolute error, in SPREADs; beside it that of the batch's own median."""
    error = (model(augment(closeup_B4SS, generator)).float() - round_B).abs().mean() / SPREAD
    unseen = (round_B - round_B.median()).abs().mean() / SPREAD
    return error, {"round": error.item(), "unseen": unseen.item()}


def augment(closeup_B4SS: Tensor, generator: torch.Generator) -> Tensor:
    """Half of them mirrored, all of them as other cameras might have taken them, a little stretched and aside."""
    batch, device = len(closeup_B4SS), closeup_B4SS.device
    flipped = (torch.rand(batch, 1, 1, 1, generator=generator) < 0.5).to(device)
    closeup = torch.where(flipped, closeup_B4SS.flip(-1), closeup_B4SS)
    rgb = photographed((closeup[:, :3] + 1) / 2, generator)
    view = torch.eye(2, 3).repeat(batch, 1, 1)
    view[:, :, :2] *= 1 + _JITTER * torch.randn(batch, 2, 1, generator=generator)
    view[:, :, 2] = _JITTER * 2 / 3 * torch.randn(batch, 2, generator=generator)
    grid = F.affine_grid(view.to(device), list(closeup.shape), align_corners=False)
    seen = F.grid_sample(torch.cat([rgb * 2 - 1, closeup[:, 3:]], 1), grid, "bilinear", "border", align_corners=False)
    return seen.contiguous(memory_format=torch.channels_last)
