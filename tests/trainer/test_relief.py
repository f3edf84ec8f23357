"""The relief model learns to tell floors from walls, and a transformer may begin at one that was not told depths."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from datapipe.worlds.clip import ASPECTS, draw_picture
from datapipe.worlds.scene import sample_scene
from engine.bundles import write_bundle
from engine.conditions import CONDITION_CHANNELS, photo_tensor
from engine.models.relief import SPREAD, Relief
from engine.models.single_dit import SingleDiT
from trainer.objectives.relief import augment, relief_loss
from trainer.start import begin_at, load_start, start_of

FORMAT, GRID = "1:1", (64, 64)


@pytest.fixture(scope="module")
def scenes():
    """Photos [16, 4, H, W] and their disparities [16, 1, h, w]."""
    drawn = [sample_scene(np.random.default_rng(seed), ASPECTS[FORMAT]) for seed in range(16)]
    pictures = [draw_picture(scene, *GRID)[0] for scene in drawn]
    photos = photo_tensor(np.stack([np.concatenate([one.rgb, one.mask[..., None]], -1) for one in pictures]))
    return photos, torch.from_numpy(np.stack([one.disparity for one in pictures]))[:, None]


def learnt(photos, disparities, steps=60):
    torch.manual_seed(0)
    model, draws = Relief(widths=(16, 24, 32, 48), layers=1, heads=2), torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW(model.parameters(), 4e-3)
    for _ in range(steps):
        optimiser.zero_grad()
        loss, _ = relief_loss(model, photos, disparities, draws)
        loss.backward()
        optimiser.step()
    return model.eval()


@torch.no_grad()
def off(model, photos, disparities):
    """Mean absolute error beside that of each picture's own mean depth."""
    flat = disparities.mean((1, 2, 3), keepdim=True)
    return ((model(photos) - disparities).abs().mean() / (flat - disparities).abs().mean()).item()


def test_relief_is_learnt_and_is_not_when_it_is_another_photos(scenes):
    photos, disparities = scenes
    assert off(learnt(*scenes), *scenes) < 0.8
    assert off(learnt(photos, disparities.roll(1, 0)), *scenes) > 1.0


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


def test_relief_begins_at_what_earlier_versions_called_and_told_otherwise(tmp_path, scenes):
    torch.manual_seed(0)
    sizes = {"widths": (16, 24, 32, 48), "layers": 1, "heads": 2}
    seen, relief = Relief(**sizes).eval(), Relief(**sizes).eval()
    head = {"roundness.weight": torch.zeros(1, 16, 3, 3), "roundness.bias": torch.zeros(1)}  # of 0.8
    named = {key.replace("disparity.", "out."): value for key, value in seen.state_dict().items()}  # until 0.7
    for name, before in (("relief", seen.state_dict() | head), ("scene_depth", named)):
        run, start = tmp_path / name / "run", tmp_path / name / "start"
        for folder in (run, start):
            folder.mkdir(parents=True)
        save_file(before, start / f"{name}.safetensors")
        write_bundle(start, name="start", version="1", kinds=(), capabilities={}, provenance={})
        begin_at(run, start)
        load_start(start_of(run, {"relief": relief}), {"relief": relief})
        with torch.no_grad():
            assert torch.equal(relief(scenes[0]), seen(scenes[0])), name
