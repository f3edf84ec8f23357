"""Attention over tokens that are spread over ranks: Ulysses within a ring of Ulysses groups.

Every rank holds some of the tokens and all heads. Within its Ulysses group it trades tokens for heads; the ring then
brings the keys and values of the other groups. Softmax does not ask in which order keys come, so a rank's tokens may
be of several streams (video, then text), and masks travel as each token's group: joint attention is nothing special
here. Heads that do not divide evenly are spread unevenly, and a rank may have none.

Legend: B batch, N heads, L own tokens, H head width.
Source: USP (arXiv 2405.07719); ours are uneven parts and exact masks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from engine.attention.dispatch import Attention, Role
from engine.attention.mask import Mask
from engine.attention.schedule import Rounded
from engine.attention.sparse import BlockSparse
from engine.parallel.collectives import gather, offsets, part_sizes, swap
from engine.parallel.mesh import Mesh
from engine.parallel.ring import ring_attention


@dataclass(frozen=True)
class SequenceAttention:
    """An `Attend` whose self and joint attention run over all ranks of the sequence; cross attention stays here.

    `lengths` says how many tokens each rank of the sequence holds in the present call, over all streams.
    """

    mesh: Mesh
    lengths: Callable[[], Sequence[int]]
    attention: Attention

    def __post_init__(self) -> None:
        chosen = [one.inner if isinstance(one, Rounded) else one for one in self.attention.possible("joint")]
        if any(isinstance(one, BlockSparse) for one in chosen):
            raise ValueError("Over several ranks the streams of joint attention lie mixed: block-sparse is for `self`.")

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, *, role: Role, mask: Mask | None = None) -> Tensor:
        if role == "cross":  # the text is short: every rank holds it whole
            return self.attention(q, k, v, role=role, mask=mask)
        ulysses, ring, lengths = self.mesh.ulysses, self.mesh.ring, self.lengths()
        assert q.shape[2] == lengths[self.mesh.sequence.rank], "the tokens of this rank are not those of its plan"
        groups = [lengths[i : i + ulysses.size] for i in range(0, len(lengths), ulysses.size)]  # one a ring rank
        heads = part_sizes(q.shape[1], ulysses.size)
        q, k, v = swap(torch.stack([q, k, v]), 2, heads, 3, groups[ring.rank], ulysses)
        masks = self._masks(mask, lengths)
        if ring.size == 1:
            out = self.attention(q, k, v, role=role, mask=masks[0])
        else:
            sizes = [sum(group) for group in groups]
            out = ring_attention(q, k, v, masks, sizes, ring, self.attention, role)
        return swap(out, 2, groups[ring.rank], 1, heads, ulysses)

    def _masks(self, mask: Mask | None, lengths: Sequence[int]) -> list[Mask | None]:
        """For each rank of the ring, what the queries of this Ulysses group see of its keys."""
        ulysses, ring = self.mesh.ulysses, self.mesh.ring
        if mask is None:
            return [None] * ring.size
        key_BL = gather(mask.key_BM, 1, lengths, self.mesh.sequence)
        ends = offsets(lengths)[:: ulysses.size]
        keys = [key_BL[:, start:stop] for start, stop in pairwise(ends)]
        if mask.query_BL is None:
            return [Mask(key) for key in keys]
        mine = lengths[ring.rank * ulysses.size :][: ulysses.size]
        query_BL = gather(mask.query_BL, 1, mine, ulysses)
        return [Mask(key, query_BL) for key in keys]
