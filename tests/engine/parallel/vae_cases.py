"""What every rank does in the tests of the VAE: the same VAE, of random weights, once alone and once over the ranks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Literal
from unittest import mock

import torch
import torch.distributed as dist
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from engine.parallel import vae as split
from engine.parallel.mesh import Axis, MeshShape, make_mesh
from engine.parallel.vae import ParallelVae

Coding = Literal["encode", "decode"]
WAN21: dict[str, Any] = {
    "base_dim": 4,
    "z_dim": 3,
    "dim_mult": [1, 2, 2],
    "num_res_blocks": 1,
    "temperal_downsample": [True, True],
    "latents_mean": [0.0] * 3,
    "latents_std": [1.0] * 3,
    "scale_factor_spatial": 4,
}
WAN22: dict[str, Any] = {
    **WAN21,
    "is_residual": True,
    "patch_size": 2,
    "in_channels": 12,
    "out_channels": 12,
    "decoder_base_dim": 6,
    "temperal_downsample": [False, True],
    "scale_factor_spatial": 8,
}
CONFIGS = {"wan2.1": WAN21, "wan2.2": WAN22}


def vae_of(config: str, dtype: torch.dtype) -> AutoencoderKLWan:
    """A tiny VAE in which every layer does something, with no two weights alike."""
    vae = AutoencoderKLWan(**CONFIGS[config]).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(3)
    for name, parameter in vae.named_parameters():
        fan = max(1, parameter[0].numel()) if parameter.dim() > 1 and "gamma" not in name else 4
        small = 0.1 if name.startswith("decoder.conv_out") else 1  # the video's last clamp is not reached
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * fan**-0.5 * small)
    return vae.to(dtype)


def given(vae: AutoencoderKLWan, coding: Coding, rows: int, columns: int, frames: int, odd: int = 0) -> Tensor:
    """A video or latents of so many latent rows, columns and frames; `odd` pixel rows more than make latent rows."""
    generator = torch.Generator().manual_seed(rows * 100 + columns * 10 + frames)
    if coding == "decode":
        shape = (1, vae.config.z_dim, frames, rows, columns)
    else:
        scale = vae.spatial_compression_ratio
        shape = (1, 3, 4 * frames - 3, rows * scale + odd, columns * scale + odd)
    return torch.randn(shape, generator=generator).to(vae.dtype)


def coded(vae: AutoencoderKLWan, coding: Coding, x: Tensor) -> Tensor:
    """Both halves of the posterior, or the video."""
    if coding == "encode":
        return vae.encode(x).latent_dist.parameters
    video = vae.decode(x).sample
    assert video.abs().max() < 1, "what is clamped cannot be compared"
    return video


@cache
def axis_of(size: int) -> Axis:
    """The first axis of so many ranks; `size` is the world or half of it."""
    world = dist.get_world_size()
    mesh = make_mesh(MeshShape(ulysses=size, data=world // size))
    return mesh.ulysses


@cache
def both_axes() -> tuple[Axis, Axis]:
    mesh = make_mesh(MeshShape(cfg=2, ulysses=dist.get_world_size() // 2))
    return mesh.cfg, mesh.sequence


def axes(way: str) -> dict[str, Any]:
    """Keyword arguments of ParallelVae."""
    if way == "both":
        time, space = both_axes()
        return {"time": time, "space": space}
    axis = axis_of(dist.get_world_size())
    return {"time": axis} if way == "time" else {"space": axis, "along": way}


def vae_parity(
    way: str,
    config: str,
    coding: Coding,
    rows: int,
    columns: int,
    frames: int,
    dtype: torch.dtype,
    odd: int = 0,
    fault: str | None = None,
) -> float:
    """The greatest difference over the greatest value."""
    vae = vae_of(config, dtype)
    x = given(vae, coding, rows, columns, frames, odd)
    alone = coded(vae, coding, x)
    with planted(fault), ParallelVae(vae, **axes(way)):
        spread = coded(vae, coding, x)
    again = coded(vae, coding, x)
    assert spread.shape == alone.shape and torch.equal(alone, again), "off the ranks the VAE is not as it was"
    same = [torch.empty_like(spread) for _ in range(dist.get_world_size())]
    dist.all_gather(same, spread.contiguous())
    assert all(torch.equal(x, spread) for x in same), "the ranks have different results"
    return ((spread - alone).abs().max() / alone.abs().max()).item()


def share_of_work(way: str, coding: Coding, rows: int, frames: int) -> float:
    """This rank's operations over those of the whole."""
    vae = vae_of("wan2.1", torch.float32)
    x = given(vae, coding, rows, 4, frames)
    with FlopCounterMode(display=False) as alone:
        coded(vae, coding, x)
    with FlopCounterMode(display=False) as spread, ParallelVae(vae, **axes(way)):
        coded(vae, coding, x)
    return spread.get_total_flops() / alone.get_total_flops()


def refused(change: Callable[[AutoencoderKLWan], None]) -> str:
    vae = vae_of("wan2.1", torch.float32)
    change(vae)
    try:
        ParallelVae(vae, **axes("rows"))
    except ValueError as error:
        return str(error)
    return ""


def tiled(vae: AutoencoderKLWan) -> None:
    vae.enable_tiling()


# --- faults that the tests must find ---

neighbours = split.SpaceSplit._neighbours
past = split.TimeSplit._past


def _no_halo(space: split.SpaceSplit, rows: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    return tuple([torch.zeros_like(x) for x in side] for side in neighbours(space, rows))  # type: ignore[return-value]


def _wrong_side(space: split.SpaceSplit, rows: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    above, below = neighbours(space, rows)
    return below, above


def _local_attention(space: split.SpaceSplit, x: Tensor, scale: int = 1) -> Tensor:
    return x


def _own_past(time: split.TimeSplit, conv: Any, x: Tensor, known: Tensor) -> Tensor:
    past(time, conv, x, known)
    return known


def _forgotten(time: split.TimeSplit, conv: Any, x: Tensor, known: Tensor) -> Tensor:
    time.kept.pop(conv, None)
    return past(time, conv, x, known)


FAULTS: dict[str, tuple[Any, str, Any]] = {
    "no halo": (split.SpaceSplit, "_neighbours", _no_halo),
    "halo of the wrong side": (split.SpaceSplit, "_neighbours", _wrong_side),
    "own past": (split.TimeSplit, "_past", _own_past),
    "the turn before is forgotten": (split.TimeSplit, "_past", _forgotten),
}


@contextlib.contextmanager
def planted(fault: str | None) -> Iterator[None]:
    if fault == "local attention":  # `_whole` joins the result too, so only what attention asks for is left local
        whole = split.SpaceSplit._whole

        def local(space: split.SpaceSplit, block: Any, x: Tensor) -> Tensor:
            with mock.patch.object(split.SpaceSplit, "_whole", _local_attention):
                return attend(space, block, x)

        attend = split.SpaceSplit._attend
        with mock.patch.object(split.SpaceSplit, "_attend", local):
            assert whole is split.SpaceSplit._whole
            yield
        return
    with mock.patch.object(*FAULTS[fault]) if fault else contextlib.nullcontext():
        yield
