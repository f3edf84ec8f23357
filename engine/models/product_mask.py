"""Which pixels are the product."""

from __future__ import annotations

import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from engine.models.photo_unet import PhotoUNet

SIDE = 160  # photos are squeezed to SIDE x SIDE whatever their shape


class ProductMask(PhotoUNet):
    """Logits [B, 1, H, W] of 'this is the product' for rgb in [-1, 1], [B, 3, H, W]; H and W divide by 16."""

    @register_to_config
    def __init__(self, widths: tuple[int, ...] = (32, 64, 96, 128), layers: int = 6, heads: int = 4) -> None:
        super().__init__()
        self._make(3, widths, layers, heads)
        self.out = nn.Conv2d(widths[0], 4, 3, padding=1)

    def forward(self, rgb_B3HW: Tensor) -> Tensor:
        return F.pixel_shuffle(self.out(self.features(rgb_B3HW)), 2)
