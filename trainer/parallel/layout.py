"""How the ranks of a training run are laid out, and the groups that this makes for each of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from engine.parallel.mesh import Axis, Mesh, MeshShape, axis_of
from trainer.axes import Axes

ALONE = Axis(1, 0, None)


@dataclass(frozen=True)
class Layout(Axes):
    """Ranks on each axis. Any product that is the world; FSDP2 over `shard`, with `replicate` HSDP.

    Ranks that share a sample's tokens hold the same weights, so FSDP parts the weights over them too.
    """

    def __post_init__(self) -> None:
        sizes = [getattr(self, axis.name) for axis in fields(self)]
        if min(sizes) < 1:
            raise ValueError(f"Every axis of a layout needs at least one rank: {self}.")


@dataclass(frozen=True)
class Groups:
    """This rank's groups. `model` is what `engine.parallel` takes; `fsdp` what `fully_shard` takes."""

    layout: Layout
    model: Mesh | None = None
    fsdp: DeviceMesh | None = None
    data: Axis = ALONE
    replicate: Axis = ALONE
    weights: Axis = ALONE  # shard x ring x ulysses, over which FSDP parts the weights
    pipe: Axis = ALONE
    back: Axis = ALONE  # the pipe once more: gradients travel beside activations, never behind them
    tensor: Axis = ALONE


def make_groups(layout: Layout, device_type: str = "cpu") -> Groups:
    """Lay the ranks of the default process group out; every rank calls this, with the same layout.

    ValueError where the layout has another number of ranks than there are.
    """
    world = dist.get_world_size() if dist.is_initialized() else 1
    if layout.world != world:
        raise ValueError(f"The layout {layout} is for {layout.world} ranks, and there are {world}.")
    if layout.world == 1:
        return Groups(layout)
    pipe, replicate = layout.pipe, layout.replicate
    weights = _mesh(device_type, pipe=pipe, replicate=replicate, fsdp=layout.weights, tensor=layout.tensor)
    parts = _mesh(
        device_type,
        pipe=pipe,
        replicate=replicate,
        shard=layout.shard,
        ring=layout.ring,
        ulysses=layout.ulysses,
        tensor=layout.tensor,
    )
    sequence = axis_of(parts["ring", "ulysses"]._flatten("sequence"))
    model = Mesh(
        MeshShape(ring=layout.ring, ulysses=layout.ulysses, tensor=layout.tensor),
        data=ALONE,  # a rank's loss is of its own part of the batch: nothing is cut within a call
        cfg=ALONE,
        ring=axis_of(parts["ring"]),
        ulysses=axis_of(parts["ulysses"]),
        tensor=axis_of(parts["tensor"]),
        sequence=sequence,
        replicas=sequence,
        devices=parts,
    )
    return Groups(
        layout,
        model,
        fsdp=_fsdp(weights, layout),
        data=axis_of(parts["replicate", "shard"]._flatten("data")),
        replicate=axis_of(parts["replicate"]),
        weights=axis_of(weights["fsdp"]),
        pipe=axis_of(parts["pipe"]),
        back=_twin(parts, layout),
        tensor=model.tensor,
    )


def _mesh(device_type: str, **sizes: int) -> DeviceMesh:
    return init_device_mesh(device_type, tuple(sizes.values()), mesh_dim_names=tuple(sizes))


def _fsdp(weights: DeviceMesh, layout: Layout) -> DeviceMesh | None:
    if layout.weights == 1:
        return None
    return weights["fsdp"] if layout.replicate == 1 else weights["replicate", "fsdp"]


def _twin(parts: DeviceMesh, layout: Layout) -> Axis:
    """A second group of the ranks of the pipe. Every rank makes those of all pipes, in the same order."""
    if layout.pipe == 1:
        return ALONE
    lines = parts.mesh.reshape(layout.pipe, math.prod(parts.mesh.shape[1:])).T.tolist()
    groups = {tuple(line): dist.new_group(line) for line in lines}
    mine = next(line for line in groups if dist.get_rank() in line)
    return Axis(layout.pipe, mine.index(dist.get_rank()), groups[mine])
