"""How round a product is: closeups that are drawn once, and a model that learns it from them."""

import numpy as np
import pytest
import torch

from engine.conditions import photo_tensor
from engine.media.closeup import SIDE, closeup
from engine.models.roundness import Roundness
from trainer.closeups import CloseupsConfig, build_closeups, draw_closeup, open_closeups
from trainer.objectives.roundness import augment, roundness_loss

CONFIG = CloseupsConfig(count=24, processes=1)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("closeups")
    assert build_closeups(folder, CONFIG)
    return folder


def test_a_closeup_is_a_square_around_the_product_whatever_the_photo_has_about_it():
    photo = np.full((120, 200, 3), 30, np.uint8)
    mask = np.zeros((120, 200), np.uint8)
    photo[20:120, 150:190], mask[20:120, 150:190] = (200, 90, 10), 255
    close = closeup(photo, mask)
    assert close.shape == (SIDE, SIDE, 4)
    rows, columns = (np.flatnonzero((close[..., 3] > 127).any(axis)) for axis in (1, 0))
    assert len(rows) == pytest.approx(SIDE / 1.15, abs=1) and len(columns) == pytest.approx(0.4 * SIDE / 1.15, abs=1)
    assert abs(columns[0] + columns[-1] + 1 - SIDE) <= 2 and abs(rows[0] + rows[-1] + 1 - SIDE) <= 2
    assert (close[SIDE // 2, SIDE // 2] == (200, 90, 10, 255)).all()
    assert (close[-1, SIDE // 2] == (127, 127, 127, 0)).all(), "what the photo does not show is gray"
    far = np.zeros((240, 400, 3), np.uint8)
    far[60:180, 100:300] = photo
    wide = np.zeros((240, 400), np.uint8)
    wide[60:180, 100:300] = mask
    assert np.abs(closeup(far, wide)[..., 3].astype(int) - close[..., 3]).max() <= 1
    assert closeup(photo, np.zeros_like(mask)).shape == (SIDE, SIDE, 4), "no product: all of it"
    tiny = closeup(photo[:3, :2], mask[:3, :2])
    assert tiny.shape == (SIDE, SIDE, 4)


def test_closeups_are_drawn_by_seed_and_gone_on_with(drawn, tmp_path):
    closeups, exact = open_closeups(drawn, CONFIG)
    again, rounded = draw_closeup(CONFIG.seed + 5, "1:1")
    assert (closeups[5] == again).all() and exact[5] == np.float32(rounded)
    assert 0.2 < exact.min() < exact.max() <= 1
    with pytest.raises(ValueError, match="closeups"):
        open_closeups(drawn, CloseupsConfig(count=23))
    assert not build_closeups(tmp_path, CONFIG, deadline=0.0)
    with pytest.raises(ValueError, match="lack 1 chunks"):
        open_closeups(tmp_path, CONFIG)


def test_roundness_is_learnt_and_is_not_when_it_is_another_products(drawn):
    closeups, exact = open_closeups(drawn, CONFIG)
    shown, rounded = photo_tensor(np.array(closeups)), torch.from_numpy(np.array(exact))

    def off(told):
        torch.manual_seed(0)
        model, draws = Roundness(width=16), torch.Generator().manual_seed(0)
        optimiser = torch.optim.AdamW(model.parameters(), 2e-3)
        for _ in range(80):
            optimiser.zero_grad()
            roundness_loss(model, shown, told, draws)[0].backward()
            optimiser.step()
        with torch.no_grad():
            errors = (model.eval()(shown) - rounded).abs().mean()
        return (errors / (rounded - rounded.median()).abs().mean()).item()

    assert off(rounded) < 0.75
    assert off(rounded.roll(1)) > 1.0


def test_a_closeup_is_mirrored_and_moved_as_a_whole(drawn):
    closeups, _ = open_closeups(drawn, CONFIG)
    given = photo_tensor(np.array(closeups))
    given[:, 3] = torch.linspace(0, 1, SIDE)  # the mask's place: no colours are changed there
    made = augment(given, torch.Generator().manual_seed(3))
    slope = made[:, 3, SIDE // 2, -8] - made[:, 3, SIDE // 2, 8]
    assert (slope < -0.5).any() and (slope > 0.5).any() and (slope.abs() > 0.5).all()
