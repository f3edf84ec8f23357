"""Direct preference optimisation of a flow: nearer to the preferred latents than the base is, rather than the rejected.

Sources: Diffusion-DPO (arXiv 2311.12908, equation 14) with velocities for noise, and one weight at all times as in
Flow-DPO (arXiv 2501.13918). Legend: B pairs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.video_dit import VideoDiT
from trainer.draws import Draws
from trainer.objectives.times import shifted
from trainer.teachers import Inputs, velocity_of


def preference_loss(
    dit: VideoDiT,
    base: VideoDiT,
    preferred_BCThw: Tensor,
    rejected_BCThw: Tensor,
    inputs: Inputs,
    weights: Tensor,
    times: tuple[float, float],
    beta: float,
    draws: Draws,
) -> tuple[Tensor, dict[str, float]]:
    """-log sigmoid(-beta / 2 * how much less the model's error has fallen on the preferred than on the rejected).

    Both of a pair at the same time, in the same noise; `times`: shift and spread of `objectives.times.shifted`.
    `right`: the share of pairs whose error fell more where it should; a half at first, where nothing has fallen.
    """
    streams = [draws.of_row(row) for row in draws.rows]
    time_B = shifted(torch.cat([torch.randn(1, generator=stream) for stream in streams]), *times)
    noise = torch.stack([torch.randn(preferred_BCThw.shape[1:], generator=stream) for stream in streams])
    time_B, noise = time_B.to(preferred_BCThw.device), noise.to(preferred_BCThw.device)
    fallen = []
    for data in (preferred_BCThw, rejected_BCThw):
        t = time_B[:, None, None, None, None]
        noisy, wanted = (1 - t) * data + t * noise, noise - data
        with torch.no_grad():
            before_B = _error(velocity_of(base, noisy, time_B, inputs) - wanted, weights)
        fallen.append(before_B - _error(velocity_of(dit, noisy, time_B, inputs) - wanted, weights))
    margin_B = fallen[0] - fallen[1]
    right = ((margin_B > 0).float() + 0.5 * (margin_B == 0).float()).mean()
    metrics = {"right": right.item(), "preferred": fallen[0].mean().item(), "rejected": fallen[1].mean().item()}
    return -F.logsigmoid(beta / 2 * margin_B).mean(), metrics


def _error(off_BCThw: Tensor, weights: Tensor) -> Tensor:
    """Mean squared error of each row."""
    return (off_BCThw.square() * weights).flatten(1).mean(1)
