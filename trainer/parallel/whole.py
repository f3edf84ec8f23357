"""Values that are laid out as the parameters are (weights, gradients, averages, moments), free of the layout.

A checkpoint is written in one form whatever the layout: under the names of the unspread modules, each tensor whole or
parted by FSDP alone. So DCP can read it back on any other layout. What `tensor` has split is put together for it, one
parameter at a time; the stages of a pipe each write their own names.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from engine.parallel import tensor
from engine.parallel.mesh import Axis
from engine.parallel.tensor import Cut

Values = dict[str, Tensor]


@torch.no_grad()
def saved_form(values: Mapping[str, Tensor], cuts: Mapping[str, Cut], axis: Axis) -> Values:
    """For the checkpoint: what `tensor` has split is whole. All else is the very tensor, not a copy."""
    return {name: _joined(value, cuts[name], axis) if name in cuts else value for name, value in values.items()}


@torch.no_grad()
def own_form(saved: Mapping[str, Tensor], cuts: Mapping[str, Cut], axis: Axis) -> Values:
    """The reverse: this rank's part of what a checkpoint held."""
    return {name: _parted(value, cuts[name], axis) if name in cuts else value for name, value in saved.items()}


@torch.no_grad()
def whole_form(values: Mapping[str, Tensor], cuts: Mapping[str, Cut], axis: Axis, pipe: Axis) -> Values:
    """Every value whole, on every rank, of all stages: for export and for models that fit."""
    found = {name: _full(value) for name, value in saved_form(values, cuts, axis).items()}
    if pipe.size == 1:
        return found
    stages: list[Values] = [{} for _ in range(pipe.size)]
    dist.all_gather_object(stages, found, group=pipe.group)
    return {name: value for stage in stages for name, value in stage.items()}


def _joined(value: Tensor, cut: Cut, axis: Axis) -> Tensor:
    if is_traceable_wrapper_subclass(value.to_local() if isinstance(value, DTensor) else value):
        raise ValueError("Moments of 8 bits that `tensor` has split cannot be put together: use adamw or fused there.")
    return like(tensor.whole(_full(value), cut, axis), value)


def _parted(saved: Tensor, cut: Cut, axis: Axis) -> Tensor:
    return like(tensor.own(_full(saved), cut, axis), saved)


def _full(value: Tensor) -> Tensor:
    return value.full_tensor() if isinstance(value, DTensor) else value


def like(full: Tensor, form: Tensor) -> Tensor:
    """Parted over the ranks as `form` is; every rank has the whole, so nothing is sent."""
    if not isinstance(form, DTensor):
        return full
    return distribute_tensor(full, form.device_mesh, form.placements, src_data_rank=None)
