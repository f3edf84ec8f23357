"""PyTorch's scaled dot-product attention: the usual backend, on CPU and CUDA.

The log-sum-exp and the gradients of a block come from its flash kernel on CUDA (half types, no mask); everywhere else
they are written out (`plain`). The CUDA part has not been run yet.

Legend: B batch, N heads, L queries, M keys, H head width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.attention import plain
from engine.attention.mask import Mask

HALF = (torch.float16, torch.bfloat16)
aten = torch.ops.aten


def unsuitable(q_BNLH: Tensor, k_BNMH: Tensor, mask: Mask | None) -> str | None:
    """Why this backend cannot take such a call: it can take all that is not empty."""
    return None


def forward(q_BNLH: Tensor, k_BNMH: Tensor, v_BNMH: Tensor, mask: Mask | None) -> Tensor:
    """Output [B, N, L, H], differentiable."""
    return F.scaled_dot_product_attention(q_BNLH, k_BNMH, v_BNMH, attn_mask=None if mask is None else mask.dense())


def forward_lse(q_BNLH: Tensor, k_BNMH: Tensor, v_BNMH: Tensor, mask: Mask | None) -> tuple[Tensor, Tensor]:
    """Output and log-sum-exp [B, N, L]; not differentiable: see `backward`."""
    if not flash_kernel(q_BNLH, mask):
        return plain.forward_lse(q_BNLH, k_BNMH, v_BNMH, mask)
    out_BNLH, lse_BNL, *_ = aten._scaled_dot_product_flash_attention(q_BNLH, k_BNMH, v_BNMH)
    return out_BNLH, lse_BNL


def backward(
    grad_BNLH: Tensor,
    q_BNLH: Tensor,
    k_BNMH: Tensor,
    v_BNMH: Tensor,
    out_BNLH: Tensor,
    lse_BNL: Tensor,
    mask: Mask | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k and v of a block of the keys that made `out` and `lse`."""
    if not flash_kernel(q_BNLH, mask):
        return plain.backward(grad_BNLH, q_BNLH, k_BNMH, v_BNMH, out_BNLH, lse_BNL, mask)
    unused = torch.empty((), dtype=torch.int64, device=q_BNLH.device)  # the dropout's state: there is no dropout
    lengths = (q_BNLH.shape[2], k_BNMH.shape[2])
    return aten._scaled_dot_product_flash_attention_backward(
        grad_BNLH, q_BNLH, k_BNMH, v_BNMH, out_BNLH, lse_BNL, None, None, *lengths, 0.0, False, unused, unused
    )


def flash_kernel(q_BNLH: Tensor, mask: Mask | None) -> bool:
    """Whether PyTorch's own flash kernel takes such a call."""
    return q_BNLH.is_cuda and q_BNLH.dtype in HALF and mask is None and q_BNLH.shape[-1] <= 256
