"""The relief model learns to tell floors from walls and boxes from bottles, and a transformer may begin at one that was
not told depths."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from datapipe.worlds.clip import ASPECTS, draw_picture
from datapipe.worlds.scene import sample_scene
from engine.bundles import write_bundle
from engine.conditions import CONDITION_CHANNELS
from engine.models.relief import ROUND, SPREAD, Relief
from engine.models.single_dit import SingleDiT
from trainer.batches import photo_tensor
from trainer.objectives.relief import augment, relief_loss
from trainer.start import begin_at, load_start, start_of

FORMAT, GRID = "1:1", (64, 64)


@pytest.fixture(scope="module")
def scenes():
    """Photos [16, 4, H, W], their disparities [16, 1, h, w] and the products' roundness [16]."""
    drawn = [sample_scene(np.random.default_rng(seed), ASPECTS[FORMAT]) for seed in range(16)]
    pictures = [draw_picture(scene, *GRID)[0] for scene in drawn]
    photos = photo_tensor(np.stack([np.concatenate([one.rgb, one.mask[..., None]], -1) for one in pictures]))
    roundness = torch.tensor([scene.product.bulge for scene in drawn])
    return photos, torch.from_numpy(np.stack([one.disparity for one in pictures]))[:, None], roundness


def learnt(photos, disparities, roundness, steps=60):
    torch.manual_seed(0)
    model, draws = Relief(widths=(16, 24, 32, 48), layers=1, heads=2), torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW(model.parameters(), 4e-3)
    for _ in range(steps):
        optimiser.zero_grad()
        loss, _ = relief_loss(model, photos, disparities, roundness, draws)
        loss.backward()
        optimiser.step()
    return model.eval()


@torch.no_grad()
def off(model, photos, disparities, roundness):
    """Mean absolute errors: of disparities beside each picture's own mean depth, of roundness beside the mean one."""
    flat, (made, rounded) = disparities.mean((1, 2, 3), keepdim=True), model(photos)
    pairs = ((made - disparities, flat - disparities), (rounded - roundness, roundness.mean() - roundness))
    return tuple((one.abs().mean() / other.abs().mean()).item() for one, other in pairs)


def test_relief_is_learnt_and_is_not_when_it_is_another_photos(scenes):
    photos, disparities, roundness = scenes
    far, rounded = off(learnt(*scenes), *scenes)
    assert far < 0.8 and rounded < 0.8, (far, rounded)
    far, rounded = off(learnt(photos, disparities.roll(1, 0), roundness.roll(1, 0)), *scenes)
    assert far > 1.0 and rounded > 1.0, (far, rounded)


def test_a_mirrored_photo_has_the_mirrored_depths(scenes):
    photos = scenes[0]
    ramp = torch.linspace(0, 1, 64).expand(16, 1, 64, 64)
    given = torch.cat([photos[:, :3], ramp], 1)  # the mask's place: no colours are changed there
    made, depths = augment(given, ramp[..., ::2, ::2] * SPREAD, torch.Generator().manual_seed(3))
    mirrored = made[:, 3, 0, 0] > 0.5
    assert 0 < mirrored.sum() < 16
    assert torch.equal(depths[:, 0, 0, 0] > 0.5 * SPREAD, mirrored)


def begun_at(home, name, module):
    """The folder of a run that begins at a bundle with this module."""
    run, start = home / "run", home / "start"
    for folder in (run, start):
        folder.mkdir()
    save_file(module.state_dict(), start / f"{name}.safetensors")
    write_bundle(start, name="start", version="1", kinds=(), capabilities={}, provenance={})
    begin_at(run, start)
    return run


def test_a_transformer_that_begins_at_one_without_depths_is_that_one(tmp_path):
    torch.manual_seed(0)
    sizes = {"in_channels": 8, "patch_size": (4, 1, 1), "hidden": 32, "depth": 1, "heads": 2, "rope_axes": (4, 6, 6)}
    untold = SingleDiT(**sizes, condition_channels=CONDITION_CHANNELS - 16, text_dim=16)
    for parameter in untold.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    run = begun_at(tmp_path, "single_dit", untold)
    told = SingleDiT(**sizes, condition_channels=CONDITION_CHANNELS, text_dim=16)
    load_start(start_of(run, {"single_dit": told}), {"single_dit": told})
    x, time, text, mask = (
        torch.randn(1, 8, 4, 4, 4),
        torch.tensor([0.5]),
        torch.randn(1, 3, 16),
        torch.ones(1, 3).bool(),
    )
    condition = torch.randn(1, CONDITION_CHANNELS, 4, 4, 4)
    torch.testing.assert_close(told(x, time, text, mask, condition), untold(x, time, text, mask, condition[:, :-16]))
    narrower = SingleDiT(**sizes, condition_channels=CONDITION_CHANNELS - 32, text_dim=16)
    with pytest.raises(ValueError, match="do not fit this recipe"):
        load_start(start_of(run, {"single_dit": narrower}), {"single_dit": narrower})


def test_relief_begins_at_the_depths_of_a_bundle_that_saw_no_roundness(tmp_path, scenes):
    torch.manual_seed(0)
    sizes = {"widths": (16, 24, 32, 48), "layers": 1, "heads": 2}
    seen, relief = Relief(**sizes).eval(), Relief(**sizes).eval()
    before = {
        key.replace("disparity.", "out."): value
        for key, value in seen.state_dict().items()
        if not key.startswith("roundness.")
    }
    run, start = tmp_path / "run", tmp_path / "start"
    for folder in (run, start):
        folder.mkdir()
    save_file(before, start / "scene_depth.safetensors")
    write_bundle(start, name="start", version="1", kinds=(), capabilities={}, provenance={})
    begin_at(run, start)
    load_start(start_of(run, {"relief": relief}), {"relief": relief})
    with torch.no_grad():
        disparity, roundness = relief(scenes[0])
        assert torch.equal(disparity, seen(scenes[0])[0])
    assert (roundness == ROUND).all()
