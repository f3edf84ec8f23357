"""The causal video VAE: reconstruction and a small pull of the latents to a unit normal.

It begins by learning the films' principal components, encoder and decoder apart from each other. Learning both at once
from nothing, it stood at 19.5 dB after 1,500 steps, grey and blurred, where as many components hold 27 dB.

`AutoencoderKLWan` encodes and decodes frame by frame with caches; `whole` has it do the same in one pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan, WanResample, patchify, unpatchify
from torch import Tensor, nn

from engine.latent_video import SPACE, TIME
from trainer.draws import normal_like_whole

KL_WEIGHT = 1e-5  # a fiftieth of what the likelihood of pixels with a deviation of 0.1 would ask for
ABSOLUTE = 0.1  # weight of the absolute error, which keeps edges
COMPONENTS = 0.1  # weight of the encoder's error in components of unit variance
LATENT_NOISE = 0.05  # what the decoder learns to bear while the encoder is still wrong
QUIET = -6.0  # log-variance to begin with: out of unit noise nothing is learnt for hundreds of steps
LEAST_WEIGHT = 0.1  # of a latent in the transformers' loss
SMALL = 0.3  # what is left of a convolution's random weights beside its orthogonal middle


def video_vae_loss(
    vae: AutoencoderKLWan, video_BCTHW: Tensor, generator: torch.Generator
) -> tuple[Tensor, dict[str, float]]:
    """Squared and absolute error of videos in [-1, 1] of 1 + 4n frames, and the KL divergence of their latents."""
    with whole(vae):
        mean, logvar = moments(vae, video_BCTHW)
        logvar = logvar.clamp(-20, 10)
        noise = normal_like_whole(generator, *mean.shape).to(mean.device)
        made_BCTHW = reconstructed(vae, mean + torch.exp(logvar / 2) * noise).float()
    square = F.mse_loss(made_BCTHW, video_BCTHW)
    kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
    loss = square + ABSOLUTE * F.l1_loss(made_BCTHW, video_BCTHW) + KL_WEIGHT * kl
    return loss, {"psnr": psnr(square.item()), "kl": kl.item()}


@dataclass(frozen=True)
class Principal:
    """The principal components of blocks of a first frame [8, 8] and of later frames [4, 8, 8]: mean [D], directions
    [D, C] and deviations [C] of each.
    """

    first: tuple[Tensor, Tensor, Tensor]
    later: tuple[Tensor, Tensor, Tensor]

    @classmethod
    def fit(cls, video_BCTHW: Tensor, components: int) -> Principal:
        return cls(
            _components(_blocks(video_BCTHW[:, :, :1], 1), components),
            _components(_blocks(video_BCTHW[:, :, 1:], TIME), components),
        )

    def latents(self, video_BCTHW: Tensor) -> Tensor:
        """[B, C, t, h, w], each component of unit variance."""
        parts = ((video_BCTHW[:, :, :1], 1, self.first), (video_BCTHW[:, :, 1:], TIME, self.later))
        found = [(_blocks(part, time) - mean) @ directions / size for part, time, (mean, directions, size) in parts]
        return torch.cat(found, 1).permute(0, 4, 1, 2, 3)

    def to(self, device: torch.device) -> Principal:
        """The same on a device: they are fitted on the CPU, since components of another device may have other signs."""
        parts = (self.first, self.later)
        return Principal(
            *((mean.to(device), directions.to(device), size.to(device)) for mean, directions, size in parts)
        )

    @property
    def weights(self) -> Tensor:
        """[C], mean about 1: latents have equal variance, but one of 16 holds three quarters of the picture's. Each
        counts by what its error costs in pixels, and the small ones, which are textures, not less than LEAST_WEIGHT.
        """
        cost_C = (self.first[2] + self.later[2]).square()
        return (cost_C / cost_C.mean()).clamp(min=LEAST_WEIGHT)


def _blocks(video_BCTHW: Tensor, time: int) -> Tensor:
    """[B, T/time, H/8, W/8, D]."""
    x = video_BCTHW.unflatten(4, (-1, SPACE)).unflatten(3, (-1, SPACE)).unflatten(2, (-1, time))
    return x.permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(4)


def _components(blocks: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    rows_ND = blocks.flatten(0, -2)
    variances_D, directions_DD = torch.linalg.eigh(torch.cov(rows_ND.T))
    return rows_ND.mean(0), directions_DD[:, -count:].flip(1), variances_D[-count:].flip(0).sqrt()


def principal_loss(
    vae: AutoencoderKLWan, video_BCTHW: Tensor, principal: Principal, generator: torch.Generator
) -> tuple[Tensor, dict[str, float]]:
    """The encoder learns the components, all of one size, so colours early; the decoder what they look like."""
    target = principal.latents(video_BCTHW)
    with whole(vae):
        mean, _ = moments(vae, video_BCTHW)
        noisy = target + LATENT_NOISE * normal_like_whole(generator, *target.shape).to(target.device)
        made_BCTHW = reconstructed(vae, noisy).float()
    components, square = F.mse_loss(mean, target), F.mse_loss(made_BCTHW, video_BCTHW)
    loss = square + ABSOLUTE * F.l1_loss(made_BCTHW, video_BCTHW) + COMPONENTS * components
    return loss, {"psnr": psnr(square.item()), "components": components.item()}


def video_tensor(frames_BTHW3: np.ndarray) -> Tensor:
    """uint8 frames to [B, 3, T, H, W] in [-1, 1]."""
    return torch.from_numpy(np.array(frames_BTHW3)).permute(0, 4, 1, 2, 3).float() / 127.5 - 1


def wide_layout(vae: AutoencoderKLWan) -> AutoencoderKLWan:
    """With 3D weights laid out as the CPU's convolutions want them; Module.to would refuse those of other ranks."""
    for module in vae.modules():
        if isinstance(module, nn.Conv3d):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last_3d)
    return vae


