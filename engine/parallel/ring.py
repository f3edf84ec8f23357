"""Ring attention: queries stay, keys and values go round, and the log-sum-exp joins what each block of keys gives.

Exact for any part sizes, empty ones too, and for any mask. The gradients are our own: the blocks' outputs are made by
kernels whose log-sum-exp has none. Keys and values go round once more, and their gradients travel with them.

Legend: B batch, N heads, L own queries, M keys of a part, H head width.
Sources: Ring Attention (arXiv 2310.01889); joining by log-sum-exp and the gradient of a block, FlashAttention-2
(2307.08691).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from engine.attention.dispatch import Attention, Role
from engine.attention.mask import Mask
from engine.attention.plain import accurate
from engine.parallel.collectives import Rotation
from engine.parallel.mesh import Axis


def ring_attention(
    q_BNLH: Tensor,
    k_BNMH: Tensor,
    v_BNMH: Tensor,
    masks: Sequence[Mask | None],
    sizes: Sequence[int],
    axis: Axis,
    attention: Attention,
    role: Role,
) -> Tensor:
    """Output [B, N, L, H] of this rank's queries over the keys of all ranks.

    `sizes` are the keys of each rank, `masks` what this rank's queries see of each rank's keys.
    """
    return _Ring.apply(q_BNLH, k_BNMH, v_BNMH, tuple(masks), tuple(sizes), axis, attention, role)


def merge(out_a: Tensor, lse_a: Tensor, out_b: Tensor, lse_b: Tensor) -> tuple[Tensor, Tensor]:
    """Join the outputs [B, N, L, H] and log-sum-exps [B, N, L] of two disjoint sets of keys; either may be empty."""
    lse = torch.logaddexp(lse_a, lse_b)
    known = lse.masked_fill(lse == -torch.inf, 0.0)  # nothing seen in either: both weights are zero
    return out_a * (lse_a - known).exp()[..., None] + out_b * (lse_b - known).exp()[..., None], lse


class _Ring(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        masks: tuple[Mask | None, ...],
        sizes: tuple[int, ...],
        axis: Axis,
        attention: Attention,
        role: Role,
    ) -> Tensor:
        q, k, v = (x.contiguous() for x in (q, k, v))
        wide = accurate(q.dtype)
        out = torch.zeros_like(q, dtype=wide)
        lse = out.new_full(q.shape[:-1], -torch.inf)
        kv = torch.stack([k, v])
        for step in range(axis.size):
            source = (axis.rank - step) % axis.size
            coming = _pass_on(kv, sizes, source, axis) if step + 1 < axis.size else None
            backend = attention.backend(q, kv[0], role, masks[source])
            block_out, block_lse = backend.forward_lse(q, kv[0], kv[1], masks[source])
            out, lse = merge(out, lse, block_out.to(wide), block_lse)
            kv = kv if coming is None else coming.wait()
        out = out.to(q.dtype)
        ctx.save_for_backward(q, k, v, out, lse)
        ctx.how = masks, sizes, axis, attention, role
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, lse = ctx.saved_tensors
        masks, sizes, axis, attention, role = ctx.how
        grad, kv = grad.contiguous(), torch.stack([k, v])
        dq = torch.zeros_like(q, dtype=lse.dtype)
        dkv = torch.zeros_like(kv, dtype=lse.dtype)
        for step in range(axis.size):
            source = (axis.rank - step) % axis.size
            coming = _pass_on(kv, sizes, source, axis) if step + 1 < axis.size else None
            backend = attention.backend(q, kv[0], role, masks[source])
            block_dq, *block_dkv = backend.backward(grad, q, kv[0], kv[1], out, lse, masks[source])
            dq += block_dq
            dkv = dkv + torch.stack(block_dkv)
            kv = kv if coming is None else coming.wait()
            dkv = _pass_on(dkv, sizes, source, axis).wait()  # after the last step they are at home
        dk, dv = dkv.to(k.dtype)
        return dq.to(q.dtype), dk, dv, None, None, None, None, None


def _pass_on(x: Tensor, sizes: Sequence[int], source: int, axis: Axis) -> Rotation:
    """Send on what belongs to rank `source`; what comes belongs to the rank before it."""
    shape = list(x.shape)
    shape[-2] = sizes[(source - 1) % axis.size]
    return Rotation(x, shape, axis)
