"""What is filled in behind a product: as calm as its surroundings, and no calmer."""

import cv2
import numpy as np
import pytest

from engine.media import plate
from engine.media.plate import continue_texture

INSIDE = np.s_[110:290, 210:390]


def filled(photo: np.ndarray) -> np.ndarray:
    hole = np.zeros(photo.shape[:2], bool)
    hole[100:300, 200:400] = True
    return continue_texture(np.where(hole[..., None], np.uint8(0), photo), hole)[0].astype(np.float32)


def as_mirrored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plate, "_calmed", lambda image, fill, *_: fill)


def wall() -> np.ndarray:
    return np.clip(130 + np.random.default_rng(0).normal(0, 4, (400, 600, 3)), 0, 255).astype(np.uint8)


def test_no_shards_of_what_stands_farther_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chequered flag stands a little to the left. The control is the mirror image alone."""
    photo = wall()
    y, x = np.mgrid[0:400, 0:600]
    photo[(x > 60) & (x < 160)] = 20
    photo[(x > 60) & (x < 160) & ((x // 12 + y // 12) % 2 > 0)] = 240

    def shards() -> float:
        return float(cv2.GaussianBlur(filled(photo), (0, 0), 2)[INSIDE].std((0, 1)).max())

    assert shards() < 8
    as_mirrored(monkeypatch)
    assert shards() > 25


def test_grain_stays() -> None:
    """The control is the picture out of focus."""

    def grain(picture: np.ndarray) -> float:
        return float((picture - cv2.GaussianBlur(picture, (0, 0), 1.5))[INSIDE].std())

    photo, fill = wall().astype(np.float32), filled(wall())
    assert 0.75 < grain(fill) / grain(photo) < 1.25
    assert grain(cv2.GaussianBlur(fill, (0, 0), 1.5)) / grain(photo) < 0.75


def test_a_pattern_goes_on_behind_the_product() -> None:
    """Where all the surroundings have shapes, so has the fill. The control are the colours alone."""
    y, x = np.mgrid[0:400, 0:600]
    photo = np.repeat((130 + 40 * np.sin(x / 4) * np.sin(y / 4))[..., None], 3, -1).astype(np.uint8)

    def shapes(picture: np.ndarray) -> float:
        return float(picture[INSIDE].std() / photo.std())

    assert shapes(filled(photo)) > 0.45
    assert shapes(cv2.GaussianBlur(filled(photo), (0, 0), 20)) < 0.2
