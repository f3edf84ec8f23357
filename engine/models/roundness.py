"""How round a product is: 1 is a bottle, 0.3 a box. How far the front of a turned product shifts is the turn times its
roundness. What tells it is what kind of thing it is, so it is seen from close (`media/closeup`), by a network of its
own: at the size the motion model sees, with the depths of the scene, it was off by twice as much.

A small convolutional network. Legend: B batch, S side of the closeup.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from engine.models.base import Model
from engine.models.motion_vae import ResBlock

MIDDLE, SPREAD = 0.7, 0.25  # of roundness in the worlds


class Roundness(Model):
    """Closeups [B, 4, S, S] (rgb in [-1, 1], mask in [0, 1]) -> roundness [B], the depth as a share of the width."""

    @register_to_config
    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4 + 2, width, 4, stride=2, padding=1)
        self.body = nn.Sequential(
            ResBlock(width, width),
            _halved(width, 2 * width),
            ResBlock(2 * width, 2 * width),
            _halved(2 * width, 3 * width),
            *(ResBlock(3 * width, 3 * width) for _ in range(2)),
            _halved(3 * width, 4 * width),
            *(ResBlock(4 * width, 4 * width) for _ in range(2)),
        )
        self.told = nn.Sequential(nn.Linear(8 * width, 4 * width), nn.SiLU(), nn.Linear(4 * width, 1))

    def forward(self, closeup_B4SS: Tensor) -> Tensor:
        axis = torch.linspace(-1, 1, closeup_B4SS.shape[-1], device=closeup_B4SS.device, dtype=closeup_B4SS.dtype)
        places = torch.stack(torch.meshgrid(axis, axis, indexing="ij")).expand(len(closeup_B4SS), -1, -1, -1)
        x = F.silu(self.body(self.stem(torch.cat([closeup_B4SS, places], 1))))
        return MIDDLE + SPREAD * self.told(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1))[:, 0]


def _halved(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 4, stride=2, padding=1)
