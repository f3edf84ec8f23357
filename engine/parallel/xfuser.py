"""Attention over several CUDA devices by xfuser, behind the interface of our own (`usp.SequenceAttention`).

What it does not take is refused: masks, and tokens or heads that do not divide evenly (it would pad, and its padding
is seen). Not run by the tests: xfuser imports with an accelerator only. Written against xfuser 0.7.

Legend: B batch, N heads, L own tokens, H head width. xfuser's own order is [B, L, N, H].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from engine.attention.dispatch import Attention, Role
from engine.attention.mask import Mask
from engine.parallel.mesh import Mesh


class XfuserAttention:
    """An `Attend` whose self and joint attention run over all ranks of the sequence.

    ValueError where xfuser is not installed or has no CUDA device.
    """

    def __init__(self, mesh: Mesh, lengths: Callable[[], Sequence[int]], attention: Attention) -> None:
        if find_spec("xfuser") is None:
            raise ValueError(
                "xfuser is not installed: .venv/bin/pip install -c constraints.txt xfuser, or use our own attention."
            )
        if not torch.cuda.is_available():
            raise ValueError("xfuser needs CUDA devices; there are none here. Use our own attention.")
        self.mesh, self.lengths, self.attention = mesh, lengths, attention
        # It takes its groups from a global of yunchang, and needs one of each kind, of a single rank too.
        groups = import_module("yunchang.globals").PROCESS_GROUP
        groups.ULYSSES_PG, groups.RING_PG = (mesh.devices[name].get_group() for name in ("ulysses", "ring"))
        self.long: Any = import_module("xfuser.core.long_ctx_attention").xFuserLongContextAttention()

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, *, role: Role, mask: Mask | None = None) -> Tensor:
        """Output [B, N, L, H]."""
        if role == "cross":
            return self.attention(q, k, v, role=role, mask=mask)
        why = unsuitable(q.shape[1], self.lengths(), self.mesh.ulysses.size, mask)
        if why:
            raise ValueError(f"xfuser cannot be used here: {why}. Use our own attention.")
        return self.long(None, *(x.transpose(1, 2).contiguous() for x in (q, k, v))).transpose(1, 2)


def unsuitable(heads: int, lengths: Sequence[int], ulysses: int, mask: Mask | None) -> str | None:
    """Why xfuser cannot take such a call, as the end of a sentence."""
    if mask is not None:
        return "it takes no mask"
    if heads % ulysses:
        return f"{heads} heads do not divide over {ulysses} ranks"
    if len(set(lengths)) > 1:
        return f"{sum(lengths)} tokens do not divide over {len(lengths)} ranks"
    return None
