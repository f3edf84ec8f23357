"""What of a block's activations is kept for the backward pass, and where. Applied to the blocks from outside.

Sources: full recomputation (arXiv 1604.06174); selective, where results of matrix products are kept and only what is
cheap is computed again (2205.05198; the choice by operator is TorchTitan's); offload (2110.14883).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial, wraps
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts, noop_context_fn

from engine.parallel.sequence import PLANS
from trainer.parallel.policy import Memory

# Their results are kept by "selective". Attention where it is one kernel; written out, its scores would be kept.
KEPT = {
    torch.ops.aten.mm.default,
    torch.ops.aten.addmm.default,
    torch.ops.aten._scaled_dot_product_flash_attention.default,
    torch.ops.aten._scaled_dot_product_efficient_attention.default,
    torch.ops.aten._scaled_dot_product_cudnn_attention.default,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default,
}
SMALL = 1 << 12  # numbers; what is smaller stays where it is


Resume = Callable[[], AbstractContextManager[None]]


def save_memory(model: nn.Module, memory: Memory, remember: Callable[[], Resume] | None = None) -> None:
    """Have the blocks of a model of PLANS keep what `memory` says; their hooks stay outside, and run once.

    `remember` is called as a block begins; what it returns surrounds the computation and its repetition.
    """
    if memory == Memory():
        return
    for name in PLANS[type(model)].blocks:
        for block in model.get_submodule(name).children():
            _wrap(block, memory, remember or (lambda: nullcontext))


def _wrap(block: nn.Module, memory: Memory, remember: Callable[[], Resume]) -> None:
    forward = block.forward
    signature = inspect.signature(forward)

    @wraps(forward)
    def saving(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()  # by position: what is given by name is not seen by the hooks of saved tensors
        resume, kernels = remember(), _kernels()

        def again(*args: Any) -> Any:
            with resume(), sdpa_kernel(kernels):  # the backward pass comes when the caller's choice is no more
                return forward(*args)

        with _offloading(block) if memory.offload else nullcontext():
            if memory.recompute == "none":
                return again(*given.args)
            kept = _selecting if memory.recompute == "selective" else noop_context_fn
            return checkpoint(again, *given.args, use_reentrant=False, preserve_rng_state=False, context_fn=kept)

    block.forward = saving


def _kernels() -> list[SDPBackend]:
    """Which kernels attention may take now."""
    may = torch.backends.cuda  # for every device, whatever the name
    asked = {
        SDPBackend.MATH: may.math_sdp_enabled,
        SDPBackend.FLASH_ATTENTION: may.flash_sdp_enabled,
        SDPBackend.EFFICIENT_ATTENTION: may.mem_efficient_sdp_enabled,
        SDPBackend.CUDNN_ATTENTION: may.cudnn_sdp_enabled,
    }
    return [kernel for kernel, enabled in asked.items() if enabled()]


_selecting = partial(create_selective_checkpoint_contexts, lambda context, op, *args, **kwargs: _policy(op))


def _policy(op: Any) -> CheckpointPolicy:
    return CheckpointPolicy.MUST_SAVE if op in KEPT else CheckpointPolicy.PREFER_RECOMPUTE


@contextmanager
def _offloading(block: nn.Module) -> Iterator[None]:
    """Copies go and come on the stream that computes, so nothing has to be waited for, and nothing overlaps either."""
    weights = {parameter.untyped_storage()._cdata for parameter in block.parameters()}

    def pack(x: Tensor) -> Tensor | tuple[torch.device, Tensor]:
        if x.numel() < SMALL or x.untyped_storage()._cdata in weights:
            return x
        return x.device, to_host(x)

    with saved_tensors_hooks(pack, _unpack):
        yield


def to_host(x: Tensor) -> Tensor:
    """A copy in host memory, pinned where there is a device to copy from."""
    host = torch.empty(x.shape, dtype=x.dtype, device="cpu", pin_memory=x.device.type != "cpu")
    return host.copy_(x, non_blocking=True)


def to_device(host: Tensor, device: torch.device) -> Tensor:
    """The reverse."""
    return host.to(device, non_blocking=True)


def _unpack(packed: Tensor | tuple[torch.device, Tensor]) -> Tensor:
    return packed if isinstance(packed, Tensor) else to_device(packed[1], packed[0])
