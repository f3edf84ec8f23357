"""AdamW in three forms, all of which take sharded weights: plain, as one fused kernel, and with moments of 8 bits."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch.optim import Optimizer

Kind = Literal["adamw", "fused", "8bit"]


def make_optimiser(
    parameters: Iterable[Any], kind: Kind, learning_rate: float, betas: tuple[float, float] = (0.9, 0.98)
) -> Optimizer:
    """AdamW over parameters or groups of them, made after the modules were spread.

    "8bit" keeps the moments of tensors from 4,096 numbers on in blocks of 256 (torchao; arXiv 2110.02861): a quarter of
    the bytes; the rate is set with `set_rate`. ValueError where torchao is missing or there is no such kind.
    """
    if kind == "8bit":
        if find_spec("torchao") is None:
            raise ValueError("8-bit moments need torchao: pip install 'aquarius-studio[quantise]', or use adamw.")
        from torchao.optim import AdamW8bit  # its import takes seconds

        return AdamW8bit(parameters, lr=learning_rate, betas=betas, weight_decay=0.01)
    if kind not in ("adamw", "fused"):
        raise ValueError(f"There is no optimiser {kind!r}: choose adamw, fused or 8bit.")
    return torch.optim.AdamW(parameters, lr=learning_rate, betas=betas, fused=True if kind == "fused" else None)


def set_rate(optimiser: Optimizer, rate: float) -> None:
    """The learning rate of all groups from the next step on."""
    for group in optimiser.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(rate)  # compiled steps read it there
        else:
            group["lr"] = rate
