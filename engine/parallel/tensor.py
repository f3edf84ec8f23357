"""Tensor parallelism: the weights of attention and feed-forward split over ranks by heads and hidden units.

Of a pair of layers the first is split by its outputs and the second by its inputs, so a rank has whole heads, or
whole hidden units, from end to end; one sum over ranks follows each pair. Heads that do not divide evenly are spread
unevenly, and a rank may have none. A modulation is split by its outputs, which are gathered: they are one row a sample.

Gradients follow `collectives`: one program on all ranks, the mean of the ranks' losses. What every rank holds (norms,
biases after a sum) is averaged over all ranks. A split weight has on each rank the gradient of its own part, already
averaged over `tensor`: what remains is the mean over the other axes, as DDP or FSDP over those make it.

Source: Megatron-LM (arXiv 1909.08053); ours are uneven parts, and sums whose gradient is a sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from engine.models.blocks import CrossAttention, FeedForward, Modulation, SelfAttention
from engine.parallel.collectives import exchange, gather, part_sizes, summed
from engine.parallel.mesh import Axis


@dataclass(frozen=True)
class Split:
    """Which layers of a module are split by outputs, each made of so many equal pieces, and which by inputs.

    Without a layer that is split by inputs the outputs are gathered.
    """

    outputs: Mapping[str, int]
    inputs: str | None = None


SPLITS: dict[type[nn.Module], Split] = {
    SelfAttention: Split({"qkv": 3}, "out"),
    CrossAttention: Split({"q": 1, "kv": 2}, "out"),
    FeedForward: Split({"0": 1}, "2"),
    Modulation: Split({"1": 1}),
}


@dataclass(frozen=True)
class Cut:
    """How a parameter is cut: into `pieces` along `dim`, and each piece into parts of these sizes, one a rank."""

    dim: int
    pieces: int
    sizes: tuple[int, ...]


class TensorSharding:
    """A model on this rank's part of its weights, until `remove`, which brings the whole weights back to every rank.

    Made of the parts that SPLITS names; all else stays whole. The parameters remain the same objects, so an optimiser
    of them goes on. Made and removed by every rank of the axis alike. For a text encoder `axis` may be that of the
    sequence: it is done before the tokens are spread. Quantise, shard and offload afterwards.

    ValueError where nothing of the model can be split.
    """

    def __init__(self, model: nn.Module, axis: Axis) -> None:
        self.axis = axis
        self.cuts: dict[Tensor, Cut] = {}
        self.heads: dict[nn.Module, int] = {}
        self.summing: list[nn.Module] = []
        self.hooks: list[RemovableHandle] = []
        for module in list(model.modules()):
            if type(module) in SPLITS:
                self._split(module, SPLITS[type(module)])
        if not self.cuts:
            names = ", ".join(kind.__name__ for kind in SPLITS)
            raise ValueError(f"Nothing of {type(model).__name__} can be split over `tensor`: it has none of {names}.")

    @torch.inference_mode(False)  # what is made here outlives the call
    def remove(self) -> None:
        """The model whole again, with the weights and gradients that it has now."""
        for hook in self.hooks:
            hook.remove()
        for layer in self.summing:
            del layer.forward
        for module, heads in self.heads.items():
            module.heads = heads  # type: ignore[assignment]  # neither a tensor nor a module
        for parameter, cut in self.cuts.items():
            grad, parameter.grad = parameter.grad, None
            parameter.data = whole(parameter.data, cut, self.axis)
            parameter.grad = None if grad is None else whole(grad, cut, self.axis)

    def __enter__(self) -> TensorSharding:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.remove()

    def _split(self, module: nn.Module, split: Split) -> None:
        for name, pieces in split.outputs.items():
            layer = _linear(module, name)
            sizes = self._sizes(module, layer.weight.shape[0] // pieces)
            self._cut(layer.weight, Cut(0, pieces, sizes))
            self._cut(layer.bias, Cut(0, pieces, sizes))
            if split.inputs is None:
                self.hooks.append(layer.register_forward_hook(partial(_gathered, sizes, self.axis)))
        if split.inputs is not None:
            layer = _linear(module, split.inputs)
            self._cut(layer.weight, Cut(1, 1, self._sizes(module, layer.weight.shape[1])))
            layer.forward = partial(row_parallel, layer, self.axis)  # type: ignore[method-assign]
            self.summing.append(layer)
        if isinstance(module, SelfAttention | CrossAttention):
            self.heads[module] = module.heads
            module.heads = part_sizes(module.heads, self.axis.size)[self.axis.rank]

    def _sizes(self, module: nn.Module, features: int) -> tuple[int, ...]:
        """Features of each rank: whole heads in attention."""
        heads = module.heads if isinstance(module, SelfAttention | CrossAttention) else features
        return tuple(n * (features // heads) for n in part_sizes(heads, self.axis.size))

    def _cut(self, parameter: Tensor, cut: Cut) -> None:
        if type(parameter.data) is not Tensor:
            raise ValueError("Split a model over `tensor` first and quantise it then.")
        self.cuts[parameter] = cut
        parameter.data, parameter.grad = own(parameter.data, cut, self.axis), None
        learns = parameter.requires_grad
        parameter.requires_grad_(True)  # a frozen one takes no hook, and may learn later
        self.hooks.append(parameter.register_hook(lambda grad: grad / self.axis.size))
        parameter.requires_grad_(learns)


def own(x: Tensor, cut: Cut, axis: Axis) -> Tensor:
    """This rank's part of a whole parameter, as a tensor of its own."""
    pieces = x.unflatten(cut.dim, (cut.pieces, -1)).split(cut.sizes, cut.dim + 1)
    return pieces[axis.rank].flatten(cut.dim, cut.dim + 1).clone(memory_format=torch.contiguous_format)


def whole(x: Tensor, cut: Cut, axis: Axis) -> Tensor:
    """The whole parameter of every rank's part."""
    mine = x.unflatten(cut.dim, (cut.pieces, cut.sizes[axis.rank]))
    shapes = [[*mine.shape[: cut.dim + 1], size, *mine.shape[cut.dim + 2 :]] for size in cut.sizes]
    return torch.cat(exchange([mine] * axis.size, shapes, axis), cut.dim + 1).flatten(cut.dim, cut.dim + 1)


def row_parallel(layer: nn.Linear, axis: Axis, x: Tensor) -> Tensor:
    """A layer of which each rank has some of the inputs; the bias is added once, to the sum."""
    made = summed(F.linear(x, layer.weight), axis)
    return made + layer.bias.to(made.dtype)


def _gathered(sizes: Sequence[int], axis: Axis, layer: nn.Module, args: Any, made: Tensor) -> Tensor:
    return gather(made, made.dim() - 1, sizes, axis)


def _linear(module: nn.Module, name: str) -> nn.Linear:
    layer = module.get_submodule(name)
    assert isinstance(layer, nn.Linear)
    return layer
