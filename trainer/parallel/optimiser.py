"""AdamW in three forms, all of which take sharded weights: plain, as one fused kernel, and with moments of 8 bits; and
which parameters it takes in which order.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import nn
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
            raise ValueError(
                "8-bit moments need torchao: .venv/bin/pip install -c constraints.txt -e '.[quantise]', or use adamw."
            )
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


def groups(net: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay, what has fewer dimensions does not."""
    decayed = [p for p in net.parameters() if p.ndim >= 2]
    plain = [p for p in net.parameters() if p.ndim < 2]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]


def order(net: nn.Module) -> list[str]:
    """The names of the parameters as the optimiser of `groups` counts them; of modules that no layout has parted."""
    names = {parameter: name for name, parameter in net.named_parameters()}
    return [names[parameter] for group in groups(net, 0.0) for parameter in group["params"]]


def make_states(optimiser: Optimizer) -> None:
    """Have the optimiser make its states, of whatever kind they are, to be read into: a step at rate zero."""
    if optimiser.state:
        return
    rate = float(optimiser.param_groups[0]["lr"])
    set_rate(optimiser, 0.0)
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    set_rate(optimiser, rate)
