"""Several gloo ranks that share one device: a model over them is the model alone, to fp32's rounding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from engine.parallel.apply import Parallel
from engine.parallel.mesh import MeshShape
from tests.engine.parallel import cases
from tests.engine.parallel.ranks import Ranks

SHAPES = [MeshShape(ulysses=2), MeshShape(ring=2), MeshShape(cfg=2)]
GOAL = 1e-4  # kernels of the device choose their order of sums by the shape


def forward_parity(shape: MeshShape, name: str, device: str) -> float:
    """On each rank: the greatest difference over the greatest value, of one forward with 31 tokens and 5 heads."""
    model = cases.model_of(name, torch.float32).to(device).requires_grad_(False)
    given: dict[str, Any] = cases.inputs_of("odd", 2, torch.float32)
    inputs = {key: moved(value, device) for key, value in given.items()}
    with torch.inference_mode():
        alone = model(**inputs)
        with Parallel(model, cases.mesh_of(shape)):
            spread = model(**inputs)
    return float((alone - spread).abs().max() / alone.abs().max())


def moved(value: Any, device: str) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    return {key: tensor.to(device) for key, tensor in value.items()}


def rows(device: str) -> list[dict[str, Any]]:
    """Both transformers on every shape."""
    ranks = Ranks(2)
    try:
        return [_row(ranks, shape, name, device) for shape in SHAPES for name in ("single", "multimodal")]
    finally:
        ranks.stop()


def _row(ranks: Ranks, shape: MeshShape, name: str, device: str) -> dict[str, Any]:
    axis = next(axis for axis, size in vars(shape).items() if size > 1)
    apart = max(ranks.run(forward_parity, shape, name, device))
    return {
        "what": f"two gloo ranks on one device, {axis} 2, {name}",
        "ours": apart,
        "peer": None,
        "ratio": None,
        "unit": "of the greatest value",
        "goal": f"<= {GOAL:g}",
        "met": apart <= GOAL,
    }
