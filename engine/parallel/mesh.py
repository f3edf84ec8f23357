"""How the ranks are laid out: data x cfg x ring x ulysses x tensor, the last axis on neighbouring ranks.

Ulysses sends everything to everyone and so gets neighbours; a ring only speaks to the next rank.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from engine.axes import MeshShape as MeshShape


@dataclass(frozen=True)
class Axis:
    """This rank's group along one axis. Without a group it is alone, and nothing is sent."""

    size: int
    rank: int
    group: dist.ProcessGroup | None


@dataclass(frozen=True)
class Mesh:
    """The groups of this rank. `devices` is the whole as torch's DeviceMesh, for FSDP2 and DTensor."""

    shape: MeshShape
    data: Axis
    cfg: Axis
    ring: Axis
    ulysses: Axis
    tensor: Axis
    sequence: Axis  # ring x ulysses as one: the rank that holds the i-th part of the tokens is its i-th
    replicas: Axis  # all but tensor as one: the ranks that hold the same part of every weight
    devices: DeviceMesh


def make_mesh(shape: MeshShape, device_type: str = "cpu") -> Mesh:
    """Lay the ranks of the default process group out; every rank calls this, with the same shape.

    ValueError where the shape has another number of ranks than the process group.
    """
    if shape.world != dist.get_world_size():
        raise ValueError(f"The mesh {shape} has {shape.world} ranks, the process group {dist.get_world_size()}.")
    devices = init_device_mesh(device_type, shape.sizes, mesh_dim_names=tuple(axis.name for axis in fields(shape)))
    sequence = devices["ring", "ulysses"]._flatten("sequence")
    replicas = devices["data", "cfg", "ring", "ulysses"]._flatten("replicas")
    axes = {axis.name: axis_of(devices[axis.name]) for axis in fields(shape)}
    return Mesh(shape, sequence=axis_of(sequence), replicas=axis_of(replicas), devices=devices, **axes)


def axis_of(mesh: DeviceMesh) -> Axis:
    """This rank's group along a mesh of one dimension."""
    size = mesh.size()
    return Axis(size, mesh.get_local_rank(), mesh.get_group() if size > 1 else None)
