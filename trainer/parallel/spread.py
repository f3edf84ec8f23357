"""The modules of a run spread over the ranks: what the training loop drives, the same on one process and on thousands.

A loss is given as parts: each is computed when it is called, and is a mean over so many items (rows, or tokens). What
is learnt is the mean over the items of all parts of all ranks, whatever the split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard

from engine.device import device_of
from engine.parallel.apply import Parallel
from engine.parallel.collectives import offsets, part_sizes
from engine.parallel.sequence import PLANS, SequenceSharding
from engine.parallel.tensor import Cut, TensorSharding
from trainer.parallel import gradients, whole
from trainer.parallel.gradients import Kind
from trainer.parallel.layout import Groups, Layout, make_groups
from trainer.parallel.memory import Resume, save_memory
from trainer.parallel.pipeline import Pipeline, schedule
from trainer.parallel.policy import Memory
from trainer.parallel.whole import Values

if TYPE_CHECKING:
    from trainer.replicas import Part as Microbatch


@dataclass(frozen=True)
class Part:
    """A microbatch: `loss()` is the mean over its `items`, and what is logged beside it, means too."""

    loss: Callable[[], tuple[Tensor, Mapping[str, float]]]
    items: float = 1.0


class Spread:
    """Modules over the ranks of a layout. Every rank makes it alike, with modules of the same weights.

    The video transformers are split over all axes. All other modules stay whole on every rank and have their gradients
    summed: they are small. On one process nothing is wrapped and nothing sent. Make the optimiser of `net` afterwards.

    ValueError where the layout is not that of the process group, or asks for more than the modules can be split into.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        layout: Layout | None = None,
        memory: Memory | None = None,
        device_type: str = "cpu",
    ) -> None:
        self.layout, memory = layout or Layout(), memory or Memory()
        self.recompute = memory.recompute
        self.groups: Groups = make_groups(self.layout, device_type)
        self.net = nn.ModuleDict(dict(modules))
        self.cuts: dict[str, Cut] = {}
        self.staged: set[str] = set()
        self.pipeline: Pipeline | None = None
        self.sharded: list[FSDPModule] = []
        models = {name: module for name, module in modules.items() if type(module) in PLANS}
        if self.layout.world > self.layout.data and len(models) != 1:
            raise ValueError(f"Beside the batch one video transformer can be split, and there are {len(models)}.")
        for name, model in models.items():
            self._spread(name, model, memory)

    @property
    def splits_weights(self) -> bool:
        """Whether ranks hold parts of one layer's weights: those of `tensor`."""
        return self.layout.tensor > 1

    @property
    def data_rank(self) -> int:
        """Which part of the batch this rank takes, of `data_size`. Ranks that share samples have the same."""
        return self.groups.data.rank

    @property
    def data_size(self) -> int:
        """Into how many parts a batch is cut."""
        return self.groups.data.size

    def share(self, batch: int, parts: int = 1) -> list[range]:
        """This rank's rows of a global batch, in `parts` microbatches.

        ValueError where there are fewer rows than microbatches in all.
        """
        count = self.data_size * parts
        if batch < count:
            raise ValueError(f"{batch} rows cannot be spread over {self.data_size} ranks x {parts} microbatches.")
        starts = offsets(part_sizes(batch, count))[self.data_rank * parts :][: parts + 1]
        return [range(start, stop) for start, stop in pairwise(starts)]

    def backward(self, parts: Sequence[Microbatch]) -> tuple[float, dict[str, float]]:
        """Loss and metrics over the global batch, equal on every rank; the gradients are those of one process.

        Every rank gives as many parts, and in a pipeline all stages the same. Once a step, on gradients set to none: at
        its end the sums over ranks are made, and more microbatches are more parts of one call.
        """
        items = self._over_data([sum(part.items for part in parts)])[0]
        pipe, graphs, seen = self.groups.pipe, {}, _Means(items)
        for what, i in schedule(pipe.rank, pipe.size, len(parts)):
            if what == "forward":
                graphs[i] = self._forward(parts[i], seen)
            else:
                self._backward(graphs.pop(i), last=i == len(parts) - 1)
        if self.pipeline is not None:
            self.pipeline.finish()
        if self.layout.world > 1:
            gradients.settle(self._kinds(), self.groups)
        return self._summed(seen)

    @torch.no_grad()
    def evaluate(self, parts: Sequence[Microbatch]) -> tuple[float, dict[str, float]]:
        """The same without gradients."""
        items = self._over_data([sum(part.items for part in parts)])[0]
        seen = _Means(items)
        for part in parts:
            self._forward(part, seen)
        if self.pipeline is not None:
            self.pipeline.finish()
        return self._summed(seen)

    def clip(self, limit: float) -> Tensor:
        """Scale the gradients to a norm of at most `limit` over all weights of all ranks; returns the norm before."""
        if self.layout.world == 1:
            return nn.utils.clip_grad_norm_(self.net.parameters(), limit)
        return gradients.clip(self._kinds(), self.groups, limit)

    def saved_form(self, values: Mapping[str, Tensor]) -> Values:
        """Values by the names of `net`, as a checkpoint of any layout holds them (weights, averages, moments)."""
        return whole.saved_form(values, self.cuts, self.groups.tensor)

    def own_form(self, saved: Mapping[str, Tensor]) -> Values:
        """The reverse: as this layout has them."""
        return whole.own_form(saved, self.cuts, self.groups.tensor)

    def whole_form(self, values: Mapping[str, Tensor]) -> Values:
        """Whole values of all stages, on every rank: for export."""
        return whole.whole_form(values, self.cuts, self.groups.tensor, self.groups.pipe)

    # --- how a model is spread ---

    def _spread(self, name: str, model: nn.Module, memory: Memory) -> None:
        groups, lists = self.groups, PLANS[type(model)].blocks
        if groups.pipe.size > 1:
            self.pipeline = Pipeline(model, groups.pipe, groups.back)
            self.staged = {f"{name}.{key}" for key, _ in model.named_parameters() if key.split(".")[0] in lists}
        parallel = Parallel(model, groups.model) if groups.model is not None else None
        for part in parallel.parts if parallel else ():
            if isinstance(part, TensorSharding):
                names = {parameter: f"{name}.{key}" for key, parameter in model.named_parameters()}
                self.cuts = {names[parameter]: cut for parameter, cut in part.cuts.items()}  # type: ignore[index]
        save_memory(model, memory, _streams_of(parallel))
        if groups.fsdp is not None:
            self._shard(model, lists)
        if self.pipeline is not None:
            self.pipeline.connect()

    def _shard(self, model: nn.Module, lists: Sequence[str]) -> None:
        assert self.groups.fsdp is not None
        blocks = [block for name in lists for block in model.get_submodule(name).children()]
        # In a pipeline a block runs for the next microbatch before it goes back for this one: it stays together.
        keep = None if self.pipeline is None else False
        for module in (*(block for block in blocks if any(True for _ in block.parameters())), model):
            fully_shard(module, mesh=self.groups.fsdp, reshard_after_forward=keep)
            assert isinstance(module, FSDPModule)
            # The loss of each rank is scaled already. AVG is not to be trusted on gloo.
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
        assert isinstance(model, FSDPModule)
        self.sharded.append(model)

    def _kinds(self) -> Iterator[tuple[nn.Parameter, Kind]]:
        for name, parameter in self.net.named_parameters():
            yield parameter, Kind(split=name in self.cuts, staged=name in self.staged)

    # --- one microbatch ---

    def _forward(self, part: Microbatch, seen: _Means) -> Tensor | tuple[Tensor, ...]:
        """What the backward pass of a microbatch begins with: its loss, or what its stage has sent on."""
        value, metrics = part.loss()
        if self.pipeline is not None and not self.pipeline.last:
            seen.add(0.0, dict.fromkeys(metrics, 0.0), part.items)
            return self.pipeline.taken()
        seen.add(value.item(), metrics, part.items)
        # Ranks that share a sample's tokens each compute its loss: what FSDP sums over them is their mean.
        return value * (part.items / seen.items / self.layout.sequence)

    def _backward(self, graph: Tensor | tuple[Tensor, ...], *, last: bool) -> None:
        if self.pipeline is not None:
            for model in self.sharded:
                model.set_is_last_backward(last)
                model.set_reshard_after_backward(last)
                model.set_requires_gradient_sync(last)
        if isinstance(graph, Tensor):
            graph.backward()
        else:
            assert self.pipeline is not None
            self.pipeline.backward(graph)

    # --- sums of what is logged ---

    def _summed(self, seen: _Means) -> tuple[float, dict[str, float]]:
        names = list(seen.sums)
        values = self._over_data([seen.sums[name] for name in names])
        if self.groups.pipe.size > 1:
            values = _all_reduced(values, self.groups.pipe.group, self._device)
        found = dict(zip(names, values, strict=True))
        return found.pop("loss"), found

    def _over_data(self, values: list[float]) -> list[float]:
        data = self.groups.data
        return values if data.size == 1 else _all_reduced(values, data.group, self._device)

    @property
    def _device(self) -> torch.device:
        return device_of(self.net)


class _Means:
    """Sums of loss and metrics, each by its share of the global batch."""

    def __init__(self, items: float) -> None:
        self.items, self.sums = items, {"loss": 0.0}

    def add(self, loss: float, metrics: Mapping[str, float], items: float) -> None:
        for name, value in {"loss": loss, **metrics}.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * (items / self.items)


def _all_reduced(values: list[float], group: dist.ProcessGroup | None, device: torch.device) -> list[float]:
    total = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(total, group=group)
    return total.tolist()


def _streams_of(parallel: Parallel | None) -> Callable[[], Resume] | None:
    """A block that is computed again asks how its tokens lie; by then another microbatch may have been through."""
    found = [part for part in parallel.parts if isinstance(part, SequenceSharding)] if parallel else []
    if not found:
        return None
    (sequence,) = found

    def remember() -> Resume:
        streams = dict(sequence.streams)

        @contextmanager
        def resume() -> Iterator[None]:
            before, sequence.streams = sequence.streams, streams
            try:
                yield
            finally:  # the repetition is left by an exception as soon as nothing more is needed of it
                sequence.streams = before

        return resume

    return remember
