"""The flash-attn package: on Hopper version 3 (`flash_attn_interface`) where it is installed, else 2 (`flash_attn`).

Its kernels are not run by the tests: neither package installs without CUDA.

Legend: B batch, N heads, L queries, M keys, H head width. The package's own order is [B, L, N, H].
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from engine.attention import sdpa
from engine.attention.mask import Mask

# The newer first, with the compute capabilities (first, last) of devices where it runs for sure: whether version 3 was
# built for others than Hopper is known only when a call fails. https://github.com/Dao-AILab/flash-attention
PACKAGES = {"flash_attn_interface": ((9, 0), (9, 9)), "flash_attn": ((8, 0), (99, 9))}


@cache
def installed() -> tuple[str, ...]:
    """The modules of the package that are here, the newer first."""
    return tuple(name for name in PACKAGES if find_spec(name))


def package(device: torch.device) -> str | None:
    """The newest module that is installed and runs on this CUDA device; None where none does."""
    here = torch.cuda.get_device_capability(device)
    fitting = (name for name in installed() if PACKAGES[name][0] <= here <= PACKAGES[name][1])
    return next(fitting, None)


def unsuitable(q_BNLH: Tensor, k_BNMH: Tensor, mask: Mask | None) -> str | None:
    """Why this backend cannot take such a call, as the end of a sentence."""
    if not installed():
        return (
            "neither flash_attn nor flash_attn_interface is installed (.venv/bin/pip install --no-build-isolation "
            "flash-attn)"
        )
    if not q_BNLH.is_cuda:
        return f"it runs on CUDA, and the tensors are on {q_BNLH.device.type}"
    if package(q_BNLH.device) is None:
        major, minor = torch.cuda.get_device_capability(q_BNLH.device)
        return f"{' and '.join(installed())} does not run on a device of compute capability {major}.{minor}"
    if q_BNLH.dtype not in sdpa.HALF:
        return f"it takes float16 and bfloat16, not {q_BNLH.dtype}"
    return None if mask is None else "it takes no mask"


def forward(q_BNLH: Tensor, k_BNMH: Tensor, v_BNMH: Tensor, mask: Mask | None) -> Tensor:
    """Output [B, N, L, H], differentiable."""
    made = _call(q_BNLH, k_BNMH, v_BNMH)
    return (made[0] if isinstance(made, tuple) else made).transpose(1, 2)


def forward_lse(q_BNLH: Tensor, k_BNMH: Tensor, v_BNMH: Tensor, mask: Mask | None) -> tuple[Tensor, Tensor]:
    """Output and log-sum-exp [B, N, L]; not differentiable: see `backward`."""
    out_BLNH, lse_BNL, *_ = _call(q_BNLH, k_BNMH, v_BNMH, return_attn_probs=True)
    return out_BLNH.transpose(1, 2), lse_BNL


# PyTorch's kernel is of the same family and takes the same log-sum-exp; the package's own backward is private.
backward = sdpa.backward


def _call(q_BNLH: Tensor, k_BNMH: Tensor, v_BNMH: Tensor, **options: Any) -> Any:
    name = package(q_BNLH.device)
    assert name is not None
    return import_module(name).flash_attn_func(*(x.transpose(1, 2) for x in (q_BNLH, k_BNMH, v_BNMH)), **options)
