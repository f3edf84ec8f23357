"""Snapshots: deterministic bytes, and subjects that flatness and a free border give away less than a commercial's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from datapipe.worlds.render import render_layers
from datapipe.worlds.scene import sample_scene
from datapipe.worlds.snapshots import LEAST, MOST, draw_snapshot

SIDE, COUNT = 96, 60


def scene(seed: int) -> np.ndarray:
    """A commercial's picture, in the form of a snapshot."""
    layers = render_layers(sample_scene(np.random.default_rng(seed), 1.0), SIDE, SIDE)
    return np.concatenate([layers.composite, layers.product_alpha[..., None]], -1)


@pytest.fixture(scope="module")
def snapshots() -> list[np.ndarray]:
    return [draw_snapshot(seed, SIDE) for seed in range(COUNT)]


@pytest.fixture(scope="module")
def scenes() -> list[np.ndarray]:
    return [scene(seed) for seed in range(COUNT)]


def unevenness(picture: np.ndarray) -> float:
    """How often a place of the subject is more uneven than one of the ground: 0.5 where that tells nothing."""
    grey = picture[..., :3].astype(np.float32).mean(-1)
    spread = np.sqrt(np.maximum(cv2.blur(grey * grey, (5, 5)) - cv2.blur(grey, (5, 5)) ** 2, 0))
    inner = cv2.erode((picture[..., 3] > 127).astype(np.uint8), np.ones((7, 7))) > 0
    outer = cv2.dilate((picture[..., 3] > 8).astype(np.uint8), np.ones((7, 7))) == 0
    if min(inner.sum(), outer.sum()) < 50:
        return 0.5
    return float((np.median(spread[inner]) > spread[outer]).mean())


def touches(picture: np.ndarray) -> bool:
    mask = picture[..., 3] > 127
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def test_same_seed_same_bytes_and_another_seed_another_picture(snapshots: list[np.ndarray]) -> None:
    assert draw_snapshot(3, SIDE).tobytes() == snapshots[3].tobytes()
    assert len({snapshot.tobytes() for snapshot in snapshots}) == COUNT


def test_a_subject_leaves_some_ground(snapshots: list[np.ndarray]) -> None:
    shares = np.array([snapshot[..., 3].mean() / 255 for snapshot in snapshots])
    assert (shares > LEAST / 2).all() and (shares < MOST + 0.02).all()
    assert shares.std() > 0.12, "small and large ones"


def test_a_subject_is_often_cut_by_the_edge(snapshots: list[np.ndarray], scenes: list[np.ndarray]) -> None:
    assert np.mean([touches(picture) for picture in snapshots]) > 0.25
    assert np.mean([touches(picture) for picture in scenes]) < 0.15, "as a commercial's product is not"


def test_flatness_tells_less_of_the_ground_than_in_a_commercial(
    snapshots: list[np.ndarray], scenes: list[np.ndarray]
) -> None:
    assert np.mean([unevenness(picture) for picture in snapshots]) < 0.72
    assert np.mean([unevenness(picture) for picture in scenes]) > 0.78


def test_a_picture_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32"):
        draw_snapshot(0, 31)
