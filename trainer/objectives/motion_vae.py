"""Reconstruct exact motion through few latents; fill in what lies behind the product.

Legend: B batch, T key times after the first, h w field grid, H W photo grid.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.motion_vae import PATCH, MotionVAE, normalise

KL_WEIGHT = 1e-3
OUTSIDE = 0.05  # weight of the product's fields where the product is not: a smooth continuation is all that is needed


def motion_vae_loss(
    model: MotionVAE,
    photo_BCHW: Tensor,
    plate_B3HW: Tensor,
    fields_B5Thw: Tensor,
    alpha_BThw: Tensor,
    generator: torch.Generator,
) -> tuple[Tensor, dict[str, float]]:
    """Fields, their slopes (rigidity inside the product), the plate, and the latents' divergence from a unit
    Gaussian.
    """
    reference = model.reference(photo_BCHW)
    mean, logvar = (x.float() for x in model.encode(fields_B5Thw, reference))
    noise = torch.randn(mean.shape, generator=generator).to(mean.device)
    decoded = model.decode(mean + torch.exp(0.5 * logvar) * noise, reference).float()
    error_B5Thw = normalise(decoded) - normalise(fields_B5Thw)
    weight_B5Thw = field_weights(alpha_BThw)
    value = (weight_B5Thw * charbonnier(error_B5Thw)).sum() / weight_B5Thw.sum()
    slope = slopes(error_B5Thw, weight_B5Thw)
    plate = plate_loss(model.plate(reference).float(), plate_B3HW, photo_BCHW[:, 3:])
    kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean()
    loss = value + 2.0 * slope + 0.5 * plate + KL_WEIGHT * kl
    names = {"value": value, "slope": slope, "plate": plate, "kl": kl}
    return loss, {name: x.item() for name, x in names.items()}


@torch.no_grad()
def fit_linear(model: MotionVAE, fields_B5Thw: Tensor) -> float:
    """Set the model's linear path to the principal components of these fields' patches, of unit variance each.

    Returns the share of the variance that the components hold.
    """
    patches = (
        F.unfold(normalise(fields_B5Thw).flatten(1, 2), PATCH, stride=PATCH).transpose(1, 2).flatten(0, 1).double()
    )
    moment = patches.T @ patches / len(patches)
    values, vectors = torch.linalg.eigh(moment)
    count = model.encoder.analysis.out_channels
    values, vectors = values.flip(0)[:count], vectors.flip(1)[:, :count]
    spread = values.sqrt()
    shape = model.encoder.analysis.weight.shape
    model.encoder.analysis.weight.copy_((vectors / spread).T.reshape(shape))
    model.decoder.synthesis.weight.copy_((vectors * spread).T.reshape(shape))
    for layer in (model.encoder.analysis, model.decoder.synthesis):
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
    return float(values.sum() / moment.trace())


def field_weights(alpha_BThw: Tensor) -> Tensor:
    """[B, 5, T, h, w]: the scene's flow counts everywhere, the product's and the light mostly on the product."""
    near = F.max_pool3d(alpha_BThw[:, None], (1, 3, 3), stride=1, padding=(0, 1, 1))
    product = OUTSIDE + (1 - OUTSIDE) * near
    return torch.cat([torch.ones_like(product).expand(-1, 2, -1, -1, -1), product.expand(-1, 3, -1, -1, -1)], 1)


def slopes(error: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring errors in space and time: 0 where the error is a mere shift."""
    total = error.new_zeros(())
    for axis in (2, 3, 4):
        n = error.shape[axis] - 1
        difference = (error.narrow(axis, 1, n) - error.narrow(axis, 0, n)).abs()
        pair = torch.minimum(weight.narrow(axis, 1, n), weight.narrow(axis, 0, n))
        total = total + (pair * difference).sum() / pair.sum()
    return total


def plate_loss(plate_B3HW: Tensor, exact_B3HW: Tensor, mask_B1HW: Tensor) -> Tensor:
    """Mean absolute error where the product hides the background, on the plate's grid (half the photo's)."""
    exact_B3HW, mask_B1HW = F.avg_pool2d(exact_B3HW, 2), F.max_pool2d(mask_B1HW, 2)
    near = F.max_pool2d(mask_B1HW, 3, stride=1, padding=1)
    weight = 0.02 + near
    return (weight * (plate_B3HW - exact_B3HW).abs()).sum() / (3 * weight.sum())


def charbonnier(x: Tensor) -> Tensor:
    return torch.sqrt(x * x + 1e-4) - 1e-2
