"""Every kind of exchange that a mesh will use, tried once before any work: a group that cannot speak says so at once.

Who is missing, and in which operation the others wait for it, is told by the board (`board`), to whoever watches it.
"""

from __future__ import annotations

from dataclasses import fields

import torch
import torch.distributed as dist
from torch import Tensor

from engine.parallel.collectives import Rotation, exchange
from engine.parallel.mesh import Axis, Mesh
from engine.runtime.board import Board


def preflight(mesh: Mesh, board: Board, rank: int) -> None:
    """Called on every rank. RuntimeError where an exchange brings something else than was sent."""
    axes = {field.name: getattr(mesh, field.name) for field in fields(mesh)}
    for name, axis in axes.items():
        if isinstance(axis, Axis) and axis.size > 1:
            for what, trial in (("sum", _sum), ("exchange", _exchange), ("rotation", _rotate)):
                board.enter(rank, f"preflight: {what} over {name}")
                got, wanted = trial(axis)
                if not torch.equal(got, wanted):
                    raise RuntimeError(
                        f"Preflight: rank {rank} got {got.tolist()} instead of {wanted.tolist()} from a {what} over the"
                        f" {axis.size} ranks of `{name}`. The ranks do not agree on the mesh, or the network is broken."
                    )


def _sum(axis: Axis) -> tuple[Tensor, Tensor]:
    x = torch.tensor([1.0, float(axis.rank)])
    dist.all_reduce(x, group=axis.group)
    return x, torch.tensor([axis.size, axis.size * (axis.size - 1) / 2])


def _exchange(axis: Axis) -> tuple[Tensor, Tensor]:
    """Rank i gets i + 1 numbers of everyone: uneven, as parts of an odd length are."""
    pieces = [torch.full((i + 1,), float(axis.rank)) for i in range(axis.size)]
    got = exchange(pieces, [(axis.rank + 1,)] * axis.size, axis)
    return torch.cat(got), torch.arange(float(axis.size)).repeat_interleave(axis.rank + 1)


def _rotate(axis: Axis) -> tuple[Tensor, Tensor]:
    return Rotation(torch.tensor([float(axis.rank)]), (1,), axis).wait(), torch.tensor(
        [(axis.rank - 1) % axis.size * 1.0]
    )
