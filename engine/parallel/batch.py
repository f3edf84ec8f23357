"""The rows of a batch spread over ranks, by hooks on the whole model: the two halves of guidance, and requests.

With guidance a batch is its asked rows, then its unasked ones; each half goes to one rank of `cfg`, and the rows of a
half to the ranks of `data`. Every rank gets the whole result.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from engine.parallel.collectives import gather, offsets, part_sizes
from engine.parallel.mesh import Axis, Mesh

T = TypeVar("T")


def share(items: Sequence[T], axis: Axis) -> Sequence[T]:
    """This rank's part of independent work, as the data axis divides it; nothing comes back together."""
    start = offsets(part_sizes(len(items), axis.size))
    return items[start[axis.rank] : start[axis.rank + 1]]


class BatchSharding:
    """A model on this rank's rows, until `remove`. All its tensors and lists have one row a sample."""

    def __init__(self, model: nn.Module, mesh: Mesh) -> None:
        self.axes = [("cfg", mesh.cfg), ("data", mesh.data)]
        self.stack: list[tuple[Axis, list[int]]] = []
        self.shapes: list[torch.Size] = []
        self.signature = inspect.signature(model.forward)
        self.hooks = [
            model.register_forward_pre_hook(self._cut, with_kwargs=True),
            model.register_forward_hook(self._join),
        ]

    def remove(self) -> None:
        """The model as it was."""
        for hook in self.hooks:
            hook.remove()

    def _cut(
        self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        given = self.signature.bind(*args, **kwargs).arguments
        samples = next(iter(given.values()))
        self.shapes, self.stack = [x.shape for x in samples], []
        first, rows = 0, len(samples)
        for name, axis in self.axes:
            if name == "cfg" and rows % axis.size:
                raise ValueError(
                    f"Guidance over {axis.size} ranks needs as many asked as unasked rows, not {rows} in all."
                )
            if rows < axis.size:
                raise ValueError(f"{rows} rows cannot be spread over the {axis.size} ranks of `{name}`.")
            sizes = part_sizes(rows, axis.size)
            begins = [first + start for start in offsets(sizes)]
            self.stack.append((axis, begins))
            first, rows = begins[axis.rank], sizes[axis.rank]
        return (), {name: _each(value, lambda x: x[first : first + rows]) for name, value in given.items()}

    def _join(self, model: nn.Module, args: tuple[Any, ...], made: Any) -> Any:
        """All rows, on every rank. They travel as one long vector, for in a list each may be of another size."""
        flat = made.flatten() if isinstance(made, Tensor) else torch.cat([x.flatten() for x in made])
        # Wan's image-to-video transformer makes fewer channels than it reads.
        shapes = [made.shape[1:]] * len(self.shapes) if isinstance(made, Tensor) else self.shapes
        numbers = [shape.numel() for shape in shapes]
        for axis, begins in reversed(self.stack):
            sizes = [sum(numbers[start:stop]) for start, stop in pairwise(begins)]
            flat = gather(flat, 0, sizes, axis)
        rows = [row.view(shape) for row, shape in zip(flat.split(numbers), shapes, strict=True)]
        return torch.stack(rows) if isinstance(made, Tensor) else rows


def _each(value: Any, cut: Callable[[Any], Any]) -> Any:
    if value is None:
        return None
    return {name: cut(x) for name, x in value.items()} if isinstance(value, Mapping) else cut(value)
