"""Motion VAE: the motion of a clip, given its photo, in a few latents.

Conditioned on the reference photo as in Reducio (arXiv 2411.13552). The encoder reads motion fields, not pixels: exact ones
of a generated world, or estimated flow of footage. The decoder gives two smooth backward fields (scene, product), the
light on the product, and, once per photo, the colours behind the product. They are resolution-free: the compositor
applies them to the photo's own pixels at any size.

Legend: B batch, C channels, T key times after the first (16), h w field grid (half the photo's grid H W), latents at
T/4 x H/8 x W/8.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

FLOW_SCALE, LIGHT_SCALE = 0.08, 0.25  # typical size of the fields: what the networks see is near unit variance


@dataclass
class Reference:
    """Features of the photo at full, 1/2, 1/4 and 1/8 of its grid."""

    full: Tensor
    half: Tensor
    quarter: Tensor
    eighth: Tensor


class MotionVAE(ModelMixin, ConfigMixin):
    """Fields are packed as [B, 5, T, h, w]: scene flow x, y; product flow x, y; light."""

    @register_to_config
    def __init__(self, latent_channels: int = 8, width: int = 96) -> None:
        super().__init__()
        self.reference_net = ReferenceNet(width)
        self.plate_net = PlateNet(width)
        self.encoder = Encoder(latent_channels, width)
        self.decoder = Decoder(latent_channels, width)
        self.register_buffer("latent_mean", torch.zeros(latent_channels))
        self.register_buffer("latent_std", torch.ones(latent_channels))

    def reference(self, photo_BCHW: Tensor) -> Reference:
        """Features of photo and mask: [B, 4, H, W], rgb in [-1, 1] and mask in [0, 1]; H and W divide by 8."""
        return self.reference_net(photo_BCHW)

    def encode(self, fields_BCThw: Tensor, reference: Reference) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the latents [B, C, T/4, H/8, W/8], not normalised."""
        mean, logvar = self.encoder(normalise(fields_BCThw), reference).chunk(2, 1)
        return mean, logvar.clamp(-12, 4)

    def decode(self, latents_BCThw: Tensor, reference: Reference) -> Tensor:
        """Fields [B, 5, T, h, w] of latents that are not normalised."""
        return denormalise(self.decoder(latents_BCThw, reference))

    def plate(self, reference: Reference) -> Tensor:
        """Colours behind the product [B, 3, H, W], near [-1, 1]; meaningful where the mask is."""
        return self.plate_net(reference)

    def scale_latents(self, latents_BCThw: Tensor) -> Tensor:
        """Zero mean and unit variance per channel, for the diffusion transformer."""
        return (latents_BCThw - self._per_channel(self.latent_mean)) / self._per_channel(self.latent_std)

    def unscale_latents(self, latents_BCThw: Tensor) -> Tensor:
        return latents_BCThw * self._per_channel(self.latent_std) + self._per_channel(self.latent_mean)

    @staticmethod
    def _per_channel(values_C: Tensor) -> Tensor:
        return values_C[None, :, None, None, None]


def _scales(like: Tensor) -> Tensor:
    return torch.tensor([FLOW_SCALE] * 4 + [LIGHT_SCALE], device=like.device, dtype=like.dtype)[:, None, None, None]


def normalise(fields_BCThw: Tensor) -> Tensor:
    return fields_BCThw / _scales(fields_BCThw)


def denormalise(fields_BCThw: Tensor) -> Tensor:
    return fields_BCThw * _scales(fields_BCThw)


class ResBlock(nn.Module):
    """Pre-norm residual block of two 3-wide convolutions, in 2D or 3D."""

    def __init__(self, channels_in: int, channels_out: int, dims: int) -> None:
        super().__init__()
        conv = nn.Conv2d if dims == 2 else nn.Conv3d
        self.norm1 = nn.GroupNorm(8, channels_in)
        self.conv1 = conv(channels_in, channels_out, 3, padding=1)
        self.norm2 = nn.GroupNorm(8, channels_out)
        self.conv2 = conv(channels_out, channels_out, 3, padding=1)
        self.skip = conv(channels_in, channels_out, 1) if channels_in != channels_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        return self.skip(x) + self.conv2(F.silu(self.norm2(h)))


