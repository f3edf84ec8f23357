"""On which device is computed. The one file that names an accelerator: all else is told its device, or takes that of
what it is given.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import nn

CPU = torch.device("cpu")
AUTO = "auto"
UNASKED = ("cuda",)  # taken where nobody names a device, as ROCm's are too; Apple's has no float64, and is to be named


def chosen(name: str = AUTO) -> torch.device:
    """The device of this name, or by `auto` the machine's accelerator and without one the CPU.

    ValueError where torch knows none such, or this machine has none.
    """
    return automatic() if name == AUTO else usable(name)


def automatic() -> torch.device:
    """The accelerator of this machine; the CPU where it has none, or one that has to be asked for."""
    found = torch.accelerator.current_accelerator(check_available=True)
    return found if found is not None and found.type in UNASKED else CPU


def usable(name: torch.device | str) -> torch.device:
    """The device of this name, tried once. ValueError where torch knows none such, or this machine has none."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except Exception as error:  # each kind of device fails in its own way
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
        raise ValueError(f"There is no device {str(name)!r} to compute on here ({reason}). Use cpu.") from None
    return device


def name_of(device: torch.device) -> str:
    """What an accelerator calls itself; its kind where it has no name, as a CPU."""
    if device.type == CPU.type:
        return device.type
    named = getattr(torch.get_device_module(device), "get_device_name", None)
    return named(device) if named else device.type


def device_of(module: nn.Module) -> torch.device:
    """Where a module's parameters are, which are all on one device."""
    return next(module.parameters()).device


def narrow(device: torch.device) -> bool:
    """Whether bf16 is faster than float32 there: on accelerators, and on processors with instructions for it. Others
    imitate it: with AVX2 alone a matrix product takes 50 times as long as in float32.
    """
    return device.type != CPU.type or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def mixed(device: torch.device) -> AbstractContextManager:
    """Autocast to bf16 where it is `narrow`, elsewhere none."""
    return torch.autocast(device.type, torch.bfloat16, enabled=narrow(device))
