"""Motion VAE: the motion of a clip, given its photo, in a few latents.

Conditioned on the reference photo as in Reducio (arXiv 2411.13552). The encoder reads motion fields, not pixels:
exact ones of a generated world, or estimated flow of footage. The decoder gives two smooth backward fields (scene,
product), the light on the product, and, once per photo, the colours behind the product. They are resolution-free: the
compositor applies them to the photo's own pixels at any size.

Legend: B batch, C channels, T key times after the first (16), h w field grid (half the photo's grid H W), latents at
T/4 x H/8 x W/8.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from engine.models.base import Model

FIELDS, TIMES, LATENTS = 5, 16, 4  # fields, key times after the first, latent times
PATCH = 4  # field cells per latent cell and axis
FLOW_SCALE, LIGHT_SCALE = 0.03, 0.15  # typical size of the fields: what the networks see is near unit variance


@dataclass
class Reference:
    """Features of the photo at 1/2, 1/4 and 1/8 of its grid."""

    half: Tensor
    quarter: Tensor
    eighth: Tensor


class MotionVAE(Model):
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
        """Colours behind the product [B, 3, H/2, W/2], near [-1, 1]; meaningful where the mask is."""
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
    """Pre-norm residual block of two 3 x 3 convolutions."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(8, channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.norm2 = nn.GroupNorm(8, channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.skip = nn.Conv2d(channels_in, channels_out, 1) if channels_in != channels_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        return self.skip(x) + self.conv2(F.silu(self.norm2(h)))


class ReferenceNet(nn.Module):
    """Photo and mask to features at three scales."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.to_half = nn.Sequential(nn.Conv2d(4, 48, 4, stride=2, padding=1), ResBlock(48, 48))
        self.to_quarter = nn.Sequential(nn.Conv2d(48, 96, 4, stride=2, padding=1), ResBlock(96, 96))
        self.to_eighth = nn.Sequential(
            nn.Conv2d(96, width, 4, stride=2, padding=1), ResBlock(width, width), ResBlock(width, width)
        )

    def forward(self, photo_BCHW: Tensor) -> Reference:
        half = self.to_half(photo_BCHW)
        quarter = self.to_quarter(half)
        return Reference(half, quarter, self.to_eighth(quarter))


class PlateNet(nn.Module):
    """Features of the photo to the colours behind the product."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.deep = nn.Sequential(ResBlock(width, width), ResBlock(width, width))
        self.to_quarter = ResBlock(width + 96, 64)
        self.to_half = ResBlock(64 + 48, 48)
        self.out = nn.Conv2d(48, 3, 3, padding=1)

    def forward(self, reference: Reference) -> Tensor:
        x = self.deep(reference.eighth)
        x = self.to_quarter(torch.cat([_up2(x), reference.quarter], 1))
        x = self.to_half(torch.cat([_up2(x), reference.half], 1))
        return self.out(F.silu(x))


class Encoder(nn.Module):
    """A linear analysis of 4 x 4 patches over all key times, and what convolutions beside the photo add to it."""

    def __init__(self, latent_channels: int, width: int) -> None:
        super().__init__()
        self.analysis = nn.Conv2d(FIELDS * TIMES, latent_channels * LATENTS, PATCH, stride=PATCH)
        self.merge = nn.Conv2d(latent_channels * LATENTS + width, width, 1)
        self.body = nn.Sequential(*(ResBlock(width, width) for _ in range(2)))
        self.out = nn.Conv2d(width, 2 * latent_channels * LATENTS, 1)
        quiet = torch.zeros(2 * latent_channels * LATENTS)
        quiet[latent_channels * LATENTS :] = -7.0  # little noise: from unit noise it takes hundreds of steps to fall
        nn.init.zeros_(self.out.weight)
        self.out.bias = nn.Parameter(quiet)

    def forward(self, fields_BCThw: Tensor, reference: Reference) -> Tensor:
        linear = self.analysis(fields_BCThw.flatten(1, 2))
        extra = self.out(self.body(self.merge(torch.cat([linear, reference.eighth], 1))))
        mean, logvar = extra.chunk(2, 1)
        return torch.cat([mean + linear, logvar], 1).unflatten(1, (-1, LATENTS))


class Decoder(nn.Module):
    """A linear synthesis of patches, and what convolutions beside the photo add: smooth seams, depth edges.

    Time travels in the channels: the motion of a clip is short and smooth, and 3D convolutions cost eight times as
    much for the same error. Without the linear path (see `fit_linear` in the trainer) learning does not start for
    hundreds of steps.
    """

    def __init__(self, latent_channels: int, width: int) -> None:
        super().__init__()
        self.synthesis = nn.ConvTranspose2d(latent_channels * LATENTS, FIELDS * TIMES, PATCH, stride=PATCH)
        self.merge = nn.Conv2d(latent_channels * LATENTS + width, width, 1)
        self.body = nn.Sequential(*(ResBlock(width, width) for _ in range(3)))
        self.up = ResBlock(2 * width, width)
        self.out = nn.Conv2d(width, 4 * FIELDS * TIMES, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        self.out.bias = nn.Parameter(torch.zeros(4 * FIELDS * TIMES))

    def forward(self, latents_BCThw: Tensor, reference: Reference) -> Tensor:
        latents = latents_BCThw.flatten(1, 2)
        x = self.body(self.merge(torch.cat([latents, reference.eighth], 1)))
        x = self.up(torch.cat([_up2(x), reference.quarter], 1))
        fields = self.synthesis(latents) + F.pixel_shuffle(self.out(x), 2)
        return fields.unflatten(1, (FIELDS, TIMES))


def _up2(x_BCHW: Tensor) -> Tensor:
    return F.interpolate(x_BCHW, scale_factor=2, mode="bilinear", align_corners=False)
