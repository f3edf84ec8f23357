"""What every rank does: Wan's transformer as diffusers runs it, then over the mesh, from weights with no zero."""

from __future__ import annotations

import contextlib
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
from diffusers import WanTransformer3DModel
from torch import Tensor

from engine.events import Canceled
from engine.parallel import batch, usp
from engine.parallel.collectives import gather, swap
from engine.parallel.mesh import MeshShape, make_mesh
from engine.pretrained.arguments import Ask
from engine.pretrained.generate import PretrainedEngine
from engine.pretrained.wan import Spread
from engine.requests import TextToVideo

mesh_of = cache(make_mesh)
WAN_DIT: dict[str, Any] = {
    "patch_size": (1, 2, 2),
    "num_attention_heads": 3,
    "attention_head_dim": 12,
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": 16,
    "freq_dim": 16,
    "ffn_dim": 16,
    "num_layers": 2,
    "rope_max_seq_len": 32,
}


def wan_of(kind: str) -> WanTransformer3DModel:
    """Three heads: they do not divide over two ranks."""
    torch.manual_seed(4)
    photo = {"image_dim": 8, "added_kv_proj_dim": 36} if kind == "photo" else {}
    model = WanTransformer3DModel(**WAN_DIT | {"in_channels": 4, "out_channels": 4}, **photo).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.2)
    return model


def inputs_of(kind: str, grid: tuple[int, int, int]) -> dict[str, Tensor]:
    tokens = grid[0] * grid[1] // 2 * grid[2] // 2
    time = torch.rand(2, tokens) * 1000 if kind == "times" else torch.tensor([300.0, 700.0])
    given = {
        "hidden_states": torch.randn(2, 4, *grid),
        "timestep": time,
        "encoder_hidden_states": torch.randn(2, 512, 16),
    }
    return given | ({"encoder_hidden_states_image": torch.randn(2, 5, 8)} if kind == "photo" else {})


def parity(
    shape: MeshShape, kind: str, grid: tuple[int, int, int], dtype: torch.dtype, fault: str | None = None
) -> tuple[float, bool]:
    """The greatest difference over the greatest value, and whether the model is as before once it is taken off.

    Wan computes its norms with `.float()`: where float64 is asked, that is float64 too, or nothing finer than 1e-7
    could be seen.
    """
    model, inputs = wan_of(kind).to(dtype), inputs_of(kind, grid)
    model.rope.to(torch.float64)
    inputs = {name: x.to(dtype) for name, x in inputs.items()}
    wide = mock.patch.object(Tensor, "float", lambda x: x.to(dtype))
    faults: dict[str | None, Any] = {
        None: contextlib.nullcontext(),
        "swapped heads": mock.patch.object(usp, "swap", _heads_are_swapped),
    }
    with torch.no_grad(), wide:
        alone = model(**inputs, return_dict=False)[0]
        with Spread(model, mesh_of(shape)), faults[fault]:
            spread = model(**inputs, return_dict=False)[0]
        again = model(**inputs, return_dict=False)[0]
    error = ((alone - spread).abs().max() / alone.abs().max()).item()
    return error, torch.equal(alone, again)


def _heads_are_swapped(x: Tensor, cut: int, *how: Any) -> Tensor:
    return swap(x.flip(2) if cut == 2 and x.dim() == 5 else x, cut, *how)


def sampled(
    bundle: Path,
    shape: MeshShape,
    ask: Ask,
    budget: float = 0.0,
    fault: str | None = None,
    kind: str = "text_to_video",
) -> Any:
    """The frames that this rank gets of an imported bundle, and what its cache saved."""
    engine = PretrainedEngine.load(bundle, cache=budget, mesh=mesh_of(shape))
    faults: dict[str | None, Any] = {
        None: contextlib.nullcontext(),
        "swapped halves": mock.patch.object(batch, "gather", lambda x, *how: gather(x, *how).roll(x.numel())),
    }
    with faults[fault]:
        return engine.sample(ask, kind), engine.cache.saved


def generated(bundle: Path, shape: MeshShape, folder: Path, cancel_at: int | None = None) -> Any:
    """What this rank makes of a request without a seed, which rank 1 alone gives up after so many steps."""
    engine, seen, rank = PretrainedEngine.load(bundle, mesh=mesh_of(shape)), [], dist.get_rank()
    request = TextToVideo(prompt="a red cup", format="1:1", seconds=1, short_side=540, steps=4)
    try:
        made = engine.generate(
            request,
            None,
            folder / f"{rank}.mp4",
            on_event=lambda event: seen.append(event.step) if getattr(event, "stage", "") == "denoise" else None,
            is_canceled=lambda: rank == 1 and cancel_at in seen,
        )
    except Canceled:
        return seen
    return made.settings["seed"], made.path.read_bytes()
