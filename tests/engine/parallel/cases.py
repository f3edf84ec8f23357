"""What every rank does in the tests: the same model once alone and once over the mesh, from weights with no zero.

Errors are the greatest difference over the greatest value, tensor by tensor: forward, gradient of the latents,
gradients of the weights.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
from torch import Tensor, nn

from engine.attention import plain
from engine.attention.dispatch import Attention, restore, use
from engine.attention.mask import Mask
from engine.attention.sparse import BlockSparse
from engine.models.multimodal_dit import MultimodalDiT
from engine.models.single_dit import SingleDiT
from engine.parallel import collectives, ring, tensor, usp
from engine.parallel.apply import Parallel
from engine.parallel.collectives import gather, part, part_sizes
from engine.parallel.mesh import Axis, Mesh, MeshShape, make_mesh

mesh_of = cache(make_mesh)
SMALL: dict[str, Any] = {
    "in_channels": 2,
    "condition_channels": 3,
    "patch_size": (1, 2, 2),
    "text_dim": 6,
    "rope_axes": (4, 2, 2),
    "control_sizes": (3, 2),
    "token_dims": {"audio": 3},
}
GRIDS = {"odd": (31, 2, 2), "even": (4, 4, 4), "tiny": (3, 2, 2)}  # 31, 16 and 3 tokens
PACKED = [(3, 4, 6), (1, 2, 2), (5, 2, 6)]


@dataclass(frozen=True)
class Errors:
    """The greatest relative differences from one process."""

    forward: float
    latents: float
    weights: float

    @property
    def worst(self) -> float:
        return max(self.forward, self.latents, self.weights)


def model_of(name: str, dtype: torch.dtype, heads: int = 5) -> nn.Module:
    """A tiny model in which every gate and every projection does something."""
    single, sizes = name == "single", {**SMALL, "hidden": 8 * heads, "heads": heads}
    model = SingleDiT(**sizes, depth=2) if single else MultimodalDiT(**sizes, dual_depth=1, single_depth=1)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.15)
    return model.double() if dtype == torch.float64 else model


def inputs_of(length: str, rows: int, dtype: torch.dtype) -> dict[str, Any]:
    """Arguments for a batch: texts of several lengths (one empty), controls and audio tokens."""
    generator = torch.Generator().manual_seed(7)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(dtype)

    grids = [PACKED[i % 3] for i in range(rows)] if length == "packed" else [GRIDS[length]] * rows
    latents, condition = [normal(2, *grid) for grid in grids], [normal(3, *grid) for grid in grids]
    words = torch.tensor([[0, 5, 2, 3][i % 4] for i in range(rows)])
    return {
        "latents": latents if length == "packed" else torch.stack(latents),
        "time_B": torch.rand(rows, generator=generator).to(dtype),
        "text_BMC": normal(rows, 5, 6),
        "text_mask_BM": torch.arange(5) < words[:, None],
        "condition": condition if length == "packed" else torch.stack(condition),
        "control_ids_BK": torch.randint(0, 2, (rows, 2), generator=generator),
        "control_strengths_BK": torch.rand(rows, 2, generator=generator).to(dtype),
        "tokens": {"audio": normal(rows, 2, 3)},
    }


def model_parity(
    shape: MeshShape,
    name: str,
    length: str,
    dtype: torch.dtype,
    fault: str | None = None,
    rows: int | None = None,
    heads: int = 5,
) -> Errors:
    """One forward and backward of the model alone, then over the mesh."""
    mesh, model = mesh_of(shape), model_of(name, dtype, heads)
    inputs = inputs_of(length, rows or (4 if shape.cfg > 1 else 3), dtype)
    alone = trained(model, inputs)
    with planted(fault), Parallel(model, mesh) as parallel:
        spread = trained(model, inputs)
        parallel.average_gradients()
    for grad in spread[1]:
        dist.all_reduce(grad)
        grad /= shape.world
    weights = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return Errors(worst(alone[0], spread[0]), worst(alone[1], spread[1]), worst(alone[2], weights))


def trained(model: nn.Module, inputs: dict[str, Any]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Outputs, gradients of the latents, and a copy of the gradients of the weights."""
    model.zero_grad()
    given = inputs["latents"]
    leaves = [x.clone().requires_grad_() for x in ([given] if isinstance(given, Tensor) else given)]
    made = model(**{**inputs, "latents": leaves[0] if isinstance(given, Tensor) else leaves})
    made = [made] if isinstance(made, Tensor) else made
    loss = sum((x * torch.linspace(-1, 2, x.numel(), dtype=x.dtype).view_as(x)).square().mean() for x in made)
    assert isinstance(loss, Tensor)
    loss.backward()
    weights = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    # In a list a rank has no gradient for the samples of the others.
    grads = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]
    return [x.detach() for x in made], grads, weights


