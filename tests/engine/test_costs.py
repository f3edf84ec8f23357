"""Counted costs are those of the models themselves: operations and parameters."""

from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan
from torch.utils.flop_counter import FlopCounterMode

from engine import costs
from engine.attention.dispatch import Attention, use
from engine.models.multimodal_dit import MultimodalDiT
from engine.models.presets import MULTIMODAL_DIT, SINGLE_DIT
from engine.models.single_dit import SingleDiT

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
    "token_dims": {"audio": 3},
}
CASES = {
    "single-nano": (SingleDiT, SINGLE_DIT["nano"], (16, 4, 6), 9, 2),
    "multimodal-nano": (MultimodalDiT, MULTIMODAL_DIT["nano"], (4, 4, 6), 9, 2),
    "single-odd": (SingleDiT, {**ODD, "depth": 3}, (5, 2, 3), 1, 3),
    "multimodal-odd": (MultimodalDiT, {**ODD, "dual_depth": 2, "single_depth": 1}, (5, 2, 3), 4, 3),
    "single-2b": (SingleDiT, SINGLE_DIT["2b"], (21, 60, 104), 512, 2),
    "multimodal-13b": (MultimodalDiT, MULTIMODAL_DIT["13b"], (21, 90, 160), 512, 1),
}
VAE: dict[str, Any] = {
    "base_dim": 96,
    "z_dim": 16,
    "dim_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "temperal_downsample": [False, True, True],
}
SMALL_VAE = {**VAE, "base_dim": 8, "z_dim": 4, "dim_mult": [1, 2, 2], "temperal_downsample": [True, True]}


def built(kind, config, device="meta"):
    with torch.device(device):
        return kind(**config)


def arguments(config, grid, text, batch, device="meta"):
    def numbers(*shape):
        return torch.zeros(shape, device=device)

    controls, extra = config.get("control_sizes", ()), config.get("token_dims") or {}
    return {
        "latents": numbers(batch, config.get("in_channels", 8), *grid),
        "time_B": numbers(batch),
        "text_BMC": numbers(batch, text, config["text_dim"]),
        "text_mask_BM": torch.ones(batch, text, dtype=torch.bool, device=device),
        "condition": numbers(batch, config["condition_channels"], *grid) if config.get("condition_channels") else None,
        "control_ids_BK": torch.ones(batch, len(controls), dtype=torch.long, device=device) if controls else None,
        "control_strengths_BK": numbers(batch, len(controls)) if controls else None,
        "tokens": {name: numbers(batch, 6, width) for name, width in extra.items()},
    }


def counted(work) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


@pytest.mark.parametrize("name", list(CASES))
def test_a_forward_costs_what_torch_counts(name):
    kind, config, grid, text, batch = CASES[name]
    model = built(kind, config)
    use(model, Attention(dict.fromkeys(("self", "cross", "joint"), "plain")))  # every kernel of it is counted
    given = arguments(config, grid, text, batch)
    config = {**model.config}
    extra = dict.fromkeys(config["token_dims"] or {}, 6)
    tokens = costs.token_count(config, *grid)
    expected = costs.forward_flops(config, tokens, text, batch, extra=extra)
    assert counted(lambda: model(**given)) == expected.total
    assert min(expected.attention, expected.linear, expected.modulation) > 0
    without = given | {"control_ids_BK": None, "control_strengths_BK": None}
    free = costs.forward_flops(config, tokens, text, batch, extra=extra, controls=False)
    assert counted(lambda: model(**without)) == free.total
    assert (free.total < expected.total) is bool(config["control_sizes"])


@pytest.mark.parametrize("name", ["single-nano", "multimodal-nano", "multimodal-odd"])
def test_the_blocks_are_counted_one_by_one(name):
    kind, config, grid, text, batch = CASES[name]
    model = built(kind, config, "cpu")
    use(model, Attention(dict.fromkeys(("self", "cross", "joint"), "plain")))
    given = arguments(config, grid, text, batch, "cpu")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(**given)
    lists = ("blocks",) if kind is SingleDiT else ("dual_blocks", "single_blocks")
    found = [
        sum(counter.get_flop_counts()[f"{kind.__name__}.{name}.{i}"].values())
        for name in lists
        for i in range(len(getattr(model, name)))
    ]
    config = {**model.config}
    length = text + sum(6 for _ in config["token_dims"] or {})
    expected = costs.block_flops(config, costs.token_count(config, *grid), length, batch)
    assert found == [flops.total for flops in expected]


@pytest.mark.parametrize("name", list(CASES))
def test_parameters_are_those_of_the_model(name):
    kind, config, *_ = CASES[name]
    model = built(kind, config)
    assert costs.parameters({**model.config}) == sum(p.numel() for p in model.parameters())
    lists = [model.blocks] if kind is SingleDiT else [model.dual_blocks, model.single_blocks]
    blocks = [sum(p.numel() for p in block.parameters()) for part in lists for block in part]
    assert costs.block_parameters({**model.config}) == tuple(blocks)


@pytest.mark.parametrize(("config", "grid"), [(SMALL_VAE, (3, 5, 4)), (SMALL_VAE, (1, 4, 4)), (VAE, (4, 60, 104))])
def test_decoding_costs_what_torch_counts(config, grid):
    vae = built(AutoencoderKLWan, config)
    latents = torch.zeros(2, config["z_dim"], *grid, device="meta")
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        assert counted(lambda: vae.decode(latents)) == costs.decode_flops({**vae.config}, *grid, batch=2)
