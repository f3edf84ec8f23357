"""Ranks on each axis of a mesh, as planned, asked for and laid out. Torch-free."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class MeshShape:
    """Ranks on each axis. `ring` x `ulysses` is the sequence."""

    data: int = 1
    cfg: int = 1
    ring: int = 1
    ulysses: int = 1
    tensor: int = 1

    def __post_init__(self) -> None:
        if min(self.sizes) < 1:
            raise ValueError(f"Every axis of a mesh needs at least one rank: {vars(self)}.")
        if self.cfg > 2:
            raise ValueError(f"Guidance has two halves, so at most two ranks can share it, not {self.cfg}.")

    @classmethod
    def read(cls, text: str) -> MeshShape:
        """Of `cfg=2,ulysses=2`. ValueError where that is no mesh."""
        words = [word.strip() for word in text.split(",") if word.strip()]
        pairs = [re.fullmatch(r"(data|cfg|ring|ulysses|tensor)=([1-9]\d*)", word) for word in words]
        named = {pair[1]: int(pair[2]) for pair in pairs if pair}
        if not words or len(named) < len(words):
            raise ValueError(f"A mesh is ranks on axes, as cfg=2 or cfg=2,ulysses=2, not {text!r}.")
        return cls(**named)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Ranks on each axis, in the order of the fields."""
        return tuple(vars(self).values())

    @property
    def sequence(self) -> int:
        return self.ring * self.ulysses

    @property
    def world(self) -> int:
        """Ranks in all."""
        return math.prod(self.sizes)

    def __str__(self) -> str:
        return " x ".join(f"{axis} {size}" for axis, size in vars(self).items() if size > 1) or "one device"
