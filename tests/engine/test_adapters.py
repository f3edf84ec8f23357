"""Adapters on our own and on pretrained transformers: exact in mixed types, merged and taken out, refused elsewhere."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import nn

from engine.adapters import METADATA, WEIGHTS, Adapter, LowRank, put_on, save_adapter
from engine.bundles import BundleError, read_bundle, write_bundle
from engine.memory.offload import Offload
from engine.models.multimodal_dit import MultimodalDiT
from engine.models.single_dit import SingleDiT
from tests.engine.pretrained.cases import inputs_of, wan_of

SMALL = {"in_channels": 2, "hidden": 32, "heads": 2, "text_dim": 6, "rope_axes": (4, 6, 6)}
LOW = LowRank(rank=3, alpha=6.0)


def own(kind: type[nn.Module], **depth: int) -> nn.Module:
    torch.manual_seed(1)
    model = kind(**SMALL, **depth).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.copy_(torch.randn(parameter.shape) * 0.15)
    return model


def given_own() -> tuple[torch.Tensor, ...]:
    torch.manual_seed(2)
    mask = torch.tensor([[True, True, False]])
    return torch.randn(1, 2, 2, 4, 4), torch.tensor([0.4]), torch.randn(1, 3, 6), mask


MODELS = {
    "single": lambda: (own(SingleDiT, depth=2), lambda model: model(*given_own())),
    "multimodal": lambda: (own(MultimodalDiT, dual_depth=1, single_depth=1), lambda model: model(*given_own())),
    "wan": lambda: (
        wan_of("plain").requires_grad_(False),
        lambda model: model(**_wan_inputs(), return_dict=False)[0],
    ),
}


def _wan_inputs() -> dict[str, torch.Tensor]:
    torch.manual_seed(2)
    return {key: value[:1] for key, value in inputs_of("plain", (2, 4, 4)).items()}


def adapted(model: nn.Module, asked: LowRank = LOW) -> Adapter:
    """An adapter that does something: B is not zero."""
    torch.manual_seed(3)
    adapter = Adapter(model, asked)
    with torch.no_grad():
        for pair in adapter.pairs.values():
            pair.lora_B.weight.normal_(std=0.1)
    adapter.attach(model)
    return adapter


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_an_adapter_is_merged_and_taken_out_with_the_same_bits(name: str) -> None:
    model, run = MODELS[name]()
    before, state = run(model), {key: value.clone() for key, value in model.state_dict().items()}
    adapter = adapted(model)
    beside = run(model)
    adapter.merge(model)
    merged = run(model)
    names = set(model.state_dict())
    adapter.unmerge(model)

    assert (beside - before).abs().max() > 0.05 * before.abs().max()
    assert (merged - beside).abs().max() <= 1e-5 * beside.abs().max()
    assert names == set(state) and all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert torch.equal(run(model), beside)
    adapter.detach()
    assert torch.equal(run(model), before)


@torch.no_grad()
def test_merged_into_bfloat16_the_output_is_as_far_off_as_the_model_itself() -> None:
    model, run = MODELS["single"]()
    adapter = adapted(model)
    exact = run(model)
    adapter.detach()
    model.to(torch.bfloat16)

    def run_half() -> torch.Tensor:
        x, time, text, mask = given_own()
        return model(x.bfloat16(), time, text.bfloat16(), mask).float()

    adapter.attach(model)
    beside = run_half()
    adapter.merge(model)
    merged = run_half()
    assert {value.dtype for value in adapter.state_dict().values()} == {torch.float32}
    assert (merged - beside).abs().max() <= 2 * (beside - exact).abs().max()


@torch.no_grad()
def test_weights_that_come_and_go_are_merged_before_and_taken_out_behind(tmp_path: Path) -> None:
    model, run = MODELS["single"]()
    adapter = adapted(model)
    beside = run(model)
    with Offload(model, "cpu", tmp_path):
        with pytest.raises(ValueError, match="is sharded, offloaded or quantised: merge before that"):
            adapter.merge(model)
        torch.testing.assert_close(run(model), beside, atol=1e-4, rtol=1e-4)
    adapter.merge(model)
    with Offload(model, "cpu", tmp_path):  # the control: merged before, it is there
        torch.testing.assert_close(run(model), beside, atol=1e-4, rtol=1e-4)
        with pytest.raises(ValueError, match="undo that before the adapter is taken out"):
            adapter.unmerge(model)
        torch.testing.assert_close(run(model), beside, atol=1e-4, rtol=1e-4)
    adapter.unmerge(model)
    assert torch.equal(run(model), beside)


@torch.no_grad()
def test_a_new_adapter_changes_no_bit_and_none_goes_on_where_nothing_matches() -> None:
    model, run = MODELS["single"]()
    before = run(model)
    Adapter(model, LOW).attach(model)
    assert torch.equal(run(model), before)
    with pytest.raises(ValueError, match=r"No linear layer is named like \*to_q\. There are \d+, such as patch_in"):
        Adapter(model, LowRank(targets=("*to_q",)))
    only = Adapter(model, LowRank(targets=("*.attention.qkv", "*.mlp.[02]")))
    assert set(only.names) == {f"blocks.{i}.{part}" for i in (0, 1) for part in ("attention.qkv", "mlp.0", "mlp.2")}


def gradients(adapter_type: torch.dtype) -> dict[str, float]:
    """Relative error of A's and B's gradients beside a bfloat16 layer, under autocast as the loop has it."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 48)).bfloat16().requires_grad_(False)
    adapter = adapted(model, LowRank(4, 8.0, ("*",))).to(adapter_type)
    x, above = torch.randn(32, 64).bfloat16(), torch.randn(32, 48).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        out = model(x)
    out.backward(above)
    pair = adapter.pairs["0"]
    a, b = (part.weight.detach().double() for part in (pair.lora_A, pair.lora_B))
    exact = {
        "lora_A": 2 * (above.double() @ b).T @ x.double(),
        "lora_B": 2 * above.double().T @ (x.double() @ a.T),
    }
    return {
        name: ((getattr(pair, name).weight.grad.double() - value).abs().max() / value.abs().max()).item()
        for name, value in exact.items()
    }


