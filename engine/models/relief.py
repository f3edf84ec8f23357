"""The relief of a photo: how far away the scene behind the product is (a table that runs towards the camera, a wall,
things that stand about).

The size of a move at a place is that of the camera times the disparity there, so the motion model is told it. Left to
find it by itself, it took a wall for a floor and a floor for a wall: its dollies were of any size.

A small U-Net, with global attention at its lowest grid.
Legend: B batch, C channels, H W the photo's grid, h w half of it.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from engine.models.base import Model
from engine.models.blocks import FeedForward, SelfAttention, rotary_table
from engine.models.motion_vae import ResBlock

MIDDLE, SPREAD = 0.45, 0.25  # of disparities in the worlds, about


class Relief(Model):
    """Photo and mask [B, 4, H, W] as the Motion VAE reads them (rgb in [-1, 1], mask in [0, 1]) -> the scene's
    disparity [B, 1, h, w], 1 / depth in product depths, where the product is of what it hides.
    """

    @register_to_config
    def __init__(self, widths: tuple[int, ...] = (32, 64, 96, 128), layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        # Nothing is computed at the full grid, which would cost more than all the rest: it is folded into channels.
        self.stem = nn.Conv2d(4 + 2, widths[0], 4, stride=2, padding=1)
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 4, stride=2, padding=1), ResBlock(b, b)) for a, b in pairwise(widths)
        )
        self.middle = nn.ModuleList(GlobalLayer(widths[-1], heads) for _ in range(layers))
        self.up = nn.ModuleList(ResBlock(a + b, b) for a, b in zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.disparity = nn.Conv2d(widths[0], 1, 3, padding=1)

    def forward(self, photo_B4HW: Tensor) -> Tensor:
        x = self.stem(torch.cat([photo_B4HW, _places(photo_B4HW)], 1))
        sides = []
        for down in self.down:
            sides.append(x)
            x = down(x)
        x = self._look_around(x)
        for up, side in zip(self.up, reversed(sides), strict=True):
            x = F.interpolate(x, size=side.shape[-2:], mode="bilinear", align_corners=False)
            x = up(torch.cat([x, side], 1))
        return MIDDLE + SPREAD * self.disparity(F.silu(x))

    def _look_around(self, x_BCHW: Tensor) -> Tensor:
        height, width = x_BCHW.shape[-2:]
        axes = [torch.arange(n, device=x_BCHW.device, dtype=torch.float32) for n in (height, width)]
        position = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, 1)
        head = x_BCHW.shape[1] // self.heads
        rotary = rotary_table(position, (head // 2, head // 2))
        x_BLD = x_BCHW.flatten(2).transpose(1, 2)
        for layer in self.middle:
            x_BLD = layer(x_BLD, rotary)
        return x_BLD.transpose(1, 2).unflatten(-1, (height, width))


class GlobalLayer(nn.Module):
    """Pre-norm transformer layer over all cells of the lowest grid."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = FeedForward(dim, 3)

    def forward(self, x_BLD: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
        x_BLD = x_BLD + self.attention(self.norm1(x_BLD), rotary)
        return x_BLD + self.mlp(self.norm2(x_BLD))


def _places(like_BCHW: Tensor) -> Tensor:
    batch, _, height, width = like_BCHW.shape
    y = torch.linspace(-1, 1, height, device=like_BCHW.device, dtype=like_BCHW.dtype)
    x = torch.linspace(-1, 1, width, device=like_BCHW.device, dtype=like_BCHW.dtype)
    return torch.stack(torch.meshgrid(y, x, indexing="ij")).expand(batch, -1, -1, -1)
