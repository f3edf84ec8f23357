"""Precision over the steps of a denoising run: fine where a video is decided and finished, rough in between.

The first steps lay out the picture and the last ones its details; errors between them are corrected by later steps
(xDiT's hybrid attention schedule rests on the same).

Legend: B batch, N heads, L queries, M keys, H head width.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from engine.attention.dispatch import Attention, Backend, Role
from engine.attention.mask import Mask


class Schedule(Attention):
    """`fine` attention, but `rough` while all times of a call lie strictly between two. `follow` a model to know them.

    It takes the place of an `Attention`, on one device and within `Parallel` alike.
    """

    def __init__(self, fine: Attention, rough: Attention, between: tuple[float, float] = (0.15, 0.85)) -> None:
        """ValueError where `between` is no range within [0, 1]."""
        super().__init__(fine.backends)
        if not 0 <= between[0] < between[1] <= 1:
            raise ValueError(f"Times run from 1 (noise) to 0: {between} is no range between them.")
        self.fine, self.rough, self.between = fine, rough, between
        self.now = fine

    def possible(self, role: Role) -> list[str | Backend]:
        """What is chosen for this role in fine and in rough steps."""
        return self.fine.possible(role) + self.rough.possible(role)

    def backend(self, q: Tensor, k: Tensor, role: Role, mask: Mask | None) -> Backend:
        """The backend of this call, at the time of the step."""
        return self.now.backend(q, k, role, mask)

    def follow(self, model: nn.Module) -> RemovableHandle:
        """Read the time at every call of `model`, whose forward has an argument `time_B`. The handle takes it off."""
        signature = inspect.signature(model.forward)

        def read(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            low, high = (value.item() for value in signature.bind(*args, **kwargs).arguments["time_B"].aminmax())
            self.now = self.rough if self.between[0] < low and high < self.between[1] else self.fine

        return model.register_forward_pre_hook(read, with_kwargs=True)


@dataclass(frozen=True)
class Rounded:
    """A backend on queries, keys and values in another type; what it gives is again of theirs."""

    inner: Backend
    dtype: torch.dtype

    def unsuitable(self, q_BNLH: Tensor, k_BNMH: Tensor, mask: Mask | None) -> str | None:
        """Why the backend cannot take such a call, as the end of a sentence."""
        return self.inner.unsuitable(q_BNLH.to(self.dtype), k_BNMH.to(self.dtype), mask)

    def forward(self, q_BNLH: Tensor, k_BNMH: Tensor, v_BNMH: Tensor, mask: Mask | None) -> Tensor:
        """Output [B, N, L, H], differentiable."""
        q, k, v = self._rounded(q_BNLH, k_BNMH, v_BNMH)
        return self.inner.forward(q, k, v, mask).to(q_BNLH.dtype)

    def forward_lse(self, q_BNLH: Tensor, k_BNMH: Tensor, v_BNMH: Tensor, mask: Mask | None) -> tuple[Tensor, Tensor]:
        """Output and log-sum-exp [B, N, L]; not differentiable: see `backward`."""
        q, k, v = self._rounded(q_BNLH, k_BNMH, v_BNMH)
        out_BNLH, lse_BNL = self.inner.forward_lse(q, k, v, mask)
        return out_BNLH.to(q_BNLH.dtype), lse_BNL

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
        """Gradients of q, k and v of a block of the keys that made `out` and `lse`."""
        grad, q, k, v, out = self._rounded(grad_BNLH, q_BNLH, k_BNMH, v_BNMH, out_BNLH)
        return self.inner.backward(grad, q, k, v, out, lse_BNL, mask)

    def _rounded(self, *tensors: Tensor) -> list[Tensor]:
        return [x.to(self.dtype) for x in tensors]
