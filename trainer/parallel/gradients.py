"""What is left to do with gradients after the backward passes: sums over axes that FSDP does not know, and the norm.

Of which kind a parameter is says how often its gradient is there:

- `split` over `tensor`: every rank has its own part; otherwise all ranks of `tensor` have the whole;
- `staged`, in a block of one stage of the pipe; otherwise every stage has the whole, and a part of its gradient;
- sharded by FSDP (a DTensor): summed over `replicate` and the ranks that have its parts already.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from engine.parallel.mesh import Axis
from trainer.parallel.layout import Groups


@dataclass(frozen=True)
class Kind:
    """Which axes give a parameter ranks of its own."""

    split: bool
    staged: bool


@torch.no_grad()
def settle(parameters: Iterable[tuple[nn.Parameter, Kind]], groups: Groups) -> None:
    """Every gradient as one process would have it; of a parted weight, its part. In place, once a step."""
    alike: dict[tuple[Kind, bool, torch.dtype], list[nn.Parameter]] = {}
    for parameter, kind in parameters:
        if parameter.requires_grad:
            alike.setdefault((kind, isinstance(parameter, DTensor), parameter.dtype), []).append(parameter)
    for (kind, sharded, _), members in alike.items():
        axes = [axis for axis, there in ((groups.pipe, not kind.staged), (groups.tensor, not kind.split)) if there]
        _sum(members, axes if sharded else [*axes, groups.replicate, groups.weights])
        # The ranks of `tensor` compute one loss, as often as they are: their mean counts. A split weight's own division
        # (`TensorSharding`) hangs on the parameter that FSDP has replaced.
        if groups.tensor.size > 1 and (sharded or not kind.split):
            for parameter in members:
                if parameter.grad is not None:
                    parameter.grad /= groups.tensor.size


@torch.no_grad()
def clip(parameters: Iterable[tuple[nn.Parameter, Kind]], groups: Groups, limit: float) -> Tensor:
    """Scale settled gradients to a norm of at most `limit`; returns the norm before (fp64), equal on every rank."""
    grads, layout = [], groups.layout
    total = torch.zeros((), dtype=torch.float64)
    for parameter, kind in parameters:
        if parameter.grad is None:
            continue
        grad = local(parameter.grad)
        copies = layout.replicate * (1 if kind.split else layout.tensor) * (1 if kind.staged else layout.pipe)
        copies *= 1 if isinstance(parameter, DTensor) else layout.weights
        wide = torch.promote_types(grad.dtype, torch.float32)
        total = total.to(grad.device) + torch.linalg.vector_norm(grad, dtype=wide).double().square() / copies
        grads.append(grad)
    dist.all_reduce(total)
    norm = total.sqrt()
    scale = (limit / (norm + 1e-6)).clamp(max=1.0)  # as `clip_grad_norm_` has it
    for grad in grads:
        grad.mul_(scale.to(grad.dtype))
    return norm


def local(value: Tensor) -> Tensor:
    """This rank's part."""
    return value.to_local() if isinstance(value, DTensor) else value


def _sum(parameters: list[nn.Parameter], axes: list[Axis]) -> None:
    """The sum over the axes of each gradient; who has none on any rank has none afterwards.

    They travel as one vector, and behind them for each how many ranks have one.
    """
    axes = [axis for axis in axes if axis.size > 1]
    if not axes:
        return
    parts = [local(p) for p in parameters]
    grads = [torch.zeros_like(x) if p.grad is None else local(p.grad) for p, x in zip(parameters, parts, strict=True)]
    there = grads[0].new_tensor([float(p.grad is not None) for p in parameters])
    flat = torch.cat([*(grad.flatten() for grad in grads), there])
    for axis in axes:
        dist.all_reduce(flat, group=axis.group)
    *sums, there = flat.split([*(x.numel() for x in parts), len(parameters)])
    for parameter, x, total, count in zip(parameters, parts, sums, there.tolist(), strict=True):
        if not count:
            continue
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        local(parameter.grad).copy_(total.view_as(x))
