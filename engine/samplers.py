"""Samplers of rectified flow: pure functions from a velocity and a time grid to data.

x_t = (1 - t) * data + t * noise, so the velocity is noise - data and integration runs from t = 1 down to 0.
Source: Liu et al., Flow Straight and Fast (arXiv 2209.03003).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

Velocity = Callable[[Tensor, Tensor], Tensor]  # (x, time in [0, 1]) -> velocity of x's shape


def shifted_times(steps: int, shift: float = 1.0) -> Tensor:
    """`steps` + 1 times from 1 to 0; shift > 1 spends more of them near the noise (Esser et al., arXiv 2403.03206)."""
    t = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    return (shift * t / (1 + (shift - 1) * t)).float()


def euler(velocity: Velocity, noise: Tensor, times: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields after each step (x, estimate of the data)."""
    x = noise
    for now, then in pairwise(times):
        v = velocity(x, now)
        data = x - now * v
        x = x + (then - now) * v
        yield x, data


def heun(velocity: Velocity, noise: Tensor, times: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Second order, two evaluations a step but for the last (Karras et al., arXiv 2206.00364, algorithm 1)."""
    x = noise
    for now, then in pairwise(times):
        v = velocity(x, now)
        data = x - now * v
        guess = x + (then - now) * v
        x = x + (then - now) * (v + velocity(guess, then)) / 2 if then > 0 else guess
        yield x, data


def guided(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance (Ho and Salimans, arXiv 2207.12598); scale 1 is the conditional velocity."""
    return unconditional + scale * (conditional - unconditional)
