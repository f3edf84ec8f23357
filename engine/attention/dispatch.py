"""The one way to attention: every model calls an `Attend`, and what stands behind it is chosen from outside.

A model's attention module keeps its `Attend` as `module.attend`. `use` exchanges it, be it for another backend or for
attention over several ranks (`engine.parallel`), and the model's code stays as it is.

Legend: B batch, N heads, L queries, M keys, H head width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from torch import Tensor, nn

from engine.attention import flash, plain, sdpa
from engine.attention.mask import Mask

Role = Literal["self", "cross", "joint"]


class Attend(Protocol):
    """Softmax attention of [B, N, L, H] queries over [B, N, M, H] keys and values, scaled by 1 / sqrt(H)."""

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, *, role: Role, mask: Mask | None = None) -> Tensor:
        """Output [B, N, L, H]. `role`: self (one stream), cross (keys from elsewhere), joint (several streams)."""
        ...


class Backend(Protocol):
    """What a backend's file holds, or an object where a backend has settings."""

    def unsuitable(self, q_BNLH: Tensor, k_BNMH: Tensor, mask: Mask | None) -> str | None: ...

    def forward(self, q_BNLH: Tensor, k_BNMH: Tensor, v_BNMH: Tensor, mask: Mask | None) -> Tensor: ...

    def forward_lse(
        self, q_BNLH: Tensor, k_BNMH: Tensor, v_BNMH: Tensor, mask: Mask | None
    ) -> tuple[Tensor, Tensor]: ...

    def backward(
        self,
        grad_BNLH: Tensor,
        q_BNLH: Tensor,
        k_BNMH: Tensor,
        v_BNMH: Tensor,
        out_BNLH: Tensor,
        lse_BNL: Tensor,
        mask: Mask | None,
    ) -> tuple[Tensor, Tensor, Tensor]: ...


BACKENDS: Mapping[str, Backend] = {"flash": flash, "sdpa": sdpa, "plain": plain}  # "auto" takes the first that can
SHORT = 512  # keys; below, a flash kernel gains nothing over PyTorch's


@dataclass(frozen=True)
class Attention:
    """Attention on this device, by the backend of each role.

    `backends` names for a role one of BACKENDS or "auto", or is a backend itself (`Rounded`, `BlockSparse`); a role
    that is not there is "auto". A chosen backend that cannot take a call raises ValueError with the reason; it is
    never replaced in silence.
    """

    backends: Mapping[str, str | Backend] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = sorted({name for name in self.backends.values() if isinstance(name, str)} - {"auto", *BACKENDS})
        if unknown:
            raise ValueError(f"No attention backend {', '.join(unknown)}. There are: auto, {', '.join(BACKENDS)}.")

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, *, role: Role, mask: Mask | None = None) -> Tensor:
        return self.backend(q, k, role, mask).forward(q, k, v, mask)

    def possible(self, role: Role) -> list[str | Backend]:
        """What is chosen for this role, at whatever step."""
        return [self.backends.get(role, "auto")]

    def backend(self, q: Tensor, k: Tensor, role: Role, mask: Mask | None) -> Backend:
        """The backend of this call."""
        if not (q.numel() and k.numel()):
            return plain  # a rank that holds no head or no token still takes part in the gradients
        chosen = self.backends.get(role, "auto")
        if chosen == "auto":
            able = (n for n, b in BACKENDS.items() if b.unsuitable(q, k, mask) is None)
            return BACKENDS[next(n for n in able if n != "flash" or k.shape[2] >= SHORT)]
        backend = BACKENDS[chosen] if isinstance(chosen, str) else chosen
        why = backend.unsuitable(q, k, mask)
        if why:
            raise ValueError(f"The attention backend {chosen} cannot be used here: {why}.")
        return backend


def use(model: nn.Module, attend: Attend) -> dict[nn.Module, Attend]:
    """Have every attention of `model` done by `attend`. Returns what stood there, for `restore`."""
    before = {module: module.attend for module in model.modules() if hasattr(module, "attend")}
    for module in before:
        module.attend = attend  # type: ignore[assignment]  # not a tensor, nor a module
    return before  # type: ignore[return-value]


def restore(before: dict[nn.Module, Attend]) -> None:
    """Undo `use`."""
    for module, attend in before.items():
        module.attend = attend  # type: ignore[assignment]
