"""Weights that are here only while their block runs; where they are otherwise is the subclass's affair.

The blocks of a model are its lists of modules, in the order in which they are registered. A group of consecutive
blocks travels as one vector of bytes, so any type goes and not one bit changes. When a group is entered, the next one
is sent for; when its last block is done, it is given up. So at most two groups are here at a time. A cache that skips
blocks, or another order of them, is right too: what was sent for in vain is dropped.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

ALIGNED = 64  # bytes, as torch allocates: the place of a matrix may choose its kernel, and with it the last bits
Coming = Callable[[], Tensor]  # waits, and returns a group's bytes


@dataclass(frozen=True)
class Slot:
    """A plain tensor of a parameter, and its place in the bytes of its group.

    A parameter has one, `data`; a quantised one has several, under other names.
    """

    owner: Tensor
    name: str
    shape: torch.Size
    dtype: torch.dtype
    start: int

    @property
    def stop(self) -> int:
        return self.start + math.prod(self.shape) * self.dtype.itemsize

    def get(self) -> Tensor:
        return getattr(self.owner, self.name)

    def put(self, value: Tensor) -> None:
        setattr(self.owner, self.name, value)

    def read(self, flat: Tensor) -> Tensor:
        return flat[self.start : self.stop].view(self.dtype).view(self.shape)

    def absent(self, device: torch.device) -> Tensor:
        """One element that looks like the whole. Whoever reads it nevertheless sees it: it is no number."""
        return torch.full((), math.nan if self.dtype.is_floating_point else 0, dtype=self.dtype, device=device).expand(
            self.shape
        )


class Layerwise(ABC):
    """A model whose blocks' weights come and go, until `remove` or the end of a `with`. For inference only.

    `group` is the number of blocks that travel together. ValueError where the model has no list of blocks, where its
    weights come and go already, and where a result is to have a gradient.
    """

    def __init__(self, model: nn.Module, group: int = 1) -> None:
        blocks = blocks_of(model)
        groups = [blocks[i : i + group] for i in range(0, len(blocks), group)]
        self.slots = [slots_of(members) for members in groups]
        self.here: int | None = None
        self.coming: tuple[int, Coming] | None = None
        self.device = self.slots[0][0].get().device
        for i, slots in enumerate(self.slots):
            try:
                self._keep(i, packed(slots))
            except BaseException:  # such as a full disk: the model stays as it was
                self._put_back(self.slots[:i])
                raise
            self._give_up(i)
        self.hooks = [
            hook
            for i, members in enumerate(groups)
            for block in members
            for hook in (
                block.register_forward_pre_hook(self._before(i), with_kwargs=True),
                block.register_forward_hook(self._after(i, last=block is members[-1]), always_call=True),
            )
        ]

    @abstractmethod
    def _keep(self, group: int, flat: Tensor) -> None:
        """Put a group's bytes away."""

    @abstractmethod
    def _fetch(self, group: int) -> Coming:
        """Send for a group's bytes, on the device that computes."""

    @torch.inference_mode(False)  # here as below: what is made outlives the call
    def remove(self) -> None:
        """The model as it was."""
        for hook in self.hooks:
            hook.remove()
        self._drop()
        self._put_back(self.slots)

    def _put_back(self, groups: Sequence[Sequence[Slot]]) -> None:
        for i, slots in enumerate(groups):
            flat = self._fetch(i)()
            for slot in slots:
                slot.put(slot.read(flat).to(self.device, copy=True))

    def __enter__(self) -> Any:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.remove()

    def _before(self, group: int) -> Any:
        def hook(block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if self.here != group:
                self._enter(group)

        return hook

    def _after(self, group: int, *, last: bool) -> Any:
        def hook(block: nn.Module, args: tuple[Any, ...], made: Any) -> None:
            if last and self.here == group:
                self._give_up(group)
                self.here = None
            results = made if isinstance(made, tuple) else (made,)
            if any(isinstance(x, Tensor) and x.requires_grad for x in results):
                raise ValueError("Weights that come and go are for inference: call the model under torch.no_grad().")

        return hook

    @torch.inference_mode(False)
    def _enter(self, group: int) -> None:
        if self.here is not None:  # its last block was skipped
            self._give_up(self.here)
        flat = self._taken(group)
        for slot in self.slots[group]:
            slot.put(slot.read(flat))
        self.here = group
        if group + 1 < len(self.slots):
            self.coming = group + 1, self._fetch(group + 1)

    def _taken(self, group: int) -> Tensor:
        if self.coming is not None and self.coming[0] == group:
            _, wait = self.coming
            self.coming = None
            return wait()
        self._drop()
        return self._fetch(group)()

    def _drop(self) -> None:
        if self.coming is not None:
            _, wait = self.coming
            self.coming = None
            wait()  # what is under way cannot be called back

    @torch.inference_mode(False)
    def _give_up(self, group: int) -> None:
        for slot in self.slots[group]:
            slot.put(slot.absent(self.device))


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """The blocks of a model in the order in which they run; ValueError where it has no list of them."""
    blocks = [block for child in model.children() if isinstance(child, nn.ModuleList) for block in child]
    if not blocks:
        raise ValueError(f"{type(model).__name__} has no list of blocks whose weights could come and go.")
    return blocks


def slots_of(blocks: Sequence[nn.Module]) -> list[Slot]:
    """The plain tensors of all weights of some blocks."""
    slots: list[Slot] = []
    start = 0
    for parameter in (p for block in blocks for p in block.parameters()):
        names = parameter.__tensor_flatten__()[0] if is_traceable_wrapper_subclass(parameter) else ["data"]
        for name in names:
            value = getattr(parameter, name)
            if is_absent(value):
                raise ValueError("The weights of this model come and go already: shard or offload it, not both.")
            slots.append(Slot(parameter, name, value.shape, value.dtype, start))
            start = aligned(slots[-1].stop, ALIGNED)
    return slots


def is_absent(value: Tensor) -> bool:
    """Whether a plain tensor is what `Slot.absent` leaves in the place of a weight."""
    return value.numel() > 1 and value.untyped_storage().nbytes() == value.itemsize


def packed(slots: Sequence[Slot]) -> Tensor:
    """All weights of a group as one vector of bytes."""
    flat = torch.zeros(aligned(slots[-1].stop, ALIGNED), dtype=torch.uint8, device=slots[0].get().device)
    for slot in slots:
        slot.read(flat).copy_(slot.get())
    return flat


def aligned(count: int, step: int) -> int:
    """The next multiple of `step`."""
    return -(-count // step) * step
