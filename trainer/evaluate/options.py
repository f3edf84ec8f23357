"""How much an evaluation measures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """How much is measured, and how many of the scenes the report shows."""

    scenes: int = 22
    clips: int = 16  # of the flow loss
    seeds: int = 5  # draws of its noise
    training_scenes: int = 128  # searched for copies
    shown: int = 6