def attention_parity(
    shape: MeshShape, heads: int, tokens: int, dtype: torch.dtype, masked: bool, fault: str | None = None
) -> Errors:
    """Attention alone: three packed samples and some padding where `masked`."""
    mesh = mesh_of(shape)
    generator = torch.Generator().manual_seed(heads * 100 + tokens)
    qkv = [torch.randn(2, heads, tokens, 8, generator=generator).to(dtype) for _ in range(3)]
    weight = torch.randn(2, heads, tokens, 8, generator=generator).to(dtype)
    query_BL = torch.randint(0, 3, (2, tokens), generator=generator, dtype=torch.int32)
    padding = torch.rand(2, tokens, generator=generator) < 0.2
    mask = Mask(query_BL.masked_fill(padding, -1), query_BL) if masked else None

    alone = [x.clone().requires_grad_() for x in qkv]
    out = plain.forward(*alone, mask)
    (out * weight).sum().backward()

    lengths = part_sizes(tokens, mesh.sequence.size)
    spread = [x.clone().requires_grad_() for x in qkv]
    attend = usp.SequenceAttention(mesh, lambda: lengths, Attention())
    own = mask and Mask(*(part(x, 1, mesh.sequence) for x in (mask.key_BM, query_BL)))
    with planted(fault):
        made = attend(*(part(x, 2, mesh.sequence) for x in spread), role="self", mask=own)
        whole = gather(made, 2, lengths, mesh.sequence)
        (whole * weight).sum().backward()
    grads = [leaf.grad for leaf in spread if leaf.grad is not None]
    for grad in grads:
        dist.all_reduce(grad)
        grad /= shape.world
    return Errors(worst([out], [whole]), 0.0, worst([leaf.grad for leaf in alone if leaf.grad is not None], grads))


def sparse_parity(shape: MeshShape, name: str = "single") -> float | str:
    """Block-sparse attention over the mesh against the same on one device; what is said where it is refused."""
    model, inputs = model_of(name, torch.float64), inputs_of("odd", 2, torch.float64)
    sparse = Attention({"joint" if name == "multimodal" else "self": BlockSparse(0.4, box=(1, 2, 2))})
    with torch.no_grad():
        full = model(**inputs)
        before = use(model, sparse)
        alone = model(**inputs)
        restore(before)
        assert _relative(full, alone) > 1e-3, "nothing was left out"
        try:
            with Parallel(model, mesh_of(shape), sparse):
                return _relative(alone, model(**inputs))
        except ValueError as error:
            return str(error)


def numbers_sent(shape: MeshShape, heads: int, tokens: int) -> int:
    """How many numbers this rank sends to others in one attention, forward."""
    mesh, sent = mesh_of(shape), 0
    send = dist.all_to_all_single

    def counted(received: Tensor, given: Tensor, taken: list[int], pieces: list[int], **how: Any) -> Any:
        nonlocal sent
        sent += sum(pieces) - pieces[dist.get_rank(how["group"])]
        return send(received, given, taken, pieces, **how)

    lengths = part_sizes(tokens, mesh.sequence.size)
    x = torch.randn(1, heads, lengths[mesh.sequence.rank], 8)
    with mock.patch.object(dist, "all_to_all_single", counted):
        usp.SequenceAttention(mesh, lambda: lengths, Attention())(x, x, x, role="self")
    return sent


def round_trip(length: int, dim: int) -> bool:
    """Cut, gather, and the gradient of both: not one bit changes, whatever the length."""
    world = dist.get_world_size()
    mesh = mesh_of(MeshShape(ulysses=world))
    whole = torch.randn(3, length, 5, generator=torch.Generator().manual_seed(length)).movedim(1, dim).contiguous()
    leaf = whole.clone().requires_grad_()
    back = gather(part(leaf, dim, mesh.sequence), dim, part_sizes(length, world), mesh.sequence)
    back.backward(whole)
    assert leaf.grad is not None
    dist.all_reduce(leaf.grad)
    return torch.equal(back, whole) and torch.equal(leaf.grad / world, whole)


def averaged(*dtypes: torch.dtype) -> list[tuple[torch.dtype, list[float]]]:
    """Type and numbers of averaged gradients that were of these types, each filled with the rank's number."""
    weights = [nn.Parameter(torch.zeros(3, dtype=dtype)) for dtype in dtypes]
    for weight in weights:
        weight.grad = torch.full_like(weight, dist.get_rank())
    collectives.average_gradients(weights, dist.get_world_size())
    return [(weight.grad.dtype, weight.grad.tolist()) for weight in weights if weight.grad is not None]


def refused(shape: MeshShape, rows: int) -> str:
    """What is said where a batch cannot be spread; and the model is as before when it is taken off the mesh."""
    model = model_of("single", torch.float32)
    with Parallel(model, mesh_of(shape)):
        try:
            model(**inputs_of("even", rows, torch.float32))
        except ValueError as error:
            return str(error)
    return ""


