"""Who sees whom, as one small integer a token: it is cut, gathered and sent round along with the tokens.

Legend: B batch, L queries, M keys.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

NOBODY = -1


@dataclass(frozen=True)
class Mask:
    """Query i sees key j exactly where their groups are equal; a key of group -1 is seen by nobody.

    `key_BM` and `query_BL` are integers; without `query_BL` every query is of group 0. Padding is group -1; samples
    packed into one row are groups 0, 1, 2 ... A query that sees no key gets zeros.
    """

    key_BM: Tensor
    query_BL: Tensor | None = None

    @classmethod
    def of_keys(cls, real_BM: Tensor) -> Mask:
        """From booleans that are True at real tokens."""
        return cls(group_of(real_BM))

    def dense(self) -> Tensor:
        """Booleans [B, 1, 1 or L, M], True where seen, as `scaled_dot_product_attention` takes them."""
        query_BL = self.key_BM.new_zeros(self.key_BM.shape[0], 1) if self.query_BL is None else self.query_BL
        key_BM = self.key_BM[:, None]
        return ((query_BL[:, :, None] == key_BM) & (key_BM != NOBODY))[:, None]

    def queries(self, start: int, stop: int) -> Mask:
        """The mask of a range of the queries."""
        return Mask(self.key_BM, None if self.query_BL is None else self.query_BL[:, start:stop])


def group_of(real_BM: Tensor) -> Tensor:
    """Group 0 at real tokens, -1 at padding."""
    return real_BM.to(torch.int32) - 1
