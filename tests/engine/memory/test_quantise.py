"""Quantised weights: how far the trained model's answer moves, how many bytes go, and what stays whole."""

import pytest
import torch

from engine.bundles import SHIPPED, read_bundle
from engine.costs import block_bytes
from engine.memory.layerwise import blocks_of
from engine.memory.quantise import quantise, weight_bytes
from engine.models.multimodal_dit import MultimodalDiT
from engine.models.single_dit import SingleDiT
from engine.parallel.mesh import Axis
from engine.parallel.tensor import TensorSharding
from engine.weights import load_model
from tests.engine.parallel.cases import model_of

LIMITS = {"int8": 0.02, "fp8": 0.06}  # of the velocity, rms over rms
WIDE = {"hidden": 128, "heads": 2, "rope_axes": (32, 16, 16), "text_dim": 6, "in_channels": 2}
TINY = {"hidden": 32, "heads": 2, "rope_axes": (8, 4, 4), "text_dim": 6, "in_channels": 2}


def trained(dtype):
    """The shipped Single-DiT, the arguments of a call, and what it answers."""
    model = load_model(read_bundle(SHIPPED, verify=False), SingleDiT, "single_dit").to(dtype)
    generator = torch.Generator().manual_seed(4)

    def normal(*shape):
        return torch.randn(shape, generator=generator).to(dtype)

    config = model.config
    latents, condition = normal(2, config["in_channels"], 4, 8, 8), normal(2, config["condition_channels"], 4, 8, 8)
    text, mask = normal(2, 5, config["text_dim"]), torch.arange(5) < torch.tensor([[5], [2]])
    inputs = latents, torch.tensor([0.3, 0.8]).to(dtype), text, mask, condition
    with torch.inference_mode():
        return model, inputs, model(*inputs)


def error_of(model, inputs, wanted):
    with torch.inference_mode():
        return ((model(*inputs) - wanted).float().norm() / wanted.float().norm()).item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("kind", LIMITS)
def test_the_trained_model_hardly_moves_and_its_bytes_go(kind, dtype):
    model, inputs, wanted = trained(dtype)
    done = quantise(model, kind)
    error = error_of(model, inputs, wanted)
    layer = max(done.errors.values())
    print(f"{kind} from {dtype}: velocity {error:.4f}, worst layer {layer:.4f}, {done.saved:.0%} of the bytes saved")
    assert 0 < error < LIMITS[kind]
    assert layer < LIMITS[kind]
    assert done.bytes_after < (0.45 if dtype == torch.float32 else 0.7) * done.bytes_before


@pytest.mark.parametrize("kind", LIMITS)
def test_one_wrong_scale_exceeds_the_limit(kind):
    model, inputs, wanted = trained(torch.float32)
    quantise(model, kind)
    weight = model.blocks[0].mlp[2].weight
    weight.scale = weight.scale * 1.5
    assert error_of(model, inputs, wanted) > LIMITS[kind]


def test_inputs_outputs_and_modulations_stay_whole():
    model = MultimodalDiT(**TINY, dual_depth=1, single_depth=1)
    done = quantise(model, "int8")
    whole = {name for name, p in model.named_parameters() if type(p.data) is torch.Tensor and name.endswith("weight")}
    assert {"patch_in.weight", "text_in.weight", "patch_out.weight", "modulation_out.1.weight"} <= whole
    assert {"dual_blocks.0.video.modulation.1.weight", "single_blocks.0.modulation.1.weight"} <= whole
    assert {"dual_blocks.0.attention.text.qkv", "single_blocks.0.mlp.2"} <= set(done.errors)
    assert not {f"{name}.weight" for name in done.errors} & whole


@pytest.mark.parametrize("kind", LIMITS)
def test_a_rank_without_heads_is_quantised_as_the_others_are(kind):
    model = model_of("single", torch.float32, heads=3)
    TensorSharding(model, Axis(4, 3, None))
    assert model.blocks[0].attention.qkv.weight.numel() == 0
    assert {name.split(".")[2] for name in quantise(model, kind).errors} == {"mlp"}


def test_another_kind_is_refused():
    with pytest.raises(ValueError, match="quantised to int8 or fp8, not to 'int4'"):
        quantise(SingleDiT(**TINY, depth=1), "int4")


def test_a_type_that_cannot_be_quantised_is_refused():
    with pytest.raises(ValueError, match="from float32 or bfloat16"):
        quantise(SingleDiT(**TINY, depth=1).double(), "int8")


@pytest.mark.parametrize(
    "model",
    [
        lambda: SingleDiT(**WIDE, depth=2),
        lambda: MultimodalDiT(**WIDE, dual_depth=1, single_depth=2),
    ],
    ids=["single", "multimodal"],
)
def test_so_many_bytes_are_planned_for(model):
    """Of the Multimodal-DiT a third stays whole: its modulations."""
    model = model()
    model.to(torch.bfloat16)
    ends = weight_bytes(model) - sum(weight_bytes(block) for block in blocks_of(model))
    quantise(model, "fp8")
    assert weight_bytes(model) - ends == pytest.approx(sum(block_bytes(model.config, rounded=True)), rel=0.01)
