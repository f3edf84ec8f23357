"""Block-sparse attention for long videos: each block of queries reads the blocks of keys that matter most to it.

Which ones is guessed from the blocks' means, so nothing is trained. Blocks are boxes of the video's grid where the
grid is given, and runs of tokens where not. What does not fill a block, and the text behind the video, is read by
everyone and reads everything. With `keep` = 1 it is full attention.

For inference, on whole sequences: under Ulysses every rank has them, a ring has not.

Legend: B batch, N heads, L tokens, H head width, K blocks, S tokens of a block, P blocks that are kept.
Sources of the idea: MInference (arXiv 2407.02490), SpargeAttn (2502.18137); boxes as in Sliding Tile Attention
(2502.04507).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.attention.mask import Mask

GATHERED = 2**25  # numbers of gathered keys at a time: 128 MiB in fp32
WHOLE = "it chooses among the keys of the whole sequence and has no gradients of parts: use ulysses, not a ring"


@dataclass(frozen=True)
class BlockSparse:
    """A backend that reads the share `keep` of all blocks of keys.

    `grid` is the video's (time, height, width) in tokens, the video's tokens first; `box` the block's extent on it,
    of which the tokens number `math.prod(box)` also where there is no grid. ValueError where `keep` is no share.
    """

    keep: float
    grid: tuple[int, int, int] | None = None
    box: tuple[int, int, int] = (2, 4, 8)

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise ValueError(f"The share of blocks to keep is above 0 and at most 1, not {self.keep}.")

    def unsuitable(self, q_BNLH: Tensor, k_BNMH: Tensor, mask: Mask | None) -> str | None:
        """Why this backend cannot take such a call, as the end of a sentence."""
        if mask is not None and mask.query_BL is not None:
            return "it takes no packed rows"
        if q_BNLH.shape[2] != k_BNMH.shape[2]:
            return "queries and keys are not of one sequence"
        if self.grid and math.prod(self.grid) > q_BNLH.shape[2]:
            return f"the grid {self.grid} has more tokens than the sequence, which has {q_BNLH.shape[2]}"
        return None

    def forward(self, q_BNLH: Tensor, k_BNMH: Tensor, v_BNMH: Tensor, mask: Mask | None) -> Tensor:
        """Output [B, N, L, H], differentiable."""
        length, size = q_BNLH.shape[2], math.prod(self.box)
        order_L = _boxed(self.grid, self.box, length).to(q_BNLH.device) if self.grid else None
        q, k, v = (x if order_L is None else x[:, :, order_L] for x in (q_BNLH, k_BNMH, v_BNMH))
        video = math.prod(self.grid) if self.grid else length
        full = video - video % size
        seen_BL = None if mask is None else mask.key_BM == 0
        if seen_BL is not None and order_L is not None:
            seen_BL = seen_BL[:, order_L]
        parts = [_sparse(q[:, :, :full], k, v, seen_BL, full // size, self.kept(full // size))] if full else []
        if full < length:
            dense = None if seen_BL is None else seen_BL[:, None, None]
            parts.append(F.scaled_dot_product_attention(q[:, :, full:], k, v, dense))
        out = torch.cat(parts, 2)
        if order_L is None:
            return out
        return torch.empty_like(out).index_copy(2, order_L, out)

    def forward_lse(self, q_BNLH: Tensor, k_BNMH: Tensor, v_BNMH: Tensor, mask: Mask | None) -> tuple[Tensor, Tensor]:
        """Refused: ValueError."""
        raise ValueError(f"Block-sparse attention cannot be used here: {WHOLE}.")

    def backward(
        self,
        grad_BNLH: Tensor,
        q_BNLH: Tensor,
        k_BNMH: Tensor,
        v_BNMH: Tensor,
        out_BNLH: Tensor,
        lse_BNL: Tensor,
        mask: Mask | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Refused: ValueError."""
        raise ValueError(f"Block-sparse attention cannot be used here: {WHOLE}.")

    def kept(self, blocks: int) -> int:
        """How many of so many blocks of keys a block of queries reads."""
        return math.ceil(self.keep * blocks)


