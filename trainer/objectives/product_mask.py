"""Find the product: binary cross-entropy at every scale and soft Dice, on photographs, augmented as cameras differ."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.product_mask import SIDE, ProductMask

# Sides that a batch is seen at, with the running sum of their shares: small ones cost a third, and scales are learnt
# beside.
SIDES = ((SIDE * 3 // 5, 0.45), (SIDE * 4 // 5, 0.8), (SIDE, 1.0))


def product_mask_loss(
    model: ProductMask,
    rgb_B3HW: Tensor,
    mask_B1HW: Tensor,
    generator: torch.Generator,
    rows: slice = slice(None),
) -> tuple[Tensor, dict[str, float]]:
    """(loss, metrics) over `rows` of a batch; rgb in [0, 1], mask in [0, 1], both SIDE x SIDE."""
    pick = torch.rand((), generator=generator).item()
    side = next((side for side, share in SIDES if pick < share), SIDE)
    rgb_B3HW, mask_B1HW = augment(rgb_B3HW, mask_B1HW, generator, side)
    rgb_B3HW, mask_B1HW = rgb_B3HW[rows], mask_B1HW[rows]  # augmented as a whole: every rank draws alike
    scales = model.scales(rgb_B3HW * 2 - 1).float()
    logits = model.out(scales).float()
    every = torch.cat([logits, scales], 1)  # each scale learns the whole mask by itself (arXiv 2005.09007, eq. 3)
    bce = F.binary_cross_entropy_with_logits(every, mask_B1HW.expand_as(every))
    p = torch.sigmoid(logits)
    overlap = (p * mask_B1HW).sum((1, 2, 3))
    dice = 1 - ((2 * overlap + 1) / (p.sum((1, 2, 3)) + mask_B1HW.sum((1, 2, 3)) + 1)).mean()
    return bce + dice, {"bce": bce.item(), "dice": dice.item(), "iou": hard_iou(logits, mask_B1HW).item()}


def hard_iou(logits_B1HW: Tensor, mask_B1HW: Tensor) -> Tensor:
    """Mean intersection over union of the thresholded masks."""
    a, b = logits_B1HW > 0, mask_B1HW > 0.5
    return ((a & b).sum((1, 2, 3)) / (a | b).sum((1, 2, 3)).clamp(min=1)).mean()


def augment(rgb: Tensor, mask: Tensor, generator: torch.Generator, side: int) -> tuple[Tensor, Tensor]:
    """Flip, crop, blur, noise, colour and exposure by the generator, at side x side; the mask follows flip and crop."""
    uniform = partial(_uniform, generator, rgb.device)
    batch = rgb.shape[0]
    theta = torch.zeros(batch, 2, 3, device=rgb.device)
    flip = torch.where(uniform(0.0, 1.0, batch) < 0.5, -1.0, 1.0)
    scale = uniform(0.6, 1.1, batch)  # below 1: closer, and cut by the edge
    theta[:, 0, 0], theta[:, 1, 1] = scale * flip, scale * uniform(0.85, 1.15, batch)
    theta[:, :, 2] = uniform(-0.15, 0.15, batch, 2)
    grid = F.affine_grid(theta, [batch, 3, side, side], align_corners=False)
    rgb = F.grid_sample(rgb, grid, padding_mode="reflection", align_corners=False)
    mask = F.grid_sample(mask, grid, padding_mode="reflection", align_corners=False)
    return photographed(rgb, generator), mask


def photographed(rgb_B3HW: Tensor, generator: torch.Generator) -> Tensor:
    """Photos in [0, 1] as other cameras might have taken them: blur, colour, exposure and noise by the generator."""
    uniform = partial(_uniform, generator, rgb_B3HW.device)
    rgb, batch = rgb_B3HW, rgb_B3HW.shape[0]
    if torch.rand((), generator=generator) < 0.4:
        rgb = F.avg_pool2d(rgb, 3, stride=1, padding=1, count_include_pad=False)
    gray = rgb.mean(1, keepdim=True)
    rgb = gray + (rgb - gray) * uniform(0.0, 1.6, batch, 1, 1, 1)
    rgb = rgb * uniform(0.7, 1.3, batch, 3, 1, 1) + uniform(-0.1, 0.1, batch, 1, 1, 1)
    rgb = rgb.clamp(1e-3, 1) ** uniform(0.6, 1.6, batch, 1, 1, 1)
    rgb = rgb + torch.randn(rgb.shape, generator=generator).to(rgb.device) * uniform(0, 0.06, batch, 1, 1, 1)
    return rgb.clamp(0, 1)


def _uniform(generator: torch.Generator, device: torch.device, low: float, high: float, *shape: int) -> Tensor:
    return (low + (high - low) * torch.rand(shape, generator=generator)).to(device)