def test_beside_bfloat16_weights_gradients_are_exact_in_float32() -> None:
    assert max(gradients(torch.float32).values()) < 1e-6
    assert min(gradients(torch.bfloat16).values()) > 1e-4, "the control: in bfloat16 they are not"


@pytest.fixture
def bundles(tmp_path: Path) -> dict[str, Path]:
    """Two bases that differ in a byte, and an adapter of the first."""
    for name in ("base", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "README.md").write_text(name)
        write_bundle(tmp_path / name, name=name, version="1", kinds=("text_to_video",), capabilities={}, provenance={})
    base = read_bundle(tmp_path / "base")
    (tmp_path / "worn").mkdir()
    model, _ = MODELS["single"]()
    adapter = adapted(model)
    save_adapter(adapter, tmp_path / "worn")
    about = {"base": base.identity, "part": "single_dit", **adapter.config}
    write_bundle(
        tmp_path / "worn", name="cup", version="1", kinds=("adapter",), capabilities={"adapter": about}, provenance={}
    )
    return {name: tmp_path / name for name in ("base", "other", "worn")}


@torch.no_grad()
def test_an_adapter_bundle_does_to_the_model_what_the_adapter_did(bundles: dict[str, Path]) -> None:
    model, run = MODELS["single"]()
    before = run(model)
    adapter = adapted(model)
    trained = run(model)
    adapter.detach()

    worn = put_on(model, bundles["worn"], read_bundle(bundles["base"]), "single_dit")
    assert torch.equal(run(model), trained)
    worn.strength = 0.0
    assert torch.equal(run(model), before)


def test_an_adapter_is_refused_on_another_base_another_part_and_another_shape(bundles: dict[str, Path]) -> None:
    model, _ = MODELS["single"]()
    base, other = (read_bundle(bundles[name]) for name in ("base", "other"))
    with pytest.raises(BundleError, match=r"cup was trained on base 1 .* this is other 1 .* train it anew"):
        put_on(model, bundles["worn"], other, "single_dit")
    with pytest.raises(BundleError, match="for single_dit of base, not for transformer"):
        put_on(model, bundles["worn"], base, "transformer")
    with pytest.raises(BundleError, match="base is no adapter: it serves text_to_video"):
        put_on(model, bundles["base"], base, "single_dit")
    with pytest.raises(BundleError, match="do not fit the model's layers"):
        put_on(own(SingleDiT, depth=3), bundles["worn"], base, "single_dit")


def test_the_file_says_what_diffusers_and_peft_read(bundles: dict[str, Path]) -> None:
    with safe_open(bundles["worn"] / WEIGHTS, "pt") as file:
        about, keys = json.loads(file.metadata()[METADATA]), set(file.keys())
    layer = "transformer.blocks.0.attention.qkv"
    assert {f"{layer}.lora_A.weight", f"{layer}.lora_B.weight"} <= keys
    assert (about["transformer.r"], about["transformer.lora_alpha"]) == (3, 6.0)
    assert "blocks.0.attention.qkv" in about["transformer.target_modules"]
