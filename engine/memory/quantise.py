"""Weights in 8 bits (torchao), computed in the type of the activations: half the bytes of bfloat16.

One scale a row of a weight. Quantised are the projections and feed-forwards of the blocks, which hold nearly all the
bytes. Whole stay the layers before and after the blocks and every modulation: they are small or read by every token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from engine.memory.layerwise import blocks_of, slots_of
from engine.models.blocks import Modulation

Kind = Literal["int8", "fp8"]
TYPES = (torch.float32, torch.bfloat16)


@dataclass(frozen=True)
class Quantised:
    """What quantising did: bytes of all weights, and of each layer the rms error of its weight over its rms."""

    bytes_before: int
    bytes_after: int
    errors: Mapping[str, float]

    @property
    def saved(self) -> float:
        """The part of the bytes that is gone."""
        return 1 - self.bytes_after / self.bytes_before


def quantise(model: nn.Module, kind: Kind) -> Quantised:
    """Quantise the blocks of a model in place, for good. After `Parallel` over `tensor`, before `Shard` or `Offload`.

    For inference only. ValueError for another kind, where torchao is missing, or the model has no blocks or is not of
    fp32 or bf16.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"Weights are quantised to {' or '.join(get_args(Kind))}, not to {kind!r}.")
    if not find_spec("torchao"):
        raise ValueError("Quantised weights need torchao: .venv/bin/pip install -c constraints.txt -e '.[quantise]'.")
    from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig, quantize_  # an extra

    # Split over `tensor`, a rank without heads has empty weights, which torchao does not take.
    layers = {name: layer for name, layer in layers_of(model).items() if layer.weight.numel()}
    wrong = {layer.weight.dtype for layer in layers.values()} - set(TYPES)
    if wrong:
        raise ValueError(f"Weights are quantised from float32 or bfloat16, not from {', '.join(map(str, wrong))}.")
    before, errors = weight_bytes(model), {}
    config = Int8WeightOnlyConfig if kind == "int8" else Float8WeightOnlyConfig
    model.requires_grad_(False)
    for name, layer in layers.items():
        whole = layer.weight.data
        quantize_(layer, config(set_inductor_config=False))
        errors[name] = _error(whole, layer.weight.dequantize())
    return Quantised(before, weight_bytes(model), errors)


def layers_of(model: nn.Module) -> dict[str, nn.Linear]:
    """The layers to quantise: every linear layer of a block, save its modulations."""
    blocks = blocks_of(model)
    whole = {layer for block in blocks for part in block.modules() if isinstance(part, Modulation) for layer in part}
    chosen = {part for block in blocks for part in block.modules()} - whole
    return {name: part for name, part in model.named_modules() if part in chosen and isinstance(part, nn.Linear)}


def weight_bytes(model: nn.Module) -> int:
    """Bytes of all weights of a model, quantised or not."""
    return sum(slot.stop - slot.start for slot in slots_of([model]))


def _error(whole: Tensor, found: Tensor) -> float:
    return ((whole - found).float().norm() / whole.float().norm()).item()
