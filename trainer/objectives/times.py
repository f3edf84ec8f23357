"""At which times a flow is learnt: logit-normal, shifted towards the noise (Esser et al., arXiv 2403.03206)."""

from __future__ import annotations

import torch
from torch import Tensor


def shifted(normal_B: Tensor, shift: float, spread: float = 1.0) -> Tensor:
    """Times [B] in (0, 1), 1 being noise, of draws from a unit normal.

    What a condition says is learnt only where the noisy latents do not say it already. Latents that repeat themselves
    say it up to a time near 1, so the more they do, the larger the `shift` has to be.
    """
    time_B = torch.sigmoid(spread * normal_B)
    return shift * time_B / (1 + (shift - 1) * time_B)
