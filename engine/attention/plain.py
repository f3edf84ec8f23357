"""Attention written out: every device, dtype, shape and mask, with the log-sum-exp and with the gradients of a block.

It is the reference of the other backends, and what a ring uses where no kernel returns a log-sum-exp. Scores are made
for a range of queries at a time, so memory grows with the length and not with its square.

Legend: B batch, N heads, L queries, M keys, H head width.
Source of the block gradients: FlashAttention-2 (arXiv 2307.08691), equations of its backward pass.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from engine.attention.mask import Mask

SCORES = 2**24  # at most so many scores at a time: 64 MiB in fp32


def unsuitable(q_BNLH: Tensor, k_BNMH: Tensor, mask: Mask | None) -> str | None:
    """Why this backend cannot take such a call: it can take all."""
    return None


def forward(q_BNLH: Tensor, k_BNMH: Tensor, v_BNMH: Tensor, mask: Mask | None) -> Tensor:
    """Output [B, N, L, H], differentiable; all scores at once."""
    scores = q_BNLH @ k_BNMH.transpose(-1, -2) * q_BNLH.shape[-1] ** -0.5
    if mask is None:
        return scores.softmax(-1) @ v_BNMH
    seen = mask.dense()
    weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
    return weights.masked_fill(~seen, 0.0) @ v_BNMH  # a row that sees nothing is nan before, and zero now


def forward_lse(q_BNLH: Tensor, k_BNMH: Tensor, v_BNMH: Tensor, mask: Mask | None) -> tuple[Tensor, Tensor]:
    """Output [B, N, L, H] and log-sum-exp [B, N, L] of the scaled scores, natural logarithm, at least fp32.

    A query that sees no key has the output 0 and the log-sum-exp -inf. Not differentiable: see `backward`.
    """
    out_BNLH = torch.empty_like(q_BNLH)
    lse_BNL = q_BNLH.new_empty(q_BNLH.shape[:-1], dtype=accurate(q_BNLH.dtype))
    for start, stop in _ranges(q_BNLH, k_BNMH):
        scores = _scores(q_BNLH[:, :, start:stop], k_BNMH, mask and mask.queries(start, stop))
        lse = scores.logsumexp(-1)
        out_BNLH[:, :, start:stop] = (_weights(scores, lse) @ v_BNMH.to(scores.dtype)).to(out_BNLH.dtype)
        lse_BNL[:, :, start:stop] = lse
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
    """Gradients of q, k and v, at least fp32, where these keys are a part of those that made `out` and `lse`."""
    wide = lse_BNL.dtype
    dq = torch.zeros_like(q_BNLH, dtype=wide)
    dk, dv = torch.zeros_like(k_BNMH, dtype=wide), torch.zeros_like(v_BNMH, dtype=wide)
    k, v, scale = k_BNMH.to(wide), v_BNMH.to(wide), q_BNLH.shape[-1] ** -0.5
    for start, stop in _ranges(q_BNLH, k_BNMH):
        grad, q, out = (x[:, :, start:stop].to(wide) for x in (grad_BNLH, q_BNLH, out_BNLH))
        scores = _scores(q, k, mask and mask.queries(start, stop))
        weights = _weights(scores, lse_BNL[:, :, start:stop])
        dv += weights.transpose(-1, -2) @ grad
        dscores = weights * (grad @ v.transpose(-1, -2) - (grad * out).sum(-1, keepdim=True)) * scale
        dq[:, :, start:stop] = dscores @ k
        dk += dscores.transpose(-1, -2) @ q
    return dq, dk, dv


def accurate(dtype: torch.dtype) -> torch.dtype:
    """The type in which parts of a softmax are added up: fp64 stays fp64, all else is fp32."""
    return torch.promote_types(dtype, torch.float32)


def _ranges(q_BNLH: Tensor, k_BNMH: Tensor) -> Iterator[tuple[int, int]]:
    batch, heads, length, _ = q_BNLH.shape
    rows = max(1, SCORES // max(1, batch * heads * k_BNMH.shape[2]))
    return ((start, min(start + rows, length)) for start in range(0, length, rows))


def _scores(q_BNLH: Tensor, k_BNMH: Tensor, mask: Mask | None) -> Tensor:
    wide = accurate(q_BNLH.dtype)
    scores = q_BNLH.to(wide) @ k_BNMH.to(wide).transpose(-1, -2) * q_BNLH.shape[-1] ** -0.5
    return scores if mask is None else scores.masked_fill(~mask.dense(), -torch.inf)


def _weights(scores: Tensor, lse_BNL: Tensor) -> Tensor:
    """exp(scores - lse), and zero where nothing is seen: -inf less -inf is no number."""
    return (scores - lse_BNL[..., None].masked_fill(lse_BNL[..., None] == -torch.inf, 0.0)).exp()
