"""The numbers reported of a motion are those of the exact camera, in sign and size."""

import numpy as np
import pytest

from datapipe.worlds.clip import draw_picture, exact_fields
from datapipe.worlds.motion import Motion
from datapipe.worlds.scene import sample_scene
from engine.describe import describe_motion
from engine.media.fields import MotionFields


def described(camera: str, subject: str = "still", strength: float = 1.0, aspect: float = 1.0) -> dict[str, float]:
    scene = sample_scene(np.random.default_rng(4), aspect)
    picture, layers = draw_picture(scene, 64, 64)
    exact = exact_fields(scene, layers, Motion(camera, strength, subject, 1.0), 32, 32)
    first = np.zeros((1, 32, 32, 2), np.float32)
    fields = MotionFields(
        np.concatenate([first, exact.scene_flow]),
        np.concatenate([first, exact.product_flow]),
        np.concatenate([first[..., 0], exact.light]),
        np.zeros((2, 2, 3), np.float32),
    )
    return describe_motion(fields, picture.mask, aspect)


@pytest.mark.parametrize(
    ("camera", "row", "sign"),
    [
        ("pan-left", "pan", 1),
        ("pan-right", "pan", -1),
        ("tilt-up", "tilt", 1),
        ("tilt-down", "tilt", -1),
        ("dolly-in", "zoom", 1),
        ("dolly-out", "zoom", -1),
        ("roll-left", "roll", 1),
        ("roll-right", "roll", -1),
        ("orbit-left", "parallax", -1),
        ("orbit-right", "parallax", 1),
    ],
)
def test_each_move_has_its_row_and_sign(camera, row, sign):
    full, half = described(camera)[row], described(camera, strength=0.5)[row]
    assert np.sign(full) == sign and np.sign(half) == sign
    assert abs(half) < 0.75 * abs(full)


def test_sizes_are_those_of_the_camera():
    assert described("roll-left")["roll"] == pytest.approx(7.0, abs=0.1)
    assert described("dolly-in")["zoom"] == pytest.approx(1 / (1 - 0.22) - 1, abs=0.02)
    assert described("pan-left")["pan"] == pytest.approx(0.12 * 0.7, abs=0.04)


def test_nothing_moves_when_nothing_is_asked():
    assert all(abs(value) < 1e-6 for value in described("static").values())


def test_light_is_told():
    assert described("static", "light-sweep")["light"] > 0.3