class ReferenceNet(nn.Module):
    """Photo and mask to features at four scales."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4, 32, 3, padding=1)
        self.to_half = nn.Sequential(nn.Conv2d(32, 48, 4, stride=2, padding=1), ResBlock(48, 48, 2))
        self.to_quarter = nn.Sequential(nn.Conv2d(48, 96, 4, stride=2, padding=1), ResBlock(96, 96, 2))
        self.to_eighth = nn.Sequential(
            nn.Conv2d(96, width, 4, stride=2, padding=1), ResBlock(width, width, 2), ResBlock(width, width, 2)
        )

    def forward(self, photo_BCHW: Tensor) -> Reference:
        full = self.stem(photo_BCHW)
        half = self.to_half(full)
        quarter = self.to_quarter(half)
        return Reference(full, half, quarter, self.to_eighth(quarter))


class PlateNet(nn.Module):
    """Features of the photo to the colours behind the product."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.deep = nn.Sequential(ResBlock(width, width, 2), ResBlock(width, width, 2))
        self.to_quarter = ResBlock(width + 96, 64, 2)
        self.to_half = ResBlock(64 + 48, 40, 2)
        self.out = nn.Conv2d(40 + 32, 3, 3, padding=1)

    def forward(self, reference: Reference) -> Tensor:
        x = self.deep(reference.eighth)
        x = self.to_quarter(torch.cat([_up2(x), reference.quarter], 1))
        x = self.to_half(torch.cat([_up2(x), reference.half], 1))
        return self.out(F.silu(torch.cat([_up2(x), reference.full], 1)))


class Encoder(nn.Module):
    """Patches of 4 x 4 x 4 field values, then residual blocks at the latents' grid."""

    def __init__(self, latent_channels: int, width: int) -> None:
        super().__init__()
        self.patch = nn.Conv3d(5, width, 4, stride=4)
        self.merge = nn.Conv3d(2 * width, width, 1)
        self.body = nn.Sequential(*(ResBlock(width, width, 3) for _ in range(1)))
        self.out = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv3d(width, 2 * latent_channels, 1))

    def forward(self, fields_BCThw: Tensor, reference: Reference) -> Tensor:
        x = self.patch(fields_BCThw)
        return self.out(self.body(self.merge(torch.cat([x, _over_time(reference.eighth, x)], 1))))


class Decoder(nn.Module):
    """Latents back to fields beside the photo's features: time doubles twice, space twice, the last time by shuffling
    channels, for the fields are smooth and convolutions at their full grid would cost most of the step."""

    def __init__(self, latent_channels: int, width: int) -> None:
        super().__init__()
        self.merge = nn.Conv3d(latent_channels + width, width, 1)
        self.body = nn.Sequential(*(ResBlock(width, width, 3) for _ in range(3)))
        self.narrow1 = nn.Conv3d(width, 64, 1)
        self.side = nn.Conv2d(96, 64, 1)
        self.up1 = ResBlock(64, 64, 3)
        self.narrow2 = nn.Conv3d(64, 48, 1)
        self.up2 = ResBlock(48, 48, 3)
        self.out = nn.Sequential(nn.GroupNorm(8, 48), nn.SiLU(), nn.Conv3d(48, 4 * 5, 3, padding=1))

    def forward(self, latents_BCThw: Tensor, reference: Reference) -> Tensor:
        x = self.merge(torch.cat([latents_BCThw, _over_time(reference.eighth, latents_BCThw)], 1))
        x = F.interpolate(self.narrow1(self.body(x)), scale_factor=2, mode="trilinear", align_corners=False)
        x = self.up1(x + _over_time(self.side(reference.quarter), x))
        x = F.interpolate(self.narrow2(x), scale_factor=(2, 1, 1), mode="trilinear", align_corners=False)
        return _shuffle2(self.out(self.up2(x)))


def _up2(x_BCHW: Tensor) -> Tensor:
    return F.interpolate(x_BCHW, scale_factor=2, mode="bilinear", align_corners=False)


def _shuffle2(x_BCThw: Tensor) -> Tensor:
    """Channels to twice the height and width, frame by frame."""
    return F.pixel_shuffle(x_BCThw.transpose(1, 2), 2).transpose(1, 2)


def _over_time(x_BCHW: Tensor, like_BCTHW: Tensor) -> Tensor:
    return x_BCHW[:, :, None].expand(-1, -1, like_BCTHW.shape[2], -1, -1)
