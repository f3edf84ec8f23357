"""What was asked for: geometry as the worlds' own, and fields that lose what no such camera or product makes."""

from __future__ import annotations

from dataclasses import replace
from itertools import product as pairs
from unittest import mock

import numpy as np
import pytest

from datapipe.worlds import motion as worlds
from engine.media import asked_camera, body, pinhole
from engine.media.asked_camera import Asked, Depths
from engine.media.body import Body, Extent
from engine.media.fields import MotionFields
from engine.media.pinhole import Pinhole, frame_size

MOVES = [move for move in worlds.CAMERA_MOVES if move != "static"]
GRID, ASPECT = (40, 24), 9 / 16  # cells of 9:16 are no squares
SIZE = 0.8
TAU = np.linspace(0, 1, 17)
MASK = np.zeros((80, 48), np.float32)
MASK[40:70, 14:30] = 1.0
PIVOT, HALF_WIDTH = (22 / 48, 55 / 80), 8 / 48
WALL, FLOOR, BULGE = 1 / 0.3, 0.625, 0.68  # the product stands on the floor
FRAME = frame_size(ASPECT)
MIDDLE = (np.array(PIVOT) - 0.5) * FRAME
POINTS = worlds.grid_points(ASPECT, *GRID)
ROWS = POINTS[..., 1] / worlds.FOCAL / FLOOR
DEPTHS = Depths(np.where(ROWS > 1 / WALL, ROWS, 1 / WALL), BULGE)


def as_asked(
    fields: MotionFields, mask: np.ndarray, wish: Asked, aspect: float = ASPECT, depths: Depths = DEPTHS
) -> MotionFields:
    return asked_camera.as_asked(fields, mask, depths, wish, aspect)


def asked(camera: str, subject: str = "still") -> Asked:
    return Asked(camera, SIZE, subject, 0.7)


def exact(
    camera: str, subject: str = "still", size: float = SIZE, tau: np.ndarray = TAU, cycles: float = 1.0
) -> MotionFields:
    """By the worlds' own geometry: a wall, the floor before it, and a product."""
    motion = worlds.Motion(camera, size, subject, 0.7, ease=0.0, cycles=cycles)
    pose = worlds.world_pose(motion, ASPECT, tuple(MIDDLE), tau)
    wall, _ = worlds.plane_map(POINTS, *pose, np.array([0.0, 0.0, 1.0]), WALL)
    floor, seen = worlds.plane_map(POINTS, *pose, np.array([0.0, 1.0, 0.0]), FLOOR)
    on_floor = seen & (floor[..., 1] / worlds.FOCAL > FLOOR / WALL)
    scene = (np.where(on_floor[..., None], floor, wall) - POINTS) / FRAME
    at = worlds.product_map(POINTS, motion, ASPECT, tuple(MIDDLE), HALF_WIDTH * FRAME[0], BULGE, tau)
    product = (at - POINTS) / FRAME
    scene[0] = product[0] = 0.0  # not to the last bit
    return MotionFields(scene, product, np.zeros((len(tau), *GRID)), np.zeros((*GRID, 3)))


