"""What is said to be held for the backward is what torch saves: the presets' own blocks, on the meta device."""

from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor

from engine import costs
from engine.attention import sdpa
from engine.models.multimodal_dit import MultimodalDiT
from engine.models.presets import MULTIMODAL_DIT, SINGLE_DIT
from engine.models.single_dit import SingleDiT
from trainer.plan.memory import saved_bytes

GRID, TEXT = (5, 60, 104), 512
CASES = {
    "cross": (SingleDiT, SINGLE_DIT["2b"], {"depth": 1}, "depth"),
    "dual": (MultimodalDiT, MULTIMODAL_DIT["13b"], {"dual_depth": 1, "single_depth": 1}, "dual_depth"),
    "joint": (MultimodalDiT, MULTIMODAL_DIT["13b"], {"dual_depth": 1, "single_depth": 1}, "single_depth"),
}


class Kernel(torch.autograd.Function):
    """Attention as a kernel that keeps its inputs and its output and no scores."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = torch.empty_like(q)
        ctx.save_for_backward(q, k, v, out)
        return out


def saved(kind: Any, config: dict[str, Any]) -> int:
    """Bytes that a forward in bf16 leaves for its backward, beside the weights."""
    with torch.device("meta"):
        model = kind(**config).to(torch.bfloat16)
        latents = torch.zeros(1, config["in_channels"], *GRID, dtype=torch.bfloat16)
        condition = torch.zeros(1, config["condition_channels"], *GRID, dtype=torch.bfloat16)
        text = torch.zeros(1, TEXT, config["text_dim"], dtype=torch.bfloat16)
        mask, time = torch.ones(1, TEXT, dtype=torch.bool), torch.zeros(1, dtype=torch.bfloat16)
    weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    held: dict[int, torch.UntypedStorage] = {}

    def keep(x: Tensor) -> Tensor:
        held[x.untyped_storage()._cdata] = x.untyped_storage()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        alive = model(latents, time, text, mask, condition)
    assert alive.requires_grad
    return sum(storage.nbytes() for key, storage in held.items() if key not in weights)


@pytest.mark.parametrize("name", CASES)
def test_a_block_holds_what_torch_saves_of_it(name):
    kind, preset, depths, more = CASES[name]
    with mock.patch.object(sdpa, "forward", lambda q, k, v, mask: Kernel.apply(q, k, v)):
        once = saved(kind, {**preset, **depths})
        twice = saved(kind, {**preset, **depths, more: 2})
    rows = costs.token_count(preset, *GRID)
    blocks = list(saved_bytes({**preset, **depths}, rows, TEXT))
    estimated = blocks[-1] if more == "single_depth" else blocks[0]
    assert estimated == pytest.approx(twice - once, rel=0.03)