def wrong_mesh(shape: MeshShape) -> str:
    try:
        make_mesh(shape)
    except ValueError as error:
        return str(error)
    return ""


def removed(shape: MeshShape) -> bool:
    """A model that was over a mesh and is no more has no hook left and gives the same bits."""
    model, inputs = model_of("multimodal", torch.float32), inputs_of("odd", 4, torch.float32)
    with torch.no_grad():
        before = model(**inputs)
        with Parallel(model, mesh_of(shape)):
            model(**inputs)
        hooks = [hook for m in model.modules() for hook in (*m._forward_hooks, *m._forward_pre_hooks)]
        return not hooks and torch.equal(before, model(**inputs))


def worst(wanted: list[Tensor], got: list[Tensor]) -> float:
    assert len(wanted) == len(got) > 0
    return max(_relative(a, b) for a, b in zip(wanted, got, strict=True))


def _relative(wanted: Tensor, got: Tensor) -> float:
    assert wanted.shape == got.shape
    return ((wanted - got).abs().max() / wanted.abs().max().clamp(min=1e-3)).item()


# --- faults that the tests must find ---


@contextlib.contextmanager
def planted(fault: str | None) -> Iterator[None]:
    with mock.patch.object(*FAULTS[fault]) if fault else contextlib.nullcontext():
        yield


def _merged_by_halves(out_a: Tensor, lse_a: Tensor, out_b: Tensor, lse_b: Tensor) -> tuple[Tensor, Tensor]:
    first = (lse_a == -torch.inf)[..., None]
    return torch.where(first, out_b, (out_a + out_b) / 2), torch.logaddexp(lse_a, lse_b)


exchange = collectives.exchange
block_backward = plain.backward
attend = Attention.__call__
block_lse = plain.forward_lse
own = tensor.own


def _one_rank_is_missing(*args: Any) -> list[Tensor]:
    *received, last = exchange(*args)
    return [*received, torch.zeros_like(last)]


def _nothing_goes_round(rotation: collectives.Rotation) -> Tensor:
    rotation.work.wait()
    return torch.zeros_like(rotation.received)


def _scaled_wrongly(attention: Attention, q: Tensor, k: Tensor, v: Tensor, **how: Any) -> Tensor:
    return attend(attention, q * 1.1, k, v, **how)


def _blocks_scaled_wrongly(q: Tensor, *args: Any) -> tuple[Tensor, Tensor]:
    return block_lse(q * 1.1, *args)


def _heads_are_swapped(x: Tensor, cut: int, *how: Any) -> Tensor:
    return collectives.swap(x.flip(2) if cut == 2 and x.dim() == 5 else x, cut, *how)


def _keys_gradient_stays(*args: Any) -> tuple[Tensor, Tensor, Tensor]:
    dq, dk, dv = block_backward(*args)
    return dq, torch.zeros_like(dk), dv


def _summed_without_gradient(x: Tensor, axis: Axis) -> Tensor:
    return x + (collectives.summed(x.detach(), axis) - x.detach())


def _biased_on_every_rank(layer: nn.Linear, axis: Axis, x: Tensor) -> Tensor:
    return collectives.summed(nn.functional.linear(x, layer.weight, layer.bias), axis)


def _inputs_in_another_order(x: Tensor, cut: tensor.Cut, axis: Axis) -> Tensor:
    part = own(x, cut, axis)
    return part.flip(1) if cut.dim == 1 else part


def _padding_is_seen(mask: Mask) -> Tensor:
    batch, keys = mask.key_BM.shape
    return torch.ones(batch, 1, 1 if mask.query_BL is None else mask.query_BL.shape[1], keys, dtype=torch.bool)


FAULTS: dict[str | None, tuple[Any, str, Any]] = {
    "wrong merge": (ring, "merge", _merged_by_halves),
    "missing rank": (collectives, "exchange", _one_rank_is_missing),
    "empty ring": (collectives.Rotation, "wait", _nothing_goes_round),
    "wrong scale": (Attention, "__call__", _scaled_wrongly),
    "wrong scale in the ring": (plain, "forward_lse", _blocks_scaled_wrongly),
    "swapped heads": (usp, "swap", _heads_are_swapped),
    "lost gradient of keys": (plain, "backward", _keys_gradient_stays),
    "missing sum": (tensor, "summed", lambda x, axis: x),
    "sum without gradient": (tensor, "summed", _summed_without_gradient),
    "bias on every rank": (tensor, "row_parallel", _biased_on_every_rank),
    "swapped heads of a layer": (tensor, "own", _inputs_in_another_order),
    "padding is seen": (Mask, "dense", _padding_is_seen),
}


def mesh_layout(shape: MeshShape) -> dict[str, int]:
    """Where this rank stands."""
    mesh: Mesh = mesh_of(shape)
    return {name: getattr(mesh, name).rank for name in ("data", "cfg", "ring", "ulysses", "sequence")}