def wished(camera: str, subject: str = "still", cycles: float = 1.0) -> MotionFields:
    """`exact`, but that what floats rises only, once for every time that the worlds' sine does."""

    def rising(motion: worlds.Motion, tau: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        path = (1 - np.cos(2 * np.pi * np.ceil(cycles) * tau)) / 2 * motion.subject_strength * (subject == "float")
        return -2 * worlds.FLOAT_HEIGHT * path, worlds.FLOAT_ROLL * motion.sway * path

    with mock.patch.object(worlds, "_float", rising):
        return exact(camera, subject, cycles=cycles)


def wavy(fields: MotionFields, size: float = 0.004, drift: float = 0.005) -> MotionFields:
    """With waves of the decoder's patches, and a drift aside, that grow with time."""
    y, x = np.mgrid[0 : GRID[0], 0 : GRID[1]]
    waves = np.stack([np.sin(y * np.pi / 2 + 0.3), np.cos(x * np.pi / 2)], -1) * size
    ramp = np.linspace(0, 1, len(fields.light))[:, None, None, None]
    off = ramp * (waves + drift * np.array([0.6, -0.8]))
    return replace(fields, scene_flow=fields.scene_flow + off, product_flow=fields.product_flow + off)


def missed(made: MotionFields, true: MotionFields, keys: tuple[int, ...] = (4, 8, 12, -1)) -> tuple[float, float]:
    """Mean error of the scene, and of the product where it is, in fractions of the frame; the worst key."""
    y, x = np.mgrid[0 : GRID[0], 0 : GRID[1]]
    where = MASK[y * 2, x * 2] > 0.5
    off_scene = np.linalg.norm(made.scene_flow - true.scene_flow, axis=-1)
    off_product = np.linalg.norm(made.product_flow - true.product_flow, axis=-1)
    return max(float(off_scene[k].mean()) for k in keys), max(float(off_product[k][where].mean()) for k in keys)


# --- the geometry ---


def test_the_figures_are_those_of_the_worlds():
    for name in ("FOCAL", "SHIFT", "TRUCK_SHARE", "DOLLY_IN", "DOLLY_OUT", "ORBIT_FAR", "ROLL"):
        assert getattr(pinhole, name) == getattr(worlds, name)
    assert (body.TURN, body.BODY_MARGIN) == (worlds.TURN, worlds.BODY_MARGIN)


@pytest.mark.parametrize("move", MOVES)
def test_the_camera_is_that_of_the_worlds(move):
    motion = worlds.Motion(move, SIZE, "still", 0.0, ease=0.0)
    pose = worlds.world_pose(motion, ASPECT, tuple(MIDDLE), TAU)
    true, _ = worlds.plane_map(POINTS, *pose, np.array([0.0, 0.0, 1.0]), WALL)
    camera = Pinhole.over(move, ASPECT, GRID, PIVOT)
    made = camera.flow(SIZE * TAU, 1 / WALL)
    assert np.abs(made + POINTS - true).max() < 2e-5


def test_the_turn_is_that_of_the_worlds():
    motion = worlds.Motion("static", SIZE, "turn", 0.7, ease=0.0)
    true = worlds.product_map(POINTS, motion, ASPECT, tuple(MIDDLE), 0.5, BULGE, TAU)
    made = Body(POINTS, MIDDLE, 0.5).flow(np.zeros_like(true), -body.TURN * 0.7 * TAU, BULGE)
    assert np.abs(made + POINTS - true).max() < 2e-5


def test_a_speck_beside_the_product_does_not_move_its_box():
    speck = MASK.copy()
    speck[2, 46] = 1.0
    assert Extent.around(speck).middle == Extent.around(MASK).middle == pytest.approx(PIVOT)
    assert Extent.around(speck).half_width == Extent.around(MASK).half_width == pytest.approx(HALF_WIDTH)


# --- the fields ---


@pytest.mark.parametrize(("camera", "subject"), [*pairs(["static", *MOVES], worlds.SUBJECT_MOTIONS)])
def test_what_was_asked_for_stays_as_it_is(camera, subject):
    fields, wish = exact(camera, subject), wished(camera, subject)
    scene, product = missed(as_asked(fields, MASK, asked(camera, subject), ASPECT), wish)
    assert scene < 0.003 and product < 0.0015, (scene, product)  # the floor's far edge is softer than a field


@pytest.mark.parametrize(("camera", "subject"), [*pairs(MOVES, worlds.SUBJECT_MOTIONS)])
def test_waves_and_drift_go_and_the_motion_stays(camera, subject):
    fields = exact(camera, subject)
    before = wavy(fields)
    scene, product = missed(as_asked(before, MASK, asked(camera, subject), ASPECT), wished(camera, subject))
    wavy_scene, wavy_product = missed(before, fields)
    assert scene < 0.85 * wavy_scene, (scene, wavy_scene)  # a drift along a pan may as well be a nearer wall
    assert product < 0.85 * wavy_product, (product, wavy_product)


@pytest.mark.parametrize("short", [0.68, 0.8, 0.9, 1.15])
@pytest.mark.parametrize("move", [move for move in MOVES if not move.startswith("orbit")])
def test_it_arrives_where_it_was_asked_to_and_the_product_stays_on_its_floor(move, short):
    true, made = exact(move), as_asked(exact(move, size=SIZE * short), MASK, asked(move), ASPECT)
    before = exact(move, size=SIZE * short)
    scene, product = missed(made, true)
    assert product < 0.002 and scene < max(0.004, 0.35 * missed(before, true)[0]), (scene, product)
    foot = np.s_[-1, 34:36, 8:14]
    slip = (made.product_flow - made.scene_flow)[foot] - (true.product_flow - true.scene_flow)[foot]
    assert np.abs(slip.mean((0, 1))).max() < 0.006  # where the product alone went farther: 0.03


@pytest.mark.parametrize("move", ["dolly-in", "dolly-out", "pan-left"])
@pytest.mark.parametrize("subject", ["still", "float", "light-sweep"])
def test_a_scene_that_tells_another_size_than_the_product_is_not_believed(move, subject):
    """A dolly moves a far wall so little that its size is hardly seen there. The control is a model that took both
    too far: it is left as it is.
    """
    true, too_far = exact(move, subject, size=0.4), exact(move, subject, size=0.66)
    wish = replace(asked(move, subject), camera_strength=0.4)
    made = as_asked(replace(too_far, product_flow=true.product_flow), MASK, wish)
    assert missed(made, true)[0] < 0.15 * missed(too_far, true)[0]
    assert np.abs(at_the_end(made) - at_the_end(true)).max() < 0.003
    left = as_asked(too_far, MASK, wish)
    assert missed(left, true)[0] > 0.9 * missed(too_far, true)[0]
    assert np.abs(at_the_end(left) - at_the_end(true)).max() > 0.01


def at_the_end(fields: MotionFields) -> np.ndarray:
    """The product's flow where what floats is back at rest."""
    y, x = np.mgrid[0 : GRID[0], 0 : GRID[1]]
    return fields.product_flow[-1][MASK[y * 2, x * 2] > 0.5]


def test_it_keeps_its_own_time():
    late = TAU**2
    true, made = exact("pan-left", tau=late), as_asked(exact("pan-left", tau=late), MASK, asked("pan-left"), ASPECT)
    assert max(missed(made, true)) < 0.002
    assert missed(exact("pan-left"), true)[1] > 0.01


@pytest.mark.parametrize("other", ["pan-right", "tilt-up", "dolly-in", "roll-left"])
def test_a_model_that_moves_otherwise_is_left_alone(other):
    fields = exact(other)
    assert as_asked(fields, MASK, asked("pan-left"), ASPECT) is fields


def test_noise_is_left_alone():
    noise = np.random.default_rng(0).normal(0, 0.03, (2, 17, *GRID, 2)) * TAU[:, None, None, None]
    fields = MotionFields(*noise, np.zeros((17, *GRID)), np.zeros((*GRID, 3)))
    assert all(as_asked(fields, MASK, asked(move), ASPECT) is fields for move in worlds.CAMERA_MOVES)


@pytest.mark.parametrize("move", ["pan-left", "roll-right", "dolly-in"])
def test_a_weak_move_loses_its_drift_too(move):
    weak = replace(asked(move), camera_strength=0.1)
    true = exact(move, size=0.1)
    drifting = wavy(true, size=0.0, drift=0.003)
    made = as_asked(drifting, MASK, weak, ASPECT)
    assert missed(made, true)[1] < 0.3 * missed(drifting, true)[1]


def test_a_product_that_moves_otherwise_keeps_its_motion_but_for_the_drift():
    fields = replace(exact("orbit-left"), product_flow=exact("tilt-up").product_flow)
    made = as_asked(fields, MASK, asked("orbit-left"), ASPECT)
    assert missed(made, fields)[1] < 1e-6 and missed(exact("orbit-left"), fields)[1] > 0.02


def test_what_nobody_set_is_left_alone():
    fields = wavy(exact("pan-left", "float"))
    assert as_asked(fields, MASK, asked("auto"), ASPECT) is fields
    made = as_asked(fields, MASK, asked("pan-left", "auto"), ASPECT)
    assert missed(made, fields)[1] < 0.006 and missed(made, fields)[0] > 0.001


@pytest.mark.parametrize("move", MOVES)
def test_a_move_that_words_asked_for_goes_as_far_as_the_model_took_it(move):
    fields = exact(move)
    before = wavy(fields)
    made = as_asked(before, MASK, replace(asked(move), camera_strength=None), ASPECT)
    for off, was in zip(missed(made, fields), missed(before, fields), strict=True):
        assert off < 0.85 * was


def test_a_camera_that_stands_still_does_not_drift():
    fields = wavy(exact("static"), size=0.001, drift=0.002)
    made = as_asked(fields, MASK, replace(asked("static"), camera_strength=None), ASPECT)
    assert np.abs(made.scene_flow).max() < 1e-7 and np.abs(made.product_flow).max() < 1e-7
    assert np.abs(fields.scene_flow).max() > 0.001


def test_without_a_product_an_orbit_goes_around_the_middle():
    fields = wavy(exact("orbit-left"))
    made = as_asked(fields, np.zeros_like(MASK), asked("orbit-left"), ASPECT)
    whole = np.zeros_like(MASK)
    whole[20:60, 12:36] = 1.0
    around = as_asked(fields, whole, asked("orbit-left"), ASPECT)
    assert np.allclose(made.scene_flow, around.scene_flow, atol=1e-6) and made is not fields


# --- what floats ---


def lifts(fields: MotionFields) -> np.ndarray:
    """How high the product is at each key, in heights of the frame."""
    y, x = np.mgrid[0 : GRID[0], 0 : GRID[1]]
    return fields.product_flow[:, MASK[y * 2, x * 2] > 0.5, 1].mean(1)


@pytest.mark.parametrize("cycles", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("camera", ["static", "pan-left", "roll-right", "auto"])
def test_what_floats_rises_from_rest_and_comes_back_to_it(camera, cycles):
    shown = "static" if camera == "auto" else camera
    sine = exact(shown, "float", cycles=cycles)
    made = as_asked(wavy(sine, size=0.001, drift=0.001), MASK, asked(camera, "float"))
    still, wish = lifts(exact(shown)), wished(shown, "float", cycles)
    path, before = lifts(made) - still, lifts(sine) - still
    assert path.min() > -0.0015 and before.min() < -0.015, "below rest it goes through the floor"
    for way, ends_at_rest in ((path, True), (before, False)):
        steps = np.abs(np.diff(way))
        assert (max(steps[0], steps[-1]) < 0.5 * steps.max()) == ends_at_rest
    assert path.max() == pytest.approx(before.max(), rel=0.05), "framing left room for that"
    assert missed(made, wish)[1] < 0.003 < missed(sine, wish)[1]


def test_a_product_that_does_not_float_keeps_its_motion_before_a_camera_that_nobody_chose():
    turning = exact("static", "turn")
    assert as_asked(turning, MASK, asked("auto", "float")) is turning
    floating = exact("static", "float")
    assert as_asked(floating, np.zeros_like(MASK), asked("auto", "float")) is floating
    assert as_asked(floating, MASK, asked("auto", "auto")) is floating


# --- the relief ---


def flat(nearness: float) -> Depths:
    return Depths(np.full(GRID, nearness), BULGE)


@pytest.mark.parametrize("move", [move for move in MOVES if not move.startswith("roll")])
def test_the_scene_is_as_near_as_the_relief_says(move):
    camera, true = Pinhole.over(move, ASPECT, GRID, PIVOT), exact(move)
    right, wrong = (
        np.abs(camera.scene_flow(SIZE * TAU, one.nearness) / FRAME - true.scene_flow).mean()
        for one in (DEPTHS, flat(1 / WALL))
    )
    assert right < 0.2 * wrong


def test_a_relief_that_does_not_explain_the_motion_changes_nothing():
    fields = exact("dolly-in")
    assert as_asked(fields, MASK, asked("dolly-in"), depths=flat(0.0)) is fields
    assert as_asked(fields, MASK, asked("dolly-in")) is not fields


@pytest.mark.parametrize("subject", ["still", "turn"])
def test_a_product_is_turned_as_round_as_it_is(subject):
    fields = exact("orbit-left", subject)
    flatter = as_asked(fields, MASK, asked("orbit-left", subject), depths=replace(DEPTHS, roundness=0.3))
    assert missed(as_asked(fields, MASK, asked("orbit-left", subject)), fields)[1] < 0.001
    assert missed(flatter, fields)[1] > 0.003


@pytest.mark.parametrize("nearer", [0.8, 1.3])
@pytest.mark.parametrize("subject", worlds.SUBJECT_MOTIONS)
@pytest.mark.parametrize("move", ["pan-left", "dolly-in", "tilt-up"])
def test_a_product_goes_as_asked_where_the_scene_only_seems_nearer(move, subject, nearer):
    fields = exact(move, subject)
    seems = replace(DEPTHS, nearness=DEPTHS.nearness * nearer)
    made = as_asked(fields, MASK, asked(move, subject), depths=seems)
    assert missed(made, wished(move, subject))[1] < 0.004 < missed(exact(move, "still", SIZE * 1.3), exact(move))[1]


@pytest.mark.parametrize("nearer", [0.8, 1.3])
@pytest.mark.parametrize("short", [0.8, 1.0, 1.1])
def test_a_subject_that_nobody_set_goes_along_with_the_camera(nearer, short):
    true, fields = exact("dolly-in"), exact("dolly-in", size=SIZE * short)
    seems = replace(DEPTHS, nearness=DEPTHS.nearness * nearer)
    made = as_asked(fields, MASK, asked("dolly-in", "auto"), depths=seems)
    assert missed(made, true)[1] < 0.001


def test_a_subject_that_nobody_set_keeps_what_it_does_beside_the_camera():
    fields, still = exact("pan-left", "float"), exact("pan-left")
    made = as_asked(fields, MASK, asked("pan-left", "auto"))
    assert missed(made, fields)[1] < 0.002 < missed(made, still)[1]


def test_a_weak_move_that_comes_back_is_not_stretched():
    """It ends next to where it began: nothing tells how far it went."""
    there = exact("pan-left", size=0.05)
    back = replace(there, scene_flow=there.scene_flow * np.linspace(1, 0.01, 17)[:, None, None, None])
    weak = replace(asked("pan-left"), camera_strength=0.05)
    made = as_asked(back, np.zeros_like(MASK), weak)
    assert np.abs(made.scene_flow).max() < 1.5 * np.abs(there.scene_flow).max()


def test_what_the_model_misses_is_made_good_without_a_jump():
    """From a little too short to far too short, the scene's own size follows smoothly."""
    sizes = np.linspace(0.3, 0.8, 26)
    wish = replace(asked("pan-left"), camera_strength=0.8)
    made = [as_asked(exact("pan-left", size=size), MASK, wish).scene_flow[-1, :10, :, 0].mean() for size in sizes]
    full = exact("pan-left", size=0.8).scene_flow[-1, :10, :, 0].mean()
    assert np.abs(np.diff(made)).max() < 0.12 * abs(full)
    assert made[-1] == pytest.approx(full, rel=0.01)


def test_a_thing_at_the_border_comes_no_nearer_beyond_it():
    nearness = np.full(GRID, 0.3)
    nearness[:, 22:] = 1.5
    camera = Pinhole.over("dolly-out", ASPECT, GRID, PIVOT)
    most = np.abs(camera.scene_flow(np.ones(1), nearness)[0, :, -1]).max()
    assert most < 1.6 * np.abs(camera.scene_flow(np.ones(1), np.full(GRID, 1.5))[0, :, -1]).max()
