"""The meshes that a plan may choose from."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from engine.axes import MeshShape
from engine.costs import Config, blocks_of
from trainer.axes import Axes


@dataclass(frozen=True)
class Mesh(Axes):
    """Devices on each axis, as a layout of `trainer.parallel` would have ranks."""

    @property
    def layout(self) -> MeshShape:
        """The axes inside of one sample, as `engine.costs` knows them."""
        return MeshShape(ring=self.ring, ulysses=self.ulysses, tensor=self.tensor)

    def __str__(self) -> str:
        return " x ".join(f"{axis} {size}" for axis, size in vars(self).items() if size > 1) or "one device"


def meshes(devices: int, config: Config, batch: int, node: int) -> Iterator[Mesh]:
    """Every mesh of so many devices over which `batch` samples, the heads and the blocks part evenly.

    Tensor parallelism and Ulysses stay inside a node of `node` devices with fast links, where their exchanges belong.
    """
    heads, depth = config["heads"], len(blocks_of(config))
    inner = [n for n in range(1, min(node, devices) + 1) if devices % n == 0 and heads % n == 0]
    for tensor, ulysses in itertools.product(inner, inner):
        if tensor * ulysses > node or heads % (tensor * ulysses) or devices % (tensor * ulysses):
            continue
        rest = devices // (tensor * ulysses)
        for ring, pipe in itertools.product(_divisors(rest, 16), _divisors(rest, min(16, depth))):
            data, left = divmod(rest, ring * pipe)
            if not left and batch % data == 0:
                for shard in _divisors(data, data):
                    yield Mesh(data // shard, shard, pipe, ring, ulysses, tensor)


def _divisors(number: int, most: int) -> list[int]:
    return [n for n in range(1, min(number, most) + 1) if number % n == 0]
