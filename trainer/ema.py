"""The exponential moving average of a run's weights: at least fp32, and spread over the ranks as the weights are.

Nothing is ever sent: a rank averages the parts that it holds. On one process these are the very operations, and so the
very bits, of an average of whole tensors.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor


class Average:
    """Averaged parameters and buffers of `net`, by their names in its state dict."""

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.net, self.decay = net, decay
        self.values: dict[str, Tensor] = {}
        self.restart()

    def restart(self) -> None:
        """Begin anew at the present weights: after an initialisation from data."""
        self.values = {name: _wide(value.detach()) for name, value in self.net.state_dict().items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the weights in after optimiser step `step` (counted from 1), faster at first than later."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in self.net.state_dict().items():
            average, present = _local(self.values[name]), _local(value)
            if average.is_floating_point():
                average.lerp_(present.to(average.dtype), 1 - decay)
            else:
                average.copy_(present)

    def put_into_net(self) -> None:
        """Replace the net's weights by the averaged ones: for export and evaluation."""
        self.net.load_state_dict(self.values)


def _wide(value: Tensor) -> Tensor:
    """A copy, floating point at least in fp32."""
    return value.to(torch.promote_types(value.dtype, torch.float32), copy=True) if _narrow(value) else value.clone()


def _narrow(value: Tensor) -> bool:
    return value.is_floating_point() and value.dtype != torch.promote_types(value.dtype, torch.float32)


def _local(value: Tensor) -> Tensor:
    return value.to_local() if isinstance(value, DTensor) else value
