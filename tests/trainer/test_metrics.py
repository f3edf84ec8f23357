"""The operations of a training step are those that torch counts, forward, backward and recompute; MFU and HFU."""

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from engine import costs
from engine.attention.dispatch import Attention, use
from engine.models.multimodal_dit import MultimodalDiT
from engine.models.presets import MULTIMODAL_DIT, SINGLE_DIT
from engine.models.single_dit import SingleDiT
from trainer import metrics
from trainer.metrics import StepFlops, step_flops
from trainer.parallel import memory
from trainer.parallel.memory import Memory, save_memory

ODD: dict[str, Any] = {
    "in_channels": 3,
    "condition_channels": 5,
    "patch_size": (1, 2, 1),
    "hidden": 40,
    "heads": 5,
    "mlp_ratio": 2.7,
    "text_dim": 7,
    "rope_axes": (4, 2, 2),
    "control_sizes": (3, 2),
}
CASES = {
    "single": (SingleDiT, {**SINGLE_DIT["nano"], "depth": 2}, (16, 4, 6)),
    "multimodal": (MultimodalDiT, {**MULTIMODAL_DIT["nano"], "dual_depth": 1, "single_depth": 2}, (4, 4, 6)),
    "single-odd": (SingleDiT, {**ODD, "depth": 3}, (5, 2, 3)),
    "multimodal-odd": (MultimodalDiT, {**ODD, "dual_depth": 2, "single_depth": 1}, (5, 2, 3)),
    "single-tokens": (SingleDiT, {**ODD, "depth": 1, "token_dims": {"audio": 3}}, (5, 2, 3)),
    "multimodal-tokens": (
        MultimodalDiT,
        {**ODD, "dual_depth": 1, "single_depth": 1, "token_dims": {"audio": 3}},
        (5, 2, 3),
    ),
}
TEXT, BATCH, AUDIO = 9, 2, 6


def given(name: str, device: str = "meta") -> tuple[torch.nn.Module, dict[str, Any], dict[str, Any]]:
    """A model, its arguments, and the same as the arguments of the counts."""
    kind, config, grid = CASES[name]
    with torch.device(device):
        model = kind(**config)
        use(model, Attention(dict.fromkeys(("self", "cross", "joint"), "plain")))
        controls, extra = config.get("control_sizes", ()), config.get("token_dims") or {}
        arguments = {
            "latents": torch.zeros(BATCH, model.config["in_channels"], *grid),
            "time_B": torch.zeros(BATCH),
            "text_BMC": torch.zeros(BATCH, TEXT, config["text_dim"]),
            "text_mask_BM": torch.ones(BATCH, TEXT, dtype=torch.bool),
            "condition": torch.zeros(BATCH, config["condition_channels"], *grid)
            if config.get("condition_channels")
            else None,
            "control_ids_BK": torch.ones(BATCH, len(controls), dtype=torch.long) if controls else None,
            "control_strengths_BK": torch.zeros(BATCH, len(controls)) if controls else None,
            "tokens": {name: torch.zeros(BATCH, AUDIO, width) for name, width in extra.items()},
        }
    tokens = costs.token_count(model.config, *grid)
    sizes = {"config": {**model.config}, "tokens": tokens, "text_tokens": TEXT, "batch": BATCH}
    return model, arguments, {**sizes, "controls": bool(controls), "extra": dict.fromkeys(extra, AUDIO)}


def counted(model: torch.nn.Module, arguments: dict[str, Any]) -> int:
    with FlopCounterMode(display=False) as counter:
        model(**arguments).square().mean().backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("name", CASES)
def test_forward_and_backward_cost_what_torch_counts(name):
    model, arguments, sizes = given(name)
    found = step_flops(**sizes)
    assert counted(model, arguments) == found.forward.total + found.backward.total == found.hardware
    assert 0 < found.model - found.hardware < found.model / 10


@pytest.mark.parametrize("name", ["single", "multimodal", "multimodal-odd"])
def test_full_checkpointing_computes_every_block_again(name):
    model, arguments, sizes = given(name)
    save_memory(model, Memory("full"))
    found = step_flops(**sizes, checkpointing="full")
    assert counted(model, arguments) == found.hardware
    assert found.recompute.attention == sum(one.attention for one in costs.block_flops(*list(sizes.values())[:4]))


@pytest.mark.parametrize("name", ["single", "multimodal"])
def test_selective_checkpointing_computes_no_product_again(name, monkeypatch):
    """Attention is written out here, so that it is counted: as one kernel its result is kept too."""
    monkeypatch.setattr(memory, "KEPT", memory.KEPT | {torch.ops.aten.bmm.default})
    model, arguments, sizes = given(name)
    save_memory(model, Memory("selective"))
    found = step_flops(**sizes, checkpointing="selective")
    assert counted(model, arguments) == found.hardware
    assert found.recompute == costs.Flops()


def test_some_blocks_may_be_checkpointed():
    model, arguments, sizes = given("multimodal")
    last = model.single_blocks[1]
    plain = last.forward
    save_memory(model, Memory("full"))
    last.forward = plain
    assert counted(model, arguments) == step_flops(**sizes, checkpointing="full", blocks=2).hardware
    assert step_flops(**sizes, checkpointing="full", blocks=1).hardware != counted(model, arguments)


def test_control_a_backward_of_twice_the_forward_is_not_what_torch_counts():
    model, arguments, sizes = given("single")
    assert counted(model, arguments) != step_flops(**sizes).model


def test_equal_blocks_are_one_row():
    rows = list(metrics.block_rows({**MULTIMODAL_DIT["13b"], "mlp_ratio": 4.0}, 1000, 512, checkpointing="full"))
    assert [count for count, *_ in rows] == [20, 46]
    assert all(again == one for _, one, again in rows)


def test_mfu_is_what_the_model_needs_and_hfu_what_was_done():
    flops = StepFlops(costs.Flops(linear=10**12), costs.Flops(linear=2 * 10**12), costs.Flops(linear=10**12))
    assert metrics.mfu(flops, seconds=3.0, devices=2, tflops=1.0) == pytest.approx(0.5)
    assert metrics.hfu(flops, seconds=3.0, devices=2, tflops=1.0) == pytest.approx(4 / 6)


def test_an_unknown_policy_is_refused_with_those_that_are_known():
    with pytest.raises(ValueError, match=r"no checkpointing policy 'some'. There are: none, selective, full"):
        step_flops(SINGLE_DIT["2b"], 8, 4, checkpointing="some")
