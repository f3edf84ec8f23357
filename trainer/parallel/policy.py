"""Which activations a run keeps: what a recipe says of memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Recompute = Literal["none", "selective", "full"]


@dataclass(frozen=True)
class Memory:
    """`recompute`: "none" keeps all activations, "full" of a block only what it was given, "selective" the results of
    its matrix products and attention. `offload`: what is kept waits in host memory.
    """

    recompute: Recompute = "none"
    offload: bool = False

    def __post_init__(self) -> None:
        if self.recompute not in ("none", "selective", "full"):
            raise ValueError(f"Recomputation is none, selective or full, not {self.recompute!r}.")
