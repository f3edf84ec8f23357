"""The held-out flow loss: at fixed times, with fixed noise, over several draws of it, beside what needs no training.

A guess x0' of the data stands beside the model as the velocity (x_t - x0') / t. Legend: B clips, S seeds, T times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.stats import t as student
from torch import Tensor

from trainer.evaluate.cases import MEAN, OURS, SHUFFLED

TIMES = (0.1, 0.3, 0.5, 0.7, 0.9)
Velocity = Callable[[Tensor, Tensor, bool], Tensor]  # noisy, times [B], whether conditions are another clip's


@dataclass(frozen=True)
class HeldOut:
    """Clips as the transformer learns them, of unit variance; `guesses`: latents that baselines take them for."""

    data_BCThw: Tensor
    velocity: Velocity
    guesses: dict[str, Tensor] = field(default_factory=dict)


@torch.no_grad()
def flow_losses(held: HeldOut, seeds: int) -> dict[str, np.ndarray]:
    """Mean squared error of the velocity of each kind, [S, T]. The mean knows mean and variance of all data alone."""
    data = held.data_BCThw
    found = {kind: np.zeros((seeds, len(TIMES))) for kind in (OURS, SHUFFLED, MEAN, *held.guesses)}
    for seed in range(seeds):
        generator = torch.Generator().manual_seed(seed)
        for index, time in enumerate(TIMES):
            noise = torch.randn(data.shape, generator=generator)
            noisy, wanted = (1 - time) * data + time * noise, noise - data
            guesses = {MEAN: noisy * (1 - time) / ((1 - time) ** 2 + time**2), **held.guesses}
            times = torch.full((len(data),), time)
            made = {kind: (noisy - guess) / time for kind, guess in guesses.items()}
            made |= {OURS: held.velocity(noisy, times, False), SHUFFLED: held.velocity(noisy, times, True)}
            for kind, velocity in made.items():
                found[kind][seed, index] = (velocity.float() - wanted).square().mean().item()
    return found


def seed_interval(losses_ST: np.ndarray) -> tuple[float, float, float]:
    """Mean over times and seeds, and its 95 % interval over the seeds (Student's t)."""
    each = losses_ST.mean(1)
    mean = float(each.mean())
    if len(each) < 2:
        return mean, mean, mean
    half = float(student.ppf(0.975, len(each) - 1) * each.std(ddof=1) / np.sqrt(len(each)))
    return mean, mean - half, mean + half
