"""The models' shapes and invariances, on random weights with no zero gate."""

import pytest
import torch

from engine.conditions import CONDITION_CHANNELS, CONTROL_SIZES, GRIDS, control_tensors, dense_condition
from engine.media.closeup import SIDE
from engine.models.ernie import ErnieEncoder
from engine.models.motion_vae import MotionVAE
from engine.models.relief import Relief
from engine.models.roundness import Roundness
from engine.models.single_dit import SingleDiT
from engine.samplers import euler, guided, heun, shifted_times


def randomised(model):
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model.eval()


@pytest.fixture(scope="module")
def dit():
    return randomised(
        SingleDiT(in_channels=4, hidden=64, depth=2, heads=2, rope_axes=(8, 12, 12), text_dim=16, control_sizes=(3, 2))
    )


def call(dit, latents, text, mask, ids=((1, 1),), strengths=((0.5, 0.5),)):
    batch = len(latents)
    return dit(
        latents,
        torch.full((batch,), 0.4),
        text,
        mask,
        None,
        torch.tensor(ids).expand(batch, -1),
        torch.tensor(strengths).expand(batch, -1),
    )


@pytest.mark.parametrize("grid", [(4, 10, 6), (1, 8, 8), (7, 3, 5)])
def test_any_length_and_shape(dit, grid):
    latents, text = torch.randn(2, 4, *grid), torch.randn(2, 5, 16)
    assert call(dit, latents, text, torch.ones(2, 5, dtype=torch.bool)).shape == latents.shape


def test_padding_of_the_text_changes_nothing_and_real_tokens_do(dit):
    latents, text = torch.randn(1, 4, 2, 4, 4), torch.randn(1, 5, 16)
    mask = torch.tensor([[True, True, True, False, False]])
    base = call(dit, latents, text, mask)
    other = text.clone()
    other[:, 3:] = 9.0
    torch.testing.assert_close(call(dit, latents, other, mask), base)
    other[:, 0] = 9.0
    assert (call(dit, latents, other, mask) - base).abs().max() > 1e-3


def test_each_control_matters_and_strength_only_with_a_choice(dit):
    latents, text, mask = torch.randn(1, 4, 2, 4, 4), torch.randn(1, 3, 16), torch.ones(1, 3, dtype=torch.bool)
    base = call(dit, latents, text, mask)
    assert (call(dit, latents, text, mask, ids=((2, 1),)) - base).abs().max() > 1e-4
    assert (call(dit, latents, text, mask, strengths=((0.9, 0.5),)) - base).abs().max() > 1e-4
    free = call(dit, latents, text, mask, ids=((0, 0),))
    torch.testing.assert_close(call(dit, latents, text, mask, ids=((0, 0),), strengths=((0.9, 0.1),)), free)


def test_patches_of_time_round_trip():
    dit = SingleDiT(in_channels=3, patch_size=(4, 1, 1), hidden=64, depth=1, heads=2, rope_axes=(8, 12, 12))
    x = torch.arange(2 * 3 * 4 * 2 * 5.0).reshape(2, 3, 4, 2, 5)
    assert torch.equal(dit._unpatchify(dit._patchify(x), x.shape), x)


def test_text_encoder_ignores_padding():
    encoder = randomised(ErnieEncoder(vocab_size=50, universal_width=32, universal_heads=2, nlu_width=16, nlu_heads=2))
    ids = torch.tensor([[1, 7, 9, 0, 0]])
    mask = ids > 0
    torch.testing.assert_close(encoder(ids, mask)[:, :3], encoder(ids[:, :3], mask[:, :3]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("format", list(GRIDS))
def test_motion_vae_serves_every_format(format):
    height, width = GRIDS[format]
    vae = MotionVAE().eval()
    reference = vae.reference(torch.randn(1, 4, height, width))
    fields = torch.randn(1, 5, 16, height // 2, width // 2)
    mean, _ = vae.encode(fields, reference)
    assert mean.shape == (1, 8, 4, height // 8, width // 8)
    assert vae.decode(mean, reference).shape == fields.shape
    assert vae.plate(reference).shape == (1, 3, height // 2, width // 2)
    photo = torch.randn(1, 4, height, width)
    disparity = Relief().eval()(photo)
    assert disparity.shape == (1, 1, height // 2, width // 2)
    assert Roundness().eval()(torch.randn(3, 4, SIDE, SIDE)).shape == (3,)
    assert dense_condition(photo, reference, disparity).shape[1] == CONDITION_CHANNELS


def test_controls_become_ids_in_the_order_of_the_tables():
    ids, strengths = control_tensors([("auto", 0.0, "light-sweep", 0.25), ("roll-right", 1.0, "auto", 0.0)])
    assert ids.tolist() == [[0, CONTROL_SIZES[1] - 1], [CONTROL_SIZES[0] - 1, 0]]
    assert strengths.tolist() == [[0.0, 0.25], [1.0, 0.0]]


@pytest.mark.parametrize(("sampler", "steps", "tolerance"), [(euler, 200, 2e-2), (heun, 20, 2e-3)])
def test_samplers_follow_a_known_flow(sampler, steps, tolerance):
    """dx/dt = x has the solution x(0) = x(1) / e."""
    *_, (x, _) = sampler(lambda x, t: x, torch.ones(3), shifted_times(steps))
    assert (x - torch.tensor(1.0).exp().reciprocal()).abs().max() < tolerance


def test_straight_flow_is_exact_in_any_number_of_steps():
    data, noise = torch.randn(4), torch.randn(4)
    for steps in (1, 4, 9):
        *_, (x, estimate) = euler(lambda x, t: noise - data, noise, shifted_times(steps, shift=3.0))
        torch.testing.assert_close(x, data, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(estimate, data, atol=1e-5, rtol=1e-5)


def test_guidance_of_one_is_the_conditional_flow():
    a, b = torch.randn(3), torch.randn(3)
    torch.testing.assert_close(guided(a, b, 1.0), a)
