"""A product moves in one piece: waves go, what really moves so stays, and nothing shows up where nothing was."""

from dataclasses import replace

import numpy as np
import pytest

from datapipe.worlds.motion import Motion, grid_points, product_map, sweep_light
from engine.media import steady
from engine.media.fields import MotionFields
from engine.media.steady import in_one_piece, moves_flat, where_it_is, without_stains

GRID, ASPECT, CENTRE, HALF_WIDTH = (40, 24), 0.6, (0.0, 0.0), 0.3
KEYS = 5


def product(half_width: float = HALF_WIDTH) -> np.ndarray:
    """A box in the middle of the frame, on twice the field's grid."""
    x, y = np.moveaxis(grid_points(ASPECT, 80, 48), -1, 0)
    return ((np.abs(x) < half_width) & (np.abs(y) < 0.5)).astype(np.float32)


def flow_of(camera: str, subject: str) -> np.ndarray:
    """The exact product flow [T, h, w, 2] of the worlds."""
    points = grid_points(ASPECT, *GRID)
    tau = np.linspace(0, 1, KEYS)
    away = product_map(points, Motion(camera, 1.0, subject, 1.0), ASPECT, CENTRE, HALF_WIDTH, 0.8, tau) - points
    step = points[1, 1] - points[0, 0]  # of a cell
    return (away / step / np.array([GRID[1], GRID[0]])).astype(np.float32)


def fields_of(flow: np.ndarray) -> MotionFields:
    flow = flow.copy()
    flow[0] = 0
    return MotionFields(
        np.zeros_like(flow), flow, np.zeros(flow.shape[:3], np.float32), np.zeros((4, 4, 3), np.float32)
    )


def wave(size: float = 0.004) -> np.ndarray:
    """As the decoder's patches leave it: one period in two of them; grows with time."""
    y, x = np.mgrid[0 : GRID[0], 0 : GRID[1]] * (2 * np.pi / 8)
    both = size * np.stack([np.sin(y) * np.cos(x), np.cos(y) * np.sin(x)], -1)
    return (both * np.linspace(0, 1, KEYS)[:, None, None, None]).astype(np.float32)


def off(flow: np.ndarray, exact: np.ndarray, mask: np.ndarray) -> float:
    """Mean error inside the product at the last key, in fractions of the frame."""
    inside = where_it_is(exact[-1], mask) > 0.5
    return float(np.linalg.norm(flow[-1] - exact[-1], axis=-1)[inside].mean())


@pytest.mark.parametrize(
    "camera, subject",
    [
        ("roll-right", "still"),
        ("dolly-in", "float"),
        ("pan-left", "light-sweep"),
        ("orbit-left", "still"),
        ("static", "turn"),
        ("roll-left", "turn"),
    ],
)
def test_waves_go_and_the_motion_stays(camera: str, subject: str) -> None:
    exact, mask = flow_of(camera, subject), product()
    wavy = fields_of(exact + wave())

    calm = in_one_piece(wavy, mask, flat=moves_flat(camera, subject)).product_flow

    assert off(wavy.product_flow, exact, mask) > 0.0025  # the control
    assert off(calm, exact, mask) < 0.001


@pytest.mark.parametrize("camera, subject", [("orbit-left", "still"), ("static", "turn"), ("roll-left", "turn")])
def test_a_turn_stays_round_and_would_not_as_a_plane(camera: str, subject: str) -> None:
    exact, mask = flow_of(camera, subject), product()
    round_, plane = (in_one_piece(fields_of(exact), mask, flat=flat).product_flow for flat in (False, True))

    assert off(round_, exact, mask) < 0.35 * off(plane, exact, mask)
    assert not moves_flat(camera, subject)


def test_what_is_left_to_the_model_may_turn() -> None:
    assert not moves_flat("auto", "still") and not moves_flat("static", "auto")
    assert moves_flat("roll-left", "still")


@pytest.mark.parametrize("beyond, seen_twice", [(steady._BEYOND, False), (1e6, True)])
def test_far_from_a_product_no_second_one_shows(
    monkeypatch: pytest.MonkeyPatch, beyond: float, seen_twice: bool
) -> None:
    """The control lets the powers run off."""
    monkeypatch.setattr(steady, "_BEYOND", beyond)
    mask, exact = product(), flow_of("dolly-in", "still")
    crooked, x = exact.copy(), grid_points(ASPECT, *GRID)[..., 0]
    crooked[-1, ..., 0] -= 0.025 * np.where(np.abs(x) < 0.36, (x / HALF_WIDTH) ** 3, 0)

    calm = in_one_piece(fields_of(crooked), mask, flat=False).product_flow[-1]

    far = where_it_is(exact[-1], product(0.45)) < 0.01
    assert bool((where_it_is(calm, mask)[far] > 0.3).any()) == seen_twice


def test_where_there_is_next_to_no_product_the_key_stays() -> None:
    flow = flow_of("roll-right", "still") + wave()
    fields = fields_of(flow)
    assert (in_one_piece(fields, product() * 0, flat=True).product_flow == fields.product_flow).all()
    changed = in_one_piece(replace(fields, light=fields.light), product(), flat=True)
    assert (changed.scene_flow == fields.scene_flow).all() and not (changed.product_flow == fields.product_flow).all()


def test_stains_go_and_a_sweep_stays_as_strong() -> None:
    """The control takes the threshold off everything, which costs the sweep a tenth."""
    points = np.broadcast_to(grid_points(ASPECT, *GRID), (KEYS, *GRID, 2))
    sweep = sweep_light(
        points, Motion("static", 0.0, "light-sweep", 0.6), CENTRE, (HALF_WIDTH, 0.5), np.linspace(0, 1, KEYS)
    )
    stains = 4 * wave()[..., 0]
    assert 0.01 < np.abs(stains).max() < 0.02 and np.abs(sweep).max() > 0.25

    def kept(light: np.ndarray) -> float:
        return float(np.abs(light).sum() / np.abs(sweep).sum())

    assert not without_stains(stains).any()
    assert kept(without_stains(sweep)) > 0.95 > kept(np.sign(sweep) * np.maximum(np.abs(sweep) - 0.02, 0))
    assert (np.sign(without_stains(-sweep)) == -np.sign(without_stains(sweep))).all()
