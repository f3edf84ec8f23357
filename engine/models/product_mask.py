"""Which pixels are the product.

U2-Net (Qin et al., Pattern Recognition 2020, arXiv 2005.09007), the small one: a U-Net whose every block is a U-Net, so
that each scale sees far. Norms are folded into the convolutions. Legend: B batch, C channels, H W the photo's grid.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from engine.models.base import Model

SIDE = 320  # photos are squeezed to SIDE x SIDE whatever their shape
# Of an encoder's blocks, from fine to coarse: how often each halves its grid. A block that does not looks further by
# dilation instead: at a sixteenth of the grid and below there is little left to halve.
DEPTHS = (5, 4, 3, 2, None, None)
COLOUR_MEAN, COLOUR_SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's photographs


class ProductMask(Model):
    """Logits [B, 1, H, W] of 'this is the product' for rgb in [-1, 1], [B, 3, H, W]; any height and width."""

    @register_to_config
    def __init__(self, middle: int = 16, width: int = 64) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            NestedBlock(width if i else 3, middle, width, depth) for i, depth in enumerate(DEPTHS)
        )
        self.up = nn.ModuleList(NestedBlock(2 * width, middle, width, depth) for depth in DEPTHS[-2::-1])
        self.sides = nn.ModuleList(nn.Conv2d(width, 1, 3, padding=1) for _ in DEPTHS)  # from fine to coarse
        self.out = nn.Conv2d(len(DEPTHS), 1, 1)

    def forward(self, rgb_B3HW: Tensor) -> Tensor:
        return self.out(self.scales(rgb_B3HW))

    def scales(self, rgb_B3HW: Tensor) -> Tensor:
        """Logits [B, len(DEPTHS), H, W] that each scale gives by itself, from fine to coarse; `out` weighs them."""
        x, passed = _as_learnt(rgb_B3HW), list[Tensor]()
        for block in self.down:
            x = block(F.max_pool2d(x, 2, ceil_mode=True) if passed else x)
            passed.append(x)
        seen = [passed.pop()]
        for block in self.up:
            x = block(torch.cat([_like(seen[0], passed[-1]), passed.pop()], 1))
            seen.insert(0, x)
        return torch.cat([_like(side(x), rgb_B3HW) for side, x in zip(self.sides, seen, strict=True)], 1)


class NestedBlock(nn.Module):
    """A U-Net as a residual: [B, inputs, H, W] -> [B, outputs, H, W], in between `middle` channels."""

    def __init__(self, inputs: int, middle: int, outputs: int, depth: int | None) -> None:
        super().__init__()
        self.pools = depth is not None
        levels = 3 if depth is None else depth + 1
        reach = [1 if self.pools else 2**i for i in range(levels)]  # dilation
        self.enter = _convolution(inputs, outputs, 1)
        self.down = nn.ModuleList(_convolution(middle if i else outputs, middle, reach[i]) for i in range(levels))
        self.bottom = _convolution(middle, middle, 2 if self.pools else 2**levels)
        self.up = nn.ModuleList(
            _convolution(2 * middle, middle if i else outputs, reach[i]) for i in reversed(range(levels))
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        whole = x = self.enter(x_BCHW)
        passed: list[Tensor] = []
        for convolution in self.down:
            x = convolution(F.max_pool2d(x, 2, ceil_mode=True) if passed and self.pools else x)
            passed.append(x)
        x = self.bottom(x)
        for convolution in self.up:
            x = convolution(torch.cat([_like(x, passed[-1]), passed.pop()], 1))
        return x + whole


def _convolution(inputs: int, outputs: int, dilation: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation), nn.ReLU(inplace=True))


def _like(x_BCHW: Tensor, other: Tensor) -> Tensor:
    """`x` on the grid of `other`."""
    if x_BCHW.shape[-2:] == other.shape[-2:]:
        return x_BCHW
    return F.interpolate(x_BCHW, size=other.shape[-2:], mode="bilinear", align_corners=False)


def _as_learnt(rgb_B3HW: Tensor) -> Tensor:
    """Each photo at its own brightest, then by the colours of photographs: what the published weights have seen."""
    light = (rgb_B3HW + 1) / 2
    light = light / light.amax((1, 2, 3), keepdim=True).clamp(min=1e-6)
    mean, spread = (
        torch.tensor(values, device=light.device, dtype=light.dtype)[:, None, None]
        for values in (COLOUR_MEAN, COLOUR_SPREAD)
    )
    return (light - mean) / spread
