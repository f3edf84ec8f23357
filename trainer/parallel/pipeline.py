"""The blocks of a model spread over stages, by hooks: each rank runs its own blocks, and activations travel between.

What stands before and after the blocks is small and is done, and held, by every stage: a stage's gradient of it is a
part, and the parts are summed. Only the last stage has a loss. Several microbatches are under way at a time, in the
order that one forward, one backward gives (PipeDream-flush, arXiv 2006.09503): a stage holds at most as many as there
are stages from it on.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import wraps
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn

from engine.parallel.collectives import offsets, part_sizes
from engine.parallel.mesh import Axis
from engine.parallel.sequence import PLANS, SequencePlan

Turn = tuple[Literal["forward", "backward"], int]
DTYPES = (torch.float32, torch.bfloat16, torch.float64, torch.float16)


def schedule(stage: int, stages: int, count: int) -> Iterator[Turn]:
    """One forward, one backward, of `count` microbatches; on one stage they follow each other."""
    ahead = min(count, stages - 1 - stage)
    for i in range(count + ahead):
        if i < count:
            yield "forward", i
        if i >= ahead:
            yield "backward", i - ahead


class Pipeline:
    """A model of PLANS of which this rank runs one stage. Made by every rank; the weights of other stages are dropped.

    `connect` follows when all other hooks are there. ValueError where there are fewer blocks than stages.
    """

    def __init__(self, model: nn.Module, forth: Axis, back: Axis) -> None:
        self.forth, self.back, self.plan = forth, back, PLANS[type(model)]
        blocks = [block for name in self.plan.blocks for block in model.get_submodule(name).children()]
        if len(blocks) < forth.size:
            raise ValueError(f"{len(blocks)} blocks cannot be spread over the {forth.size} stages of `pipe`.")
        starts = offsets(part_sizes(len(blocks), forth.size))
        self.own = blocks[starts[forth.rank] : starts[forth.rank + 1]]
        for block in blocks:
            if block not in self.own:
                _pass_through(block, self.plan)
        self.anchor = torch.zeros((), requires_grad=True)  # what comes has a gradient, whatever is learnt before it
        self.sent: tuple[Tensor, ...] = ()
        self.coming: torch.dtype | None = None  # known from the first that came
        self.going: torch.dtype | None = None
        self.under_way: list[tuple[Any, Tensor]] = []

    @property
    def last(self) -> bool:
        """Whether this stage has the loss."""
        return self.forth.rank == self.forth.size - 1

    def connect(self) -> None:
        """Join the own blocks to the neighbours' stages."""
        if self.forth.rank > 0:
            self.own[0].register_forward_pre_hook(self._take, with_kwargs=True)
        if not self.last:
            self.own[-1].register_forward_hook(self._give)

    def taken(self) -> tuple[Tensor, ...]:
        """What this microbatch has sent on, with its graph: the backward pass begins there."""
        sent, self.sent = self.sent, ()
        return sent

    def backward(self, sent: tuple[Tensor, ...]) -> None:
        """Through this stage, with the gradients of what it sent."""
        grads = [self._receive(torch.empty_like(x, memory_format=torch.contiguous_format), self.back) for x in sent]
        torch.autograd.backward(sent, grads)

    def finish(self) -> None:
        """Wait until all that was sent has gone."""
        for work, _ in self.under_way:
            work.wait()
        self.under_way.clear()

    def _take(
        self, block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[()], dict[str, Any]]:
        given = inspect.signature(block.forward).bind(*args, **kwargs).arguments
        came = _Arrival.apply(self.anchor, self, *(given[name].detach() for name in self.plan.enter))
        return (), given | dict(zip(self.plan.enter, came, strict=True))

    def _give(self, block: nn.Module, args: tuple[Any, ...], made: Any) -> Any:
        """Send the streams on. What this stage computes behind them is not read."""
        streams = (made,) if isinstance(made, Tensor) else tuple(made)
        self.sent = streams
        if self.going is None:
            self.going = streams[0].dtype
            self.send(torch.tensor(DTYPES.index(self.going), device=streams[0].device), self.forth, +1)
        for x in streams:
            assert x.dtype == self.going, "the type of what goes from stage to stage has changed"
            self.send(x.detach(), self.forth, +1)
        rest = tuple(x.detach() for x in streams)
        return rest[0] if isinstance(made, Tensor) else rest

    def receive(self, like: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The streams of the stage before, of these shapes."""
        if self.coming is None:
            code = self._receive(torch.zeros((), dtype=torch.long, device=like[0].device), self.forth)
            self.coming = DTYPES[int(code)]
        return tuple(self._receive(torch.empty(x.shape, dtype=self.coming, device=x.device), self.forth) for x in like)

    def send(self, x: Tensor, axis: Axis, hop: int) -> None:
        """Start sending to the stage `hop` further; nothing is sent of a part without tokens."""
        if x.numel():
            x = x.contiguous()
            self.under_way.append((dist.isend(x, group=axis.group, group_dst=axis.rank + hop), x))

    def _receive(self, x: Tensor, axis: Axis) -> Tensor:
        if x.numel():
            dist.recv(x, group=axis.group, group_src=axis.rank + (-1 if axis is self.forth else 1))
        return x


class _Arrival(torch.autograd.Function):
    """What comes from the stage before; its gradients go there."""

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, pipe: Pipeline, *like: Tensor) -> tuple[Tensor, ...]:
        ctx.pipe, ctx.count = pipe, len(like)
        return pipe.receive(like)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, ...]:
        for grad in grads:
            ctx.pipe.send(grad, ctx.pipe.back, -1)
        return (None,) * (2 + ctx.count)


def _pass_through(block: nn.Module, plan: SequencePlan) -> None:
    """A block without weights that hands its streams on."""
    forward, signature = block.forward, inspect.signature(block.forward)

    @wraps(forward)
    def passing(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        streams = tuple(given[name] for name in plan.enter)
        return streams[0] if len(streams) == 1 else streams

    block._modules.clear()
    block._parameters.clear()
    block.forward = passing
