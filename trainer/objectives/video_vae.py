"""The causal video VAE: reconstruction and a small pull of the latents to a unit normal.

`AutoencoderKLWan` encodes and decodes frame by frame with caches; `whole` has it do the same in one pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan, WanResample, patchify, unpatchify
from torch import Tensor, nn

KL_WEIGHT = 1e-4  # a fifth of what the likelihood of pixels with a deviation of 0.1 would ask for
ABSOLUTE = 0.1  # weight of the absolute error, which keeps edges


def video_vae_loss(
    vae: AutoencoderKLWan, video_BCTHW: Tensor, generator: torch.Generator
) -> tuple[Tensor, dict[str, float]]:
    """Squared and absolute error of videos in [-1, 1] of 1 + 4n frames, and the KL divergence of their latents."""
    with whole(vae):
        mean, logvar = moments(vae, video_BCTHW)
        logvar = logvar.clamp(-20, 10)
        noise = torch.randn(mean.shape, generator=generator)
        made_BCTHW = reconstructed(vae, mean + torch.exp(logvar / 2) * noise).float()
    square = F.mse_loss(made_BCTHW, video_BCTHW)
    kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
    loss = square + ABSOLUTE * F.l1_loss(made_BCTHW, video_BCTHW) + KL_WEIGHT * kl
    return loss, {"psnr": psnr(square.item()), "kl": kl.item()}


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
