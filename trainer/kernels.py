"""How a stage computes: in which precision, and by which kernels of attention."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from engine.device import CPU, mixed


@contextmanager
def kernels(device: torch.device) -> Iterator[None]:
    """bf16 where it is safe and fast; on CPU the plain attention: with short sequences flash attention's backward is
    several times slower.
    """
    with mixed(device):
        if device.type == CPU.type:
            with sdpa_kernel(SDPBackend.MATH):
                yield
        else:
            yield
