"""How an exported bundle wants to be sampled."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sampling:
    """See `engine.bundles.sampling_of`. Training does not read it: choose it on scenes that training never draws."""

    sampler: str = "euler"
    shift: float = 1.0
    guidance: float = 2.0
    temperature: float = 1.0
