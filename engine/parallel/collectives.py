"""The few exchanges that everything here is made of, exact for uneven parts and with their gradients.

A tensor of n rows over p ranks is cut into p parts, the first n % p one row longer; a part may be empty. Everyone knows
everyone's sizes from the whole's, so sizes are never sent, and nothing is ever padded where a softmax could read it.

Gradients are those of one program that runs on all ranks and whose objective is the mean of the ranks' losses. So each
rank computes its loss as if it were alone, and the gradients of a parameter, averaged over the ranks as DDP and FSDP
do, are those of one process. Sums are made with SUM: AVG is not to be trusted on gloo.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from engine.parallel.mesh import Axis


def part_sizes(length: int, parts: int) -> tuple[int, ...]:
    """How many of `length` each of `parts` ranks holds."""
    return tuple(length // parts + (i < length % parts) for i in range(parts))


def part(x: Tensor, dim: int, axis: Axis) -> Tensor:
    """This rank's part of a tensor that every rank holds whole. Its gradient is the slice's own."""
    sizes = part_sizes(x.shape[dim], axis.size)
    return x.narrow(dim, sum(sizes[: axis.rank]), sizes[axis.rank])


def exchange(pieces: Sequence[Tensor], shapes: Sequence[Sequence[int]], axis: Axis) -> list[Tensor]:
    """Piece i goes to rank i; returned is what each rank sent here, whose shapes are `shapes`. No gradient."""
    counts = [torch.Size(shape).numel() for shape in shapes]
    send = torch.cat([piece.reshape(-1) for piece in pieces])
    received = send.new_empty(sum(counts))
    dist.all_to_all_single(received, send, counts, [piece.numel() for piece in pieces], group=axis.group)
    return [part.view(*shape) for part, shape in zip(received.split(counts), shapes, strict=True)]


def gather(x: Tensor, dim: int, sizes: Sequence[int], axis: Axis) -> Tensor:
    """The whole [.., sum(sizes), ..] from every rank's part; its gradient comes back in parts, summed over ranks."""
    return x if axis.size == 1 else _Gather.apply(x, dim, tuple(sizes), axis)


def swap(x: Tensor, cut: int, cut_sizes: Sequence[int], join: int, join_sizes: Sequence[int], axis: Axis) -> Tensor:
    """From whole along `cut` and parted along `join` to the reverse (DeepSpeed-Ulysses, arXiv 2309.14509)."""
    return x if axis.size == 1 else _Swap.apply(x, cut, tuple(cut_sizes), join, tuple(join_sizes), axis)


class Rotation:
    """A tensor on its way to the next rank of a ring, and another on its way here; started at once, read by `wait`.

    It is an all-to-all in which all but one part is empty: gloo on CUDA has no send and receive.
    """

    def __init__(self, x: Tensor, shape: Sequence[int], axis: Axis) -> None:
        def only(rank: int, count: int) -> list[int]:
            return [count if i == rank % axis.size else 0 for i in range(axis.size)]

        self.sent = x.contiguous().view(-1)  # kept until it has gone
        self.received = x.new_empty(torch.Size(shape))
        to, source = only(axis.rank + 1, x.numel()), only(axis.rank - 1, self.received.numel())
        flat = self.received.view(-1)
        self.work = dist.all_to_all_single(flat, self.sent, source, to, group=axis.group, async_op=True)

    def wait(self) -> Tensor:
        """What the rank before sent, of the given shape."""
        self.work.wait()
        return self.received


def summed(x: Tensor, axis: Axis) -> Tensor:
    """The sum of every rank's tensor, on every rank; the gradient of each is the sum of all ranks' gradients."""
    return x if axis.size == 1 else _Sum.apply(x, axis)


def average_gradients(parameters: Iterable[nn.Parameter], world: int, group: dist.ProcessGroup | None = None) -> None:
    """The mean over `world` ranks of every gradient, in place; a parameter without one on this rank counts as zero.

    All of them are sent as one vector: for models that fit twice. Beyond that there are DDP and FSDP.
    """
    learnt = [parameter for parameter in parameters if parameter.requires_grad]
    if not learnt:
        return
    flat = torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in learnt])
    dist.all_reduce(flat, op=dist.ReduceOp.SUM, group=group)
    for parameter, mean in zip(learnt, (flat / world).split([p.numel() for p in learnt]), strict=True):
        parameter.grad = mean.view_as(parameter).to(parameter.dtype)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int, sizes: tuple[int, ...], axis: Axis) -> Tensor:
        ctx.how = dim, sizes, axis
        # An all-gather takes equal parts only; this moves as much and takes any.
        shapes = [[*x.shape[:dim], size, *x.shape[dim + 1 :]] for size in sizes]
        return torch.cat(exchange([x] * axis.size, shapes, axis), dim)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        dim, sizes, axis = ctx.how
        pieces = grad.split(sizes, dim)
        mine = pieces[axis.rank].shape
        return torch.stack(exchange(pieces, [mine] * axis.size, axis)).sum(0), None, None, None


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, axis: Axis) -> Tensor:
        ctx.axis = axis
        return _summed(x, axis)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _summed(grad, ctx.axis), None


def _summed(x: Tensor, axis: Axis) -> Tensor:
    total = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total, op=dist.ReduceOp.SUM, group=axis.group)
    return total


class _Swap(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, cut: int, cut_sizes: tuple[int, ...], join: int, join_sizes: tuple[int, ...], axis: Axis
    ) -> Tensor:
        ctx.how = cut, cut_sizes, join, join_sizes, axis
        return _swap(x, cut, cut_sizes, join, join_sizes, axis)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        cut, cut_sizes, join, join_sizes, axis = ctx.how
        return _swap(grad, join, join_sizes, cut, cut_sizes, axis), None, None, None, None, None


def _swap(
    x: Tensor, cut: int, cut_sizes: tuple[int, ...], join: int, join_sizes: tuple[int, ...], axis: Axis
) -> Tensor:
    shapes = []
    for size in join_sizes:
        shape = list(x.shape)
        shape[cut], shape[join] = cut_sizes[axis.rank], size
        shapes.append(shape)
    return torch.cat(exchange(x.split(cut_sizes, cut), shapes, axis), join)


def offsets(sizes: Sequence[int]) -> list[int]:
    """Where each part begins, and where the last ends."""
    return [0, *itertools.accumulate(sizes)]
