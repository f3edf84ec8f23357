"""Counted costs are those of the models themselves: operations, parameters, and what is held at once."""

import weakref
from typing import Any
from unittest import mock

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from engine import costs
from engine.attention import sdpa
from engine.attention.dispatch import Attention, use
from engine.axes import MeshShape
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
    "single-2b-short": (SingleDiT, {**SINGLE_DIT["2b"], "depth": 1}, (21, 60, 104), 512, 2),
    "multimodal-13b-short": (
        MultimodalDiT,
        {**MULTIMODAL_DIT["13b"], "dual_depth": 1, "single_depth": 1},
        (21, 90, 160),
        512,
        1,
    ),
    "single-2b": (SingleDiT, SINGLE_DIT["2b"], (21, 60, 104), 512, 2),
    "multimodal-13b": (MultimodalDiT, MULTIMODAL_DIT["13b"], (21, 90, 160), 512, 1),
}
SMALL = [name for name in CASES if name.endswith(("nano", "odd", "short"))]
WHOLE = [pytest.param(name, marks=pytest.mark.full) for name in ("single-2b", "multimodal-13b")]
VAE: dict[str, Any] = {
    "base_dim": 96,
    "z_dim": 16,
    "dim_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "temperal_downsample": [False, True, True],
}
PATCHES_VAE = {
    **VAE,
    "base_dim": 8,
    "dim_mult": [1, 2, 4],
    "num_res_blocks": 1,
    "temperal_downsample": [True, True],
    "patch_size": 2,
    "in_channels": 12,
    "out_channels": 12,
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


@pytest.mark.parametrize("name", [*SMALL, *WHOLE])
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


@pytest.mark.parametrize("name", ["single-odd", "multimodal-odd"])
def test_controls_that_are_not_given_cost_nothing(name):
    kind, config, grid, text, batch = CASES[name]
    model = built(kind, config)
    use(model, Attention(dict.fromkeys(("self", "cross", "joint"), "plain")))
    given = arguments(config, grid, text, batch) | {"control_ids_BK": None, "control_strengths_BK": None}
    tokens, extra = costs.token_count(config, *grid), {"audio": 6}
    free = costs.forward_flops(config, tokens, text, batch, extra=extra, controls=False)
    assert counted(lambda: model(**given)) == free.total
    assert free.total < costs.forward_flops(config, tokens, text, batch, extra=extra).total


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


@pytest.mark.parametrize(
    ("config", "grid"),
    [(SMALL_VAE, (3, 5, 4)), (SMALL_VAE, (1, 4, 4)), pytest.param(VAE, (3, 60, 104), marks=pytest.mark.full)],
)
def test_decoding_costs_what_torch_counts(config, grid):
    vae = built(AutoencoderKLWan, config)
    latents = torch.zeros(2, config["z_dim"], *grid, device="meta")
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        assert counted(lambda: vae.decode(latents)) == costs.decode_flops({**vae.config}, *grid, batch=2)


# --- bytes ---


class Held(TorchDispatchMode):
    """The most bytes that the results of operations take at one time. Inside a kernel nothing is seen."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        given = {x.untyped_storage()._cdata for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)}
        for x in tree_leaves(made):
            if isinstance(x, torch.Tensor) and x.untyped_storage()._cdata not in self.known | given:
                self._count(x.untyped_storage())
        return made

    def _count(self, storage):
        size, key = storage.nbytes(), storage._cdata
        self.known.add(key)
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._free, size, key)

    def _free(self, size, key):
        self.now -= size
        self.known.discard(key)


@pytest.mark.parametrize("name", ["single-2b", "multimodal-13b"])
def test_what_a_forward_holds_is_estimated(name):
    """Two blocks of each kind, which the others only follow; attention as a kernel that holds no scores."""
    kind, config, _, text, batch = CASES[name]
    depths = {key: 2 for key in config if key.endswith("depth")}
    model, grid = built(kind, {**config, **depths}).to(torch.bfloat16), (5, 60, 104)
    given = {
        key: value.bfloat16() if isinstance(value, torch.Tensor) and value.is_floating_point() else value
        for key, value in arguments(config, grid, text, batch).items()
    }
    with torch.no_grad(), mock.patch.object(sdpa, "forward", lambda q, k, v, mask: torch.empty_like(q)), Held() as held:
        model(**given)
    tokens = costs.token_count(config, *grid)
    assert costs.activation_bytes(model.config, tokens, text, batch) == pytest.approx(held.most, rel=0.1)


@pytest.mark.parametrize(
    ("config", "frames"), [pytest.param(VAE, 3, marks=pytest.mark.full), (PATCHES_VAE, 41)], ids=["wan", "patches"]
)
def test_what_decoding_holds_is_estimated(config, frames):
    vae = built(AutoencoderKLWan, config).to(torch.bfloat16)
    with torch.no_grad(), Held() as held:
        vae.decode(torch.zeros(1, config["z_dim"], frames, 60, 104, device="meta", dtype=torch.bfloat16))
    assert costs.decode_bytes({**vae.config}, frames, 60, 104) == pytest.approx(held.most, rel=0.05)


def test_what_is_sent_is_what_the_ranks_send():
    """The same sums as `test_no_more_is_sent_than_has_to_be` counts on real ranks: 64 tokens, 8 heads of width 8."""
    config = {**ODD, "hidden": 64, "heads": 8, "depth": 3, "control_sizes": (), "token_dims": None}
    sent = costs.sent_bytes(config, MeshShape(ring=2, ulysses=2), 64, 5, width=1)
    assert (sent["ulysses"], sent["ring"]) == (3 * 2048, 3 * 2048)
    assert sent["tensor"] == sent["cfg"] == sent["data"] == 0
    halves = costs.sent_bytes(config, MeshShape(cfg=2), 64, 5, batch=2, width=1)
    assert halves["cfg"] == 64 * 3 * 2  # one of two rows: 64 tokens of 3 channels and 2 pixels
    assert sum(halves.values()) == halves["cfg"]
    split = costs.sent_bytes(config, MeshShape(tensor=2), 64, 5, width=1)
    assert split["tensor"] == 3 * 3 * 64 * 64  # in each block after both attentions and the feed-forward


@pytest.mark.parametrize(
    ("patch", "asked", "sentence"),
    [
        ((1, 2, 2), (17, 64, 72), "72x64 pixels: widths have to be multiples of 16"),
        ((1, 1, 2), (17, 72, 60), "60x72 pixels: widths have to be multiples of 16, and heights multiples of 8"),
        ((2, 1, 1), (17, 72, 64), "17 frames: the model makes 5 \\+ 8n of them, such as 37"),
    ],
)
def test_a_video_without_a_whole_grid_of_patches_is_refused(patch, asked, sentence):
    vae = {**SMALL_VAE, "patch_size": 2}  # 8 pixels a latent, of which 2 are its own patch
    costs.check_size({"patch_size": patch}, vae, 21, 64, 64)
    with pytest.raises(ValueError, match=sentence):
        costs.check_size({"patch_size": patch}, vae, *asked)
