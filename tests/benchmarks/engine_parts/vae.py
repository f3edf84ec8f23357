"""The video VAE in less memory: our exact strips beside diffusers' own blended tiling, on the same random weights.

Memory is counted in bytes of live tensors, errors against the VAE in one piece, work in operations: none of it depends
on the machine. Random weights mix neighbouring pixels more than trained ones do, so the peer's seam is an upper figure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from engine.memory.tiling import Strips
from tests.engine.memory.live import peak_bytes

WIDTH = 6  # channels of the first layer; Wan 2.1 has 96, and the same layers
STRIP = 8  # latent rows; the peer's tiles are as high and overlap by a quarter, as it does by default


def rows(reduced: bool) -> list[dict[str, Any]]:
    """Peak bytes, error and work of `decode`; reduced: a smaller picture."""
    height, width, frames = (32, 6, 2) if reduced else (64, 16, 3)
    vae = _vae()
    z_BCTHW = torch.randn(1, vae.config.z_dim, frames, height, width, generator=torch.Generator().manual_seed(1))
    decode = lambda: vae.decode(z_BCTHW).sample  # noqa: E731
    with torch.inference_mode():
        whole = _measured(decode)
        with Strips(vae, STRIP):
            ours = _measured(decode)
        side = STRIP * 8
        # Full width: the peer is cut into rows as well, and its error is that of its horizontal seams alone.
        vae.enable_tiling(side, width * 8, side * 3 // 4, width * 8)
        peer = _measured(decode)
        vae.disable_tiling()
    at = f"VAE decode of {height * 8}x{width * 8} px, {frames} latent frames, strips of {STRIP} latent rows"
    return [
        _row(f"{at}: peak memory, in one piece as peer", ours.peak, whole.peak, "bytes", whole.peak / 2),
        _row(f"{at}: peak memory, blended tiles as peer", ours.peak, peer.peak, "bytes", peer.peak),
        _row(f"{at}: greatest error over greatest value", ours.error(whole), peer.error(whole), "share", 1e-5),
        _row(f"{at}: operations, blended tiles as peer", ours.work, peer.work, "FLOP", peer.work),
        _row(f"{at}: operations, in one piece as peer", ours.work, whole.work, "FLOP", 2 * whole.work),
    ]


class _Measured:
    def __init__(self, made: Tensor, peak: int, work: int) -> None:
        self.made, self.peak, self.work = made, peak, work

    def error(self, exact: _Measured) -> float:
        return ((self.made - exact.made).abs().max() / exact.made.abs().max()).item()


def _measured(do: Callable[[], Tensor]) -> _Measured:
    with FlopCounterMode(display=False) as counted:
        made = do()
    return _Measured(made, peak_bytes(do), counted.get_total_flops())


def _row(what: str, ours: float, peer: float, unit: str, goal: float) -> dict[str, Any]:
    return {
        "what": what,
        "ours": ours,
        "peer": peer,
        "ratio": peer / ours if ours else float("inf"),
        "unit": unit,
        "goal": f"<= {goal:.3g}",
        "met": ours <= goal,
    }


def _vae() -> AutoencoderKLWan:
    """Wan 2.1's VAE, narrow; the video stays off the clamp at its end, which would hide errors."""
    torch.manual_seed(0)
    vae = AutoencoderKLWan(base_dim=WIDTH).eval().requires_grad_(False)
    vae.decoder.conv_out.weight.mul_(0.2)
    return vae