def _sparse(q_BNLH: Tensor, k_BNMH: Tensor, v_BNMH: Tensor, seen_BM: Tensor | None, blocks: int, kept: int) -> Tensor:
    """Queries in whole blocks over chosen blocks of keys and all keys behind the blocks."""
    full = q_BNLH.shape[2]
    q, k, v = (x[:, :, :full].unflatten(2, (blocks, -1)) for x in (q_BNLH, k_BNMH, v_BNMH))  # [B, N, K, S, H]
    rest = [x[:, :, None, full:] for x in (k_BNMH, v_BNMH)]
    chosen_BNKP = _chosen(q, k, kept)
    each = q_BNLH.shape[0] * q_BNLH.shape[1] * (kept * q.shape[3] + rest[0].shape[3]) * q.shape[4]
    at_once = max(1, GATHERED // each)
    made = []
    for start in range(0, blocks, at_once):
        some_BNkP = chosen_BNKP[:, :, start : start + at_once]
        keys, values = (
            torch.cat([_gathered(x, some_BNkP), tail.expand(-1, -1, some_BNkP.shape[2], -1, -1)], 3)
            for x, tail in zip((k, v), rest, strict=True)
        )
        # Blocks become heads: the kernels take four dimensions.
        mine, keys, values = (x.flatten(1, 2) for x in (q[:, :, start : start + at_once], keys, values))
        dense = None if seen_BM is None else _seen(seen_BM, some_BNkP, blocks, full)
        out = F.scaled_dot_product_attention(mine, keys, values, dense)
        made.append(out.unflatten(1, some_BNkP.shape[1:3]))
    return torch.cat(made, 2).flatten(2, 3)


@torch.no_grad()
def _chosen(q_BNKSH: Tensor, k_BNKSH: Tensor, kept: int) -> Tensor:
    """[B, N, K, P]: of each block of queries the blocks of keys with the greatest mean scores, itself among them."""
    scores_BNKK = q_BNKSH.mean(3) @ k_BNKSH.mean(3).transpose(-1, -2)
    scores_BNKK.diagonal(dim1=-2, dim2=-1).fill_(torch.inf)
    return scores_BNKK.topk(kept, -1).indices


def _gathered(x_BNKSH: Tensor, chosen_BNkP: Tensor) -> Tensor:
    """[B, N, k, P * S, H]"""
    batch, heads, blocks, size, width = x_BNKSH.shape
    flat = x_BNKSH.reshape(batch * heads * blocks, size, width)
    first = torch.arange(batch * heads, device=flat.device).view(batch, heads, 1, 1) * blocks
    return flat[(chosen_BNkP + first).flatten()].view(*chosen_BNkP.shape[:3], -1, width)


def _seen(seen_BM: Tensor, chosen_BNkP: Tensor, blocks: int, full: int) -> Tensor:
    """Booleans [B, N * k, 1, keys]: which of the gathered keys, and of those behind the blocks, are seen."""
    heads = chosen_BNkP.shape[1]
    in_blocks = seen_BM[:, None, :full].expand(-1, heads, -1).unflatten(2, (blocks, -1))[..., None]
    gathered = _gathered(in_blocks, chosen_BNkP)[..., 0]
    rest = seen_BM[:, None, None, full:].expand(*gathered.shape[:3], -1)
    return torch.cat([gathered, rest], 3).flatten(1, 2)[:, :, None]


@cache
@torch.inference_mode(False)  # made once, it serves calls with gradients too, and no backward keeps inference tensors
def _boxed(grid: tuple[int, int, int], box: tuple[int, int, int], length: int) -> Tensor:
    """Indices [length] that put the tokens of a box behind each other; what follows the grid stays where it is.

    Where boxes do not fill the grid, those at its far sides are smaller, and blocks reach into the next box.
    """
    axes = torch.meshgrid(*(torch.arange(n) for n in grid), indexing="ij")
    key = torch.zeros(grid, dtype=torch.int64)
    for at, n, extent in zip(axes, grid, box, strict=True):
        key = key * -(-n // extent) + at // extent
    video = torch.argsort(key.flatten(), stable=True)
    return torch.cat([video, torch.arange(math.prod(grid), length)])
