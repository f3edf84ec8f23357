"""How far away the scene behind the product is: a table that runs towards the camera, a wall, things that stand about.

The size of a move at a place is that of the camera times the disparity there, so the motion model is told it. Left to
find it by itself, it took a wall for a floor and a floor for a wall: its dollies were of any size.
"""

from __future__ import annotations

from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from engine.models.photo_unet import PhotoUNet

MIDDLE, SPREAD = 0.45, 0.25  # of disparities in the worlds, about


class SceneDepth(PhotoUNet):
    """Disparity [B, 1, H/2, W/2], 1 / depth in product depths, of photo and mask [B, 4, H, W] as the Motion VAE reads
    them: rgb in [-1, 1], mask in [0, 1]. Where the product is, of what it hides.
    """

    @register_to_config
    def __init__(self, widths: tuple[int, ...] = (32, 64, 96, 128), layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self._make(4, widths, layers, heads)
        self.out = nn.Conv2d(widths[0], 1, 3, padding=1)

    def forward(self, photo_B4HW: Tensor) -> Tensor:
        return MIDDLE + SPREAD * self.out(self.features(photo_B4HW))
