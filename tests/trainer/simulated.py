"""A device that is none: what a machine without an accelerator can tell of how a run is placed on one.

Its tensors lie on the CPU, and torch takes them for those of its `meta` device, which computes nothing. What mixes them
with others, or draws on the device by a generator of the CPU, is refused as CUDA refuses it: a module or a batch that
was left behind is found. It computes all in the type that it is given, without autocast, and so does the CPU beside it:
both have the same numbers, but for the last bits, since torch takes other ways backwards. Of an accelerator's kernels,
its memory and its rounding it tells nothing.

torch's own fake tensors do not do here: where torch was built without CUDA, nothing is moved to a fake `cuda` device.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

NAME = "meta"
MOVES = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}  # from one device to another


class Simulated(Tensor):
    """Looks as if it were on the device; `held` has the numbers."""

    held: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: Tensor) -> Simulated:
        made = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=torch.device(NAME),
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return called(func, args, kwargs or {})

    def tolist(self) -> Any:
        return self.held.tolist()


class Making(TorchDispatchMode):
    """What is asked to be made on the device is made there."""

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return called(func, args, kwargs or {})


def called(func: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
    ours = {id(x.held): x for x in tensors if isinstance(x, Simulated)}
    asked = kwargs.get("device")
    here = bool(ours) if asked is None else torch.device(asked).type == NAME
    if not ours and not here:
        return func(*args, **kwargs)
    if ours and func not in MOVES and any(x.dim() for x in tensors if not isinstance(x, Simulated)):
        raise RuntimeError(f"Expected all tensors to be on the same device: {func} got {NAME} and cpu.")
    if here and kwargs.get("generator") is not None:
        raise RuntimeError(f"Expected a generator of {NAME} for {func}, and got one of the cpu.")
    if func is torch.ops.aten._fused_sdp_choice.default:
        return 0  # written out: the kernels of the CPU are not this device's
    args, kwargs = tree_map(lambda x: x.held if isinstance(x, Simulated) else x, (args, kwargs))
    made = func(*args, **(kwargs if asked is None else {**kwargs, "device": torch.device("cpu")}))
    if func is torch.ops.aten.copy_.default:
        here = id(made) in ours

    def wrapped(x: Any) -> Any:
        if not isinstance(x, Tensor) or not here:
            return x
        return ours[id(x)] if id(x) in ours else Simulated(x)

    return tree_map(wrapped, made)


@contextmanager
def simulated() -> Iterator[set[str]]:
    """The device is there. Yields the kinds of device that autocast was asked for meanwhile."""
    asked: set[str] = set()
    autocast, tensor = torch.autocast, torch.tensor

    def no_autocast(device_type: str, *args: Any, **kwargs: Any) -> nullcontext[None]:
        asked.add(device_type)
        return nullcontext()

    def made(data: Any, device: Any = None, **kwargs: Any) -> Tensor:  # which no mode sees
        return tensor(data, **kwargs).to(device or "cpu")

    if not hasattr(torch, NAME):
        torch._register_device_module(NAME, SimpleNamespace(get_device_name=lambda device: "simulated"))
    torch.autocast, torch.tensor = no_autocast, made  # type: ignore[misc, assignment]
    try:
        with Making(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*copying from a non-meta parameter", UserWarning)  # here it is one
            yield asked
    finally:
        torch.autocast, torch.tensor = autocast, tensor  # type: ignore[misc]