@torch.no_grad()
def begin(vae: AutoencoderKLWan) -> None:
    """First weights: convolutions that pass their input on, turned but not mixed over place and time.

    After the delta-orthogonal initialisation of Xiao et al. (arXiv 1806.05393), beside a part of the usual one.
    """
    for module in vae.modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d)):
            weight = module.weight
            middle = torch.zeros_like(weight)
            now = (-1,) if weight.ndim == 5 else ()  # causal: the last tap is the present frame
            middle[(..., *now, weight.shape[-2] // 2, weight.shape[-1] // 2)] = nn.init.orthogonal_(
                torch.empty(weight.shape[:2])
            )
            weight.copy_(middle + SMALL * weight)
    logvar, bias = slice(vae.config["z_dim"], None), vae.quant_conv.bias
    assert bias is not None
    vae.quant_conv.weight[logvar] *= 0.1
    bias[logvar] = QUIET


def psnr(square: float) -> float:
    """Decibels of a mean squared error of values in [-1, 1]."""
    return float(10 * torch.log10(torch.tensor(4 / max(square, 1e-12))))


def moments(vae: AutoencoderKLWan, video_BCTHW: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log-variance of the latents, within `whole`."""
    both = vae.quant_conv(vae.encoder(patchify(video_BCTHW, vae.config["patch_size"] or 1)))
    mean, logvar = both.float().chunk(2, 1)
    return mean, logvar


def reconstructed(vae: AutoencoderKLWan, latents_BCThw: Tensor) -> Tensor:
    """Videos of latents, within `whole`; not clamped as `decode` does, which would stop the gradient."""
    return unpatchify(vae.decoder(vae.post_quant_conv(latents_BCThw)), vae.config["patch_size"] or 1)


@contextmanager
def whole(vae: AutoencoderKLWan) -> Iterator[None]:
    """Encoder and decoder take all frames at once, exactly as their loops over chunks take them.

    Without caches the class leaves out its temporal sampling, and only that: here it is put back.
    """
    hooks = [hook for module in vae.modules() if isinstance(module, WanResample) for hook in _sampled_in_time(module)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _sampled_in_time(module: WanResample) -> list[Any]:
    if module.mode == "downsample3d":
        return [module.register_forward_hook(_halve_frames)]
    if module.mode == "upsample3d":
        return [module.register_forward_pre_hook(_double_frames)]
    return []


def _halve_frames(module: nn.Module, inputs: tuple[Tensor, ...], x_BCTHW: Tensor) -> Tensor:
    """1 + 2n frames to 1 + n: the first passes as it is."""
    assert isinstance(module, WanResample)
    return torch.cat([x_BCTHW[:, :, :1], module.time_conv(x_BCTHW)], 2)


def _double_frames(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """1 + n frames to 1 + 2n: the first passes as it is, and the second does not see it."""
    assert isinstance(module, WanResample)
    first, rest = inputs[0][:, :, :1], inputs[0][:, :, 1:]
    if not rest.shape[2]:
        return (first, *inputs[1:])
    pairs = module.time_conv(rest).unflatten(1, (2, -1))  # [B, 2, C, n, H, W]
    return (torch.cat([first, pairs.permute(0, 2, 3, 1, 4, 5).flatten(2, 3)], 2), *inputs[1:])
