"""The disparity of a scene's picture is the one by which its motion is multiplied."""

import numpy as np
import pytest

from datapipe.worlds.clip import ASPECTS, GRIDS, draw_picture, exact_fields
from datapipe.worlds.motion import DOLLY_IN, Motion, grid_points
from datapipe.worlds.scene import sample_scene

STRENGTH = 0.1


def dolly(seed: int, format: str):
    """The disparity that a small dolly shows, and the picture's own, at the cells far enough from its centre."""
    height, width = GRIDS[format]
    scene = sample_scene(np.random.default_rng(seed), ASPECTS[format])
    picture, layers = draw_picture(scene, height, width)
    motion = Motion("dolly-in", STRENGTH, "still", 0.5)
    flow_hw2 = exact_fields(scene, layers, motion, height // 2, width // 2).scene_flow[-1]
    points_hw2 = grid_points(scene.aspect, height // 2, width // 2)
    frame = 2 * np.array([np.sqrt(scene.aspect), 1 / np.sqrt(scene.aspect)])
    travel, away = (flow_hw2 * frame * points_hw2).sum(-1), (points_hw2**2).sum(-1)
    shown = -travel / away / (DOLLY_IN * STRENGTH)
    return shown[away > 0.1], picture.disparity[away > 0.1]


@pytest.mark.parametrize("format", list(GRIDS))
def test_disparity_is_what_a_dolly_shows(format):
    for seed in range(905_600_000, 905_600_004):
        shown, disparity = dolly(seed, format)
        off = np.abs(shown - disparity) / disparity
        assert np.median(off) < 0.03
        assert (off < 0.1).mean() > 0.9  # the edges of things, where the dolly has moved them


def test_the_disparity_of_another_scene_is_not():
    shown, _ = dolly(905_600_000, "1:1")
    others = [dolly(seed, "1:1")[1] for seed in range(905_600_001, 905_600_006)]
    assert min(np.median(np.abs(shown - other) / other) for other in others) > 0.03
