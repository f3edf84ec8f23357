"""Modules whole on every rank, which shares the batch with the others: how a stage trains that asks for no layout.

In the form of `trainer.parallel.Spread`, and light: it imports no model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn

from engine.device import device_of
from trainer.parallel.layout import Layout
from trainer.parallel.policy import Memory, Recompute

KEEP = Memory()
Metrics = Mapping[str, float]


class Part(Protocol):
    """A microbatch: `loss()` is the mean over its `items`, and what is logged beside it, means too."""

    @property
    def items(self) -> float: ...
    def loss(self) -> tuple[Tensor, Metrics]: ...


class Spreading(Protocol):
    """What the loop drives on every rank; see `trainer.parallel.Spread`."""

    net: nn.ModuleDict

    @property
    def recompute(self) -> Recompute: ...
    @property
    def splits_weights(self) -> bool: ...
    @property
    def data_rank(self) -> int: ...
    @property
    def data_size(self) -> int: ...
    def share(self, batch: int, parts: int = 1) -> list[range]: ...
    def backward(self, parts: Sequence[Part]) -> tuple[float, dict[str, float]]: ...
    def evaluate(self, parts: Sequence[Part]) -> tuple[float, dict[str, float]]: ...
    def clip(self, limit: float) -> Tensor: ...
    def saved_form(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]: ...
    def own_form(self, saved: Mapping[str, Tensor]) -> dict[str, Tensor]: ...


class Replicas:
    """Modules on every rank of the process group, or on this process alone: then the bits are those of a plain loop."""

    recompute: Recompute = "none"
    splits_weights = False

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self.net = nn.ModuleDict(dict(modules))
        together = dist.is_initialized()
        self._rank = dist.get_rank() if together else 0
        self._world = dist.get_world_size() if together else 1

    @property
    def data_rank(self) -> int:
        return self._rank

    @property
    def data_size(self) -> int:
        return self._world

    def share(self, batch: int, parts: int = 1) -> list[range]:
        """This rank's rows of a global batch, in `parts` microbatches. ValueError where there are too few rows."""
        count = self.data_size * parts
        if batch < count:
            raise ValueError(f"{batch} rows cannot be spread over {self.data_size} ranks x {parts} microbatches.")
        mine = range(self.data_rank * parts, (self.data_rank + 1) * parts)
        return [range(batch * i // count, batch * (i + 1) // count) for i in mine]

    def backward(self, parts: Sequence[Part]) -> tuple[float, dict[str, float]]:
        """Loss and metrics over the global batch, equal on every rank, with the gradients of one process."""
        items = _summed([sum(part.items for part in parts)], self.data_size)[0]
        sums: dict[str, float] = {}
        for part in parts:
            value, metrics = part.loss()
            share = part.items / items
            (value if share == 1 else value * share).backward()
            _add(sums, {"loss": value.item(), **metrics}, share)
        if self.data_size > 1:
            _sum_gradients(self.net.parameters())
            sums = dict(zip(sums, _summed(list(sums.values()), self.data_size), strict=True))
        return sums.pop("loss"), sums

    @torch.no_grad()
    def evaluate(self, parts: Sequence[Part]) -> tuple[float, dict[str, float]]:
        """The same without gradients; parts may be of no items."""
        items = _summed([sum(part.items for part in parts)], self.data_size)[0]
        sums: dict[str, float] = {}
        for part in parts:
            value, metrics = part.loss()
            _add(sums, {"loss": value.item(), **metrics}, part.items / items)
        sums = dict(zip(sums, _summed(list(sums.values()), self.data_size), strict=True))
        return sums.pop("loss"), sums

    def clip(self, limit: float) -> Tensor:
        """Scale the gradients to a norm of at most `limit`; the norm before."""
        return nn.utils.clip_grad_norm_(self.net.parameters(), limit)

    def saved_form(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Values as a checkpoint holds them: as they are."""
        return dict(values)

    def own_form(self, saved: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(saved)


def spread_over(layout: Layout, memory: Memory = KEEP) -> Callable[[dict[str, nn.Module]], Spreading]:
    """How a layout lays modules out; one that parts nothing, and keeps all, has them whole on every rank there is."""
    if layout == Layout() and memory == KEEP:
        return Replicas

    def spread(modules: dict[str, nn.Module]) -> Spreading:
        from trainer.parallel.spread import Spread  # which imports every transformer

        device = device_of(next(iter(modules.values())))
        return Spread(modules, layout, memory, device_type=device.type)

    return spread


def parts_of_batch(layout: Layout, memory: Memory = KEEP) -> int:
    """Into how many parts what `spread_over` lays out cuts a batch."""
    world = dist.get_world_size() if dist.is_initialized() else 1
    return world if layout == Layout() and memory == KEEP else layout.data


def check_layout(layout: Layout, memory: Memory = KEEP) -> None:
    """ValueError where `spread_over` would find another number of ranks: before anything is made."""
    world = dist.get_world_size() if dist.is_initialized() else 1
    if (layout != Layout() or memory != KEEP) and layout.world != world:
        raise ValueError(
            f"The layout {layout} is for {layout.world} ranks, and there are {world}: start as many with torchrun, or "
            f"set layout to their number, as layout.shard={world}."
        )


def _sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Every gradient, summed over the ranks; a parameter without one on this rank counts as zero, and one that no rank
    has used has none.
    """
    learnt = [parameter for parameter in parameters if parameter.requires_grad]
    flat = torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in learnt])
    used = torch.tensor([parameter.grad is not None for parameter in learnt], dtype=torch.int32)
    dist.all_reduce(flat)
    dist.all_reduce(used)
    totals = flat.split([parameter.numel() for parameter in learnt])
    for parameter, total, ranks in zip(learnt, totals, used.tolist(), strict=True):
        parameter.grad = total.view_as(parameter) if ranks else None


def _add(sums: dict[str, float], means: Metrics, share: float) -> None:
    for name, one in means.items():
        sums[name] = sums.get(name, 0.0) + (one if share == 1 else one * share)


def _summed(values: list[float], ranks: int) -> list[float]:
    if ranks == 1:
        return values
    total = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(total)
    found: list[float] = total.tolist()
    return found
