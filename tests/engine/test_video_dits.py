"""Both video transformers: their sizes, batches of any sizes packed into one row, and conditions as tokens."""

import pytest
import torch
from torch.utils._pytree import tree_map

from engine.attention.mask import Mask
from engine.models.multimodal_dit import MultimodalDiT
from engine.models.presets import MULTIMODAL_DIT, SINGLE_DIT
from engine.models.single_dit import SingleDiT

SMALL = {
    "in_channels": 2,
    "condition_channels": 3,
    "patch_size": (1, 2, 2),
    "hidden": 40,
    "heads": 5,
    "text_dim": 6,
    "rope_axes": (4, 2, 2),
    "control_sizes": (3, 2),
    "token_dims": {"audio": 3},
}
KINDS = [(SingleDiT, {"depth": 2}), (MultimodalDiT, {"dual_depth": 1, "single_depth": 1})]
GRIDS = [(3, 4, 6), (1, 2, 2), (5, 2, 6)]


@pytest.fixture(params=KINDS, ids=lambda value: value[0].__name__)
def model(request):
    kind, depth = request.param
    made, generator = kind(**SMALL, **depth), torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.15)
    return made.double()


@pytest.fixture
def batch():
    """Three samples of three sizes, with texts of two, four and no words."""
    generator = torch.Generator().manual_seed(1)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    return {
        "latents": [normal(2, *grid) for grid in GRIDS],
        "time_B": torch.rand(3, generator=generator).double(),
        "text_BMC": normal(3, 4, 6),
        "text_mask_BM": torch.arange(4) < torch.tensor([[2], [4], [0]]),
        "condition": [normal(3, *grid) for grid in GRIDS],
        "control_ids_BK": torch.tensor([[0, 1], [2, 0], [1, 1]]),
        "control_strengths_BK": torch.rand(3, 2, generator=generator).double(),
        "tokens": {"audio": normal(3, 2, 3)},
    }


def one_of(batch, i):
    row = {name: value[i : i + 1] for name, value in batch.items() if isinstance(value, torch.Tensor)}
    lists = {name: batch[name][i][None] for name in ("latents", "condition")}
    return row | lists | {"tokens": {"audio": batch["tokens"]["audio"][i : i + 1]}}


@pytest.mark.parametrize(
    ("kind", "config", "billions", "share"),
    [(SingleDiT, SINGLE_DIT["2b"], 2.0, 0.03), (MultimodalDiT, MULTIMODAL_DIT["13b"], 13.4, 0.01)],
)
def test_the_large_presets_have_the_papers_parameter_counts(kind, config, billions, share):
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in kind(**config).parameters())
    assert count == pytest.approx(billions * 1e9, rel=share)
    assert config["hidden"] // config["heads"] == 128
    assert config["heads"] % 8 == 0


def test_packed_samples_are_exactly_what_they_are_alone(model, batch):
    with torch.no_grad():
        packed = model(**batch)
        alone = [model(**one_of(batch, i))[0] for i in range(3)]
    for one, other in zip(packed, alone, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=0)


def test_without_the_mask_they_are_not(model, batch, monkeypatch):
    """The control: were all tokens seen by all, the test above would fail."""
    with torch.no_grad():
        alone = [model(**one_of(batch, i))[0] for i in range(3)]
        monkeypatch.setattr(Mask, "dense", lambda mask: None)
        packed = model(**batch)
    assert max((one - other).abs().max() for one, other in zip(packed, alone, strict=True)) > 1e-3


def test_padding_of_the_text_changes_nothing_and_a_condition_token_does(model, batch):
    row = one_of(batch, 0)
    with torch.no_grad():
        base = model(**row)
        padded = model(**row | {"text_BMC": row["text_BMC"].masked_fill(~row["text_mask_BM"][..., None], 9.0)})
        louder = model(**row | {"tokens": {"audio": row["tokens"]["audio"] + 1}})
        silent = model(**row | {"tokens": None})
    torch.testing.assert_close(padded, base, atol=1e-12, rtol=0)
    assert (louder - base).abs().max() > 1e-3
    assert (silent - base).abs().max() > 1e-3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_in_two_bytes_a_number_it_reads_controls_too(model, batch, dtype):
    with torch.no_grad():
        exact = torch.cat([x.flatten() for x in model(**batch)])
        other = torch.cat([x.flatten() for x in model(**batch | {"control_ids_BK": batch["control_ids_BK"].flip(0)})])
        half = tree_map(lambda x: x.to(dtype) if x.is_floating_point() else x, batch)
        made = torch.cat([x.flatten() for x in model.to(dtype)(**half)])
    error, control = ((x - exact).norm() / exact.norm() for x in (made, other))
    assert made.dtype == dtype
    assert error < 45 * torch.finfo(dtype).eps < control  # without controls it is as far off, or farther


@pytest.mark.parametrize(("kind", "depth"), KINDS)
def test_a_new_model_says_nothing_yet_and_its_configuration_is_kept(kind, depth):
    model = kind(**SMALL, **depth)
    call = (torch.randn(1, 2, 1, 2, 2), torch.rand(1), torch.randn(1, 3, 6), torch.ones(1, 3, dtype=torch.bool))
    assert model(*call, torch.randn(1, 3, 1, 2, 2)).abs().max() == 0
    assert kind.from_config(dict(model.config)).state_dict().keys() == model.state_dict().keys()
