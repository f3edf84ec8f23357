"""Small parts that the transformers share.

Legend: B batch, L sequence, D hidden, N heads, H head width, M text tokens, C text width.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.attention.dispatch import Attend, Attention
from engine.attention.mask import NOBODY, Mask


def timestep_embedding(time_B: Tensor, width: int, scale: float = 1000.0) -> Tensor:
    """Sinusoidal features [B, width] of values in [0, 1] (Vaswani et al. 2017, as diffusion models use it)."""
    half = width // 2
    frequencies = torch.exp(-math.log(10_000.0) * torch.arange(half, device=time_B.device, dtype=torch.float32) / half)
    angles = time_B.float()[:, None] * scale * frequencies[None]
    return torch.cat([angles.cos(), angles.sin()], -1)


def rotary_table(position_LA: Tensor, axes: tuple[int, ...], theta: float = 10_000.0) -> tuple[Tensor, Tensor]:
    """cos and sin [L, H/2] of rotary positions over several axes (RoFormer; axes as in HunyuanVideo and Wan).

    position_LA holds one coordinate per axis; `axes` the head width that each axis takes, even, summing to H.
    """
    parts = []
    for axis, width in enumerate(axes):
        frequency = theta ** (-torch.arange(0, width, 2, device=position_LA.device, dtype=torch.float32) / width)
        parts.append(position_LA[:, axis : axis + 1].float() * frequency[None])
    angle_LH = torch.cat(parts, -1)
    return angle_LH.cos(), angle_LH.sin()


def apply_rotary(x_BNLH: Tensor, cos_LH: Tensor, sin_LH: Tensor) -> Tensor:
    """Rotate pairs (2i, 2i+1) of the head width by their position's angle."""
    even, odd = x_BNLH[..., 0::2], x_BNLH[..., 1::2]
    cos, sin = cos_LH.to(x_BNLH.dtype), sin_LH.to(x_BNLH.dtype)
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)


class RMSNorm(nn.RMSNorm):
    """RMSNorm whose weight follows the input's type: under autocast the plain one leaves the fused kernel."""

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


class SelfAttention(nn.Module):
    """Multi-head self-attention with normalised queries and keys and rotary positions."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.head_width = heads, dim // heads
        self.attend: Attend = Attention()
        self.qkv = nn.Linear(dim, 3 * dim)
        self.norm_q = RMSNorm(dim // heads, eps=1e-6)
        self.norm_k = RMSNorm(dim // heads, eps=1e-6)
        self.out = nn.Linear(dim, dim)

    def forward(self, x_BLD: Tensor, rotary: tuple[Tensor, Tensor], mask: Mask | None = None) -> Tensor:
        out_BNLH = self.attend(*self.project(x_BLD, rotary), role="self", mask=mask)
        return self.out(out_BNLH.transpose(1, 2).flatten(-2))

    def project(self, x_BLD: Tensor, rotary: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [B, N, L, H]; tokens without positions have no rotary."""
        q, k, v = self.qkv(x_BLD).unflatten(-1, (3, self.heads, self.head_width)).permute(2, 0, 3, 1, 4)
        q, k = self.norm_q(q), self.norm_k(k)
        if rotary is not None:
            q, k = apply_rotary(q, *rotary), apply_rotary(k, *rotary)
        return q.to(v.dtype), k.to(v.dtype), v


class CrossAttention(nn.Module):
    """Queries from the video, keys and values from the text; a learned null token keeps an empty text defined."""

    def __init__(self, dim: int, context_dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.head_width = heads, dim // heads
        self.attend: Attend = Attention()
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(context_dim, 2 * dim)
        self.norm_q = RMSNorm(dim // heads, eps=1e-6)
        self.norm_k = RMSNorm(dim // heads, eps=1e-6)
        self.null = nn.Parameter(torch.zeros(context_dim))
        self.out = nn.Linear(dim, dim)

    def forward(self, x_BLD: Tensor, text_BMC: Tensor, mask_BM: Tensor, sample_BL: Tensor | None = None) -> Tensor:
        """Of a packed row, `sample_BL` says which row of `text_BMC` is each token's."""
        null_B1C = self.null.to(text_BMC.dtype).expand(text_BMC.shape[0], 1, -1)
        context = torch.cat([null_B1C, text_BMC], 1)
        mask = Mask.of_keys(F.pad(mask_BM, (1, 0), value=True))
        if sample_BL is not None:
            context, mask = packed_rows(context), packed_keys(mask, sample_BL)
        q_BNLH = self.norm_q(self.q(x_BLD).unflatten(-1, (self.heads, self.head_width)).transpose(1, 2))
        k, v = self.kv(context).unflatten(-1, (2, self.heads, self.head_width)).permute(2, 0, 3, 1, 4)
        k = self.norm_k(k)
        out_BNLH = self.attend(q_BNLH.to(v.dtype), k.to(v.dtype), v, role="cross", mask=mask)
        return self.out(out_BNLH.transpose(1, 2).flatten(-2))


def packed_rows(x_BMC: Tensor) -> Tensor:
    """The rows of a batch behind each other in one row [1, B * M, C]."""
    return x_BMC.flatten(0, 1)[None]


def packed_keys(mask: Mask, sample_BL: Tensor) -> Mask:
    """The mask of `packed_rows`: the keys of row i are seen by the tokens of sample i, padding still by nobody."""
    row_B1 = torch.arange(len(mask.key_BM), device=mask.key_BM.device, dtype=mask.key_BM.dtype)[:, None]
    return Mask(packed_rows(torch.where(mask.key_BM == NOBODY, NOBODY, row_B1)[..., None])[..., 0], sample_BL)


def per_token(value_BD: Tensor, sample_BL: Tensor | None) -> Tensor:
    """What is said of a sample, for its tokens: [B, 1, D], and of a packed row [1, L, D]."""
    return value_BD[:, None] if sample_BL is None else value_BD[sample_BL]


class Modulation(nn.Sequential):
    """Shifts, scales and gates [B, parts, D] from the signal [B, D] of time and controls (AdaLN)."""

    def __init__(self, dim: int, parts: int) -> None:
        super().__init__(nn.SiLU(), nn.Linear(dim, parts * dim), nn.Unflatten(-1, (parts, dim)))


class FeedForward(nn.Sequential):
    """Linear, GELU, linear."""

    def __init__(self, dim: int, ratio: float) -> None:
        hidden = int(dim * ratio)
        super().__init__(nn.Linear(dim, hidden), nn.GELU(approximate="tanh"), nn.Linear(hidden, dim))
