"""Distillation on a teacher's trajectories: velocities that lead from one kept point of them to another.

Sources: guidance distillation after Meng et al. (arXiv 2210.03142), straight pieces after PeRFlow (arXiv 2405.07510),
few steps for many after Salimans and Ho (arXiv 2202.00512). Legend: B rows, P kept points, S the student's steps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.models.video_dit import VideoDiT
from trainer.teachers import Inputs, velocity_of


def guidance_loss(
    dit: VideoDiT, points_BPCThw: Tensor, times_P: Tensor, inputs: Inputs, places_B: Tensor, weights: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """Weighted mean squared error of the velocity anywhere on the teacher's path.

    `places_B` in [0, P - 1): the point before, and how far on to the next, between which the path is taken as straight.
    """
    before_B = places_B.long().clamp(max=len(times_P) - 2)
    rows, share_B = torch.arange(len(places_B), device=places_B.device), places_B - before_B
    start, end = points_BPCThw[rows, before_B], points_BPCThw[rows, before_B + 1]
    at_B, then_B = times_P[before_B], times_P[before_B + 1]
    noisy = torch.lerp(start, end, _over(share_B))
    wanted = (end - start) / _over(then_B - at_B)
    made = velocity_of(dit, noisy, torch.lerp(at_B, then_B, share_B), inputs)
    return _error(made - wanted, weights, wanted)


def few_steps_loss(
    dit: VideoDiT, points_BPCThw: Tensor, times_S: Tensor, inputs: Inputs, step: int, weights: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """Weighted mean squared error of the velocity of the student's step `step`.

    `points` are those of the teacher at the student's S + 1 times: the step leads from one of them to the next.
    """
    now, then = times_S[step], times_S[step + 1]
    start, end = points_BPCThw[:, step], points_BPCThw[:, step + 1]
    wanted = (end - start) / (then - now)
    made = velocity_of(dit, start, now.expand(len(start)), inputs)
    return _error(made - wanted, weights, wanted)


def _error(off_BCThw: Tensor, weights: Tensor, wanted_BCThw: Tensor) -> tuple[Tensor, dict[str, float]]:
    """`missed`: the error as a share of what was wanted."""
    missed = off_BCThw.square().mean() / wanted_BCThw.square().mean()
    return (off_BCThw.square() * weights).mean(), {"missed": missed.sqrt().item()}


def _over(values_B: Tensor) -> Tensor:
    return values_B[:, None, None, None, None]
