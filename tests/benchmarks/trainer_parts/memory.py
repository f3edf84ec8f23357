"""What the 2B needs on one device of 141 GB, each memory option on and off, as the plan estimates it.

Activations stand beside what torch makes in a forward and backward of four blocks on the meta device, with attention as
a kernel that holds no scores. Nothing here was measured on a GPU: `make bench-gpu` does that.
"""

from __future__ import annotations

from typing import Any
from unittest import mock

import torch
from torch import Tensor

from engine.attention import sdpa
from engine.models.single_dit import SingleDiT
from tests.engine.test_costs import Held
from trainer.parallel.memory import Memory, save_memory
from trainer.plan.job import Job
from trainer.plan.memory import States, activations, need
from trainer.plan.mesh import Mesh
from trainer.recipes.single_dit_2b import single_dit_2b

DEPTH, GRID, TEXT = 4, (21, 30, 52), 512  # 8,190 tokens
LENGTHS = {"8k": (21, 30, 52), "32k": (21, 60, 104)}
POLICIES = ("none", "selective", "full")


def rows(reduced: bool) -> list[dict[str, Any]]:
    return [*_options(), *(_measured(policy) for policy in POLICIES)]


def _options() -> list[dict[str, Any]]:
    """GB of the whole, by length and option."""
    config = single_dit_2b()
    made = []
    for name, grid in LENGTHS.items():
        job = Job(config.model, grid[0] * grid[1] * grid[2] // 4, TEXT, 1)
        ways = {
            "everything kept": need(job, Mesh(), 1, "none", States()),
            "selective checkpointing": need(job, Mesh(), 1, "selective", States()),
            "full checkpointing": need(job, Mesh(), 1, "full", States()),
            "full checkpointing, inputs on the host": need(job, Mesh(), 1, "offload", States()),
            "full checkpointing, moments in 8 bits": need(job, Mesh(), 1, "full", States("adamw8bit")),
            "full checkpointing, no EMA": need(job, Mesh(), 1, "full", States(ema=False)),
        }
        first = ways["everything kept"].total
        made += [_row(f"2B at {name} tokens: {way}", room.total, first, "estimate") for way, room in ways.items()]
    return made


def _measured(policy: str) -> dict[str, Any]:
    """GB that four blocks hold at the most, estimated beside counted."""
    config = {**single_dit_2b().model, "depth": DEPTH}
    job = Job(config, GRID[0] * GRID[1] * GRID[2] // 4, TEXT, 1)
    estimated, counted = activations(job, Mesh(), 1, policy) / 1e9, _counted(config, policy) / 1e9
    row = _row(f"2B, {DEPTH} blocks, 8k tokens, {policy}: activations, estimated and counted", estimated, counted, "")
    return {**row, "goal": "within 10 %", "met": abs(estimated / counted - 1) <= 0.1}


def _counted(config: dict[str, Any], policy: str) -> int:
    """Bytes on the meta device, beside weights and gradients."""
    with torch.device("meta"):
        model = SingleDiT(**config).to(torch.bfloat16)
        made = {
            "latents": torch.zeros(1, 16, *GRID, dtype=torch.bfloat16),
            "time_B": torch.zeros(1, dtype=torch.bfloat16),
            "text_BMC": torch.zeros(1, TEXT, config["text_dim"], dtype=torch.bfloat16),
            "text_mask_BM": torch.ones(1, TEXT, dtype=torch.bool),
            "condition": torch.zeros(1, 20, *GRID, dtype=torch.bfloat16),
        }
    save_memory(model, Memory(policy))  # type: ignore[arg-type]
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)  # there before: they are not activations
    with mock.patch.object(sdpa, "forward", _flash), Held() as held:
        model(**made).square().mean().backward()
    return held.most


def _flash(q: Tensor, k: Tensor, v: Tensor, mask: Any) -> Tensor:
    out: Tensor = torch.ops.aten._scaled_dot_product_flash_attention(q, k, v)[0]
    return out


def _row(what: str, ours: float, peer: float, goal: str) -> dict[str, Any]:
    return {
        "what": f"memory: {what}",
        "ours": ours,
        "peer": peer,
        "ratio": ours / peer,
        "unit": "GB",
        "goal": goal,
        "met": True,
    }
