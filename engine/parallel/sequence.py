"""The tokens of a model spread over the sequence's ranks, by hooks on its blocks.

Before the first block each rank takes its part of every stream; whatever else runs along a stream (rotary table,
groups) is cut before every block; after the last block the video is whole again. What stands before and after the
blocks is done by every rank alike: it is small.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from engine.attention.dispatch import Attend, Attention, restore, use
from engine.models.multimodal_dit import MultimodalDiT
from engine.models.single_dit import SingleDiT
from engine.parallel.collectives import gather, part, part_sizes
from engine.parallel.mesh import Mesh
from engine.parallel.usp import SequenceAttention
from engine.parallel.xfuser import XfuserAttention

VIDEO, TEXT = "video", "text"
OVER_RANKS: dict[str, Callable[[Mesh, Callable[[], Sequence[int]], Attention], Attend]] = {
    "own": SequenceAttention,
    "xfuser": XfuserAttention,
}


@dataclass(frozen=True)
class SequencePlan:
    """Which arguments of a model's blocks run along which stream, and along which dimension.

    `blocks` are its lists of blocks in the order of execution. `enter` is cut before the first block and then handed
    on from block to block, in the order of the blocks' results; `along` arrives whole at every block. Each stream has
    at least one argument in `along`: from it a block knows the stream's whole length.
    """

    blocks: tuple[str, ...]
    enter: Mapping[str, tuple[str, int]]
    along: Mapping[str, tuple[str, int]]


PLANS: dict[type[nn.Module], SequencePlan] = {
    SingleDiT: SequencePlan(
        blocks=("blocks",),
        enter={"x_BLD": (VIDEO, 1)},
        along={"rotary": (VIDEO, 0), "sample_BL": (VIDEO, 1)},
    ),
    MultimodalDiT: SequencePlan(
        blocks=("dual_blocks", "single_blocks"),
        enter={"x_BLD": (VIDEO, 1), "text_BMD": (TEXT, 1)},
        along={"rotary": (VIDEO, 0), "group_BM": (TEXT, 1), "sample_BL": (VIDEO, 1)},
    ),
}


class SequenceSharding:
    """A model's blocks on this rank's part of the tokens, until `remove`."""

    def __init__(self, model: nn.Module, mesh: Mesh, attention: Attention, over: str = "own") -> None:
        if type(model) not in PLANS:
            names = ", ".join(kind.__name__ for kind in PLANS)
            raise ValueError(f"No sequence plan for {type(model).__name__}. There are plans for {names}.")
        if over not in OVER_RANKS:
            raise ValueError(f"No attention over ranks by {over!r}. There are {', '.join(OVER_RANKS)}.")
        attend = OVER_RANKS[over](mesh, self._lengths, attention)
        self.plan, self.axis = PLANS[type(model)], mesh.sequence
        self.streams: dict[str, tuple[int, ...]] = {}
        blocks = [block for name in self.plan.blocks for block in model.get_submodule(name).children()]
        self.hooks = [
            block.register_forward_pre_hook(self._cut(first=block is blocks[0]), with_kwargs=True) for block in blocks
        ]
        self.hooks.append(blocks[-1].register_forward_hook(self._join))
        self.before = use(model, attend)

    def remove(self) -> None:
        """The model as it was."""
        restore(self.before)
        for hook in self.hooks:
            hook.remove()

    def _lengths(self) -> Sequence[int]:
        """Tokens of all streams on each rank, in the block that runs now."""
        return [sum(sizes) for sizes in zip(*self.streams.values(), strict=True)]

    def _cut(self, *, first: bool) -> Any:
        cut = {**self.plan.along, **(self.plan.enter if first else {})}

        def hook(block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[()], dict[str, Any]]:
            given = inspect.signature(block.forward).bind(*args, **kwargs).arguments
            for name, (stream, dim) in self.plan.along.items():
                if given.get(name) is not None:
                    self.streams[stream] = part_sizes(_length(given[name], dim), self.axis.size)
            return (), given | {name: self._part(given.get(name), dim) for name, (_, dim) in cut.items()}

        return hook

    def _part(self, value: Any, dim: int) -> Any:
        if value is None:
            return None
        return part(value, dim, self.axis) if isinstance(value, Tensor) else tuple(self._part(v, dim) for v in value)

    def _join(self, block: nn.Module, args: tuple[Any, ...], made: Any) -> Any:
        """The video whole again. Of the other streams nothing is read after the blocks."""
        x_BLD = made if isinstance(made, Tensor) else made[0]
        whole = gather(x_BLD, 1, self.streams[VIDEO], self.axis)
        return whole if isinstance(made, Tensor) else (whole, *made[1:])


def _length(value: Any, dim: int) -> int:
    return value.shape[dim] if isinstance(value, Tensor) else _length(value[0], dim)
