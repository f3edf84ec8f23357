"""The way of the product through the frame is part of the plan: air where it goes to, and a last check of the model."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from engine.media.fields import fit_to_canvas, share_that_keeps
from engine.media.framing import ASPECTS, MOVE_MARGINS, NOTHING, Framing, plan_framing
from engine.media.subject import Sides, Subject
from tests.engine.media.pictures import camera, make_fields

SIDES = ("left", "top", "right", "bottom")
GOES_TO = {"pan-left": "right", "pan-right": "left", "tilt-up": "bottom", "tilt-down": "top"}


def air(framing: Framing, box: tuple[float, ...]) -> dict[str, float]:
    """What lies between product and border on each side, in fractions of the window."""
    x0, y0, x1, y1 = framing.window
    width, height = x1 - x0, y1 - y0
    left, top, right, bottom = box
    return dict(
        zip(
            SIDES, ((left - x0) / width, (top - y0) / height, (x1 - right) / width, (y1 - bottom) / height), strict=True
        )
    )


@pytest.mark.parametrize("background", ["scene", "plain", "transparent"])
@pytest.mark.parametrize("format", ["9:16", "1:1", "16:9"])
@pytest.mark.parametrize("move", [*GOES_TO, "dolly-in"])
def test_there_is_air_on_the_side_that_the_product_goes_to(move: str, format: str, background: str) -> None:
    low, high = (400.0, 1000.0) if format == "16:9" else (200.0, 1300.0)
    box = (200.0, low, 1000.0, high)  # nearly as wide, or as high, as crops of the photo

    moved = plan_framing((1200, 1500), box, format, camera(move), background=background)
    still = plan_framing((1200, 1500), box, format, camera("static"), background=background)

    sides = SIDES if move == "dolly-in" else (GOES_TO[move],)
    goes = 0.12 * moved.strength_scale
    assert all(air(moved, box)[side] > goes - 1e-6 for side in sides)
    assert min(air(still, box)[side] for side in SIDES) < goes, "the control: a still camera needs none of it"


@pytest.mark.parametrize("move", [*GOES_TO, "dolly-in"])
def test_real_pixels_come_first_then_less_of_the_move_and_last_what_is_made_up(move: str) -> None:
    side, size = GOES_TO.get(move, "right"), (1600, 1600)

    def plan(room: float) -> Framing:
        """A product with `room` of the photo's side left where it goes to."""
        box = {"left": (room, 0.3, 0.6, 0.7), "right": (0.4, 0.3, 1 - room, 0.7), "top": (0.3, room, 0.7, 0.6),
               "bottom": (0.3, 0.4, 0.7, 1 - room)}[side]  # fmt: skip
        return plan_framing(size, tuple(1600 * end for end in box), "1:1", camera(move))

    enough, little, none = plan(0.17), plan(0.12), plan(0.02)

    assert enough.strength_scale == 1.0 and not enough.extended and not enough.notices
    assert 0.5 < little.strength_scale < 1.0 and not little.extended
    assert none.strength_scale == 0.5 and none.extended
    assert {notice.code for notice in none.notices} == {"photo_extended", "strength_reduced"}


def test_a_side_where_the_photo_cuts_the_product_needs_no_air() -> None:
    cut = plan_framing((900, 1600), (300.0, 500.0, 600.0, 1600.0), "9:16", camera("dolly-in"))
    whole = plan_framing((900, 1600), (300.0, 500.0, 600.0, 1570.0), "9:16", camera("dolly-in"))

    assert cut.strength_scale == 1.0 and not cut.extended and not cut.keeps.bottom and cut.keeps.top
    assert whole.strength_scale < 1.0 and whole.keeps.bottom, "the control"


@pytest.mark.parametrize(("motion", "side"), [("float", "top"), ("float", "bottom"), ("turn", "right")])
def test_what_the_product_does_itself_needs_air_too(motion: str, side: str) -> None:
    box = (0.0, 0.0, 500.0, 1000.0)
    box = {"right": (0.0, 300.0, 1000.0, 600.0)}.get(side, box)

    def plan(strength: float) -> float:
        asked = SimpleNamespace(motion=motion, strength=strength)
        return air(plan_framing((1000, 1000), box, "1:1", camera(), background="transparent", motion=asked), box)[side]

    assert plan(1.0) > plan(0.1) + 0.02


@pytest.mark.parametrize("move", MOVE_MARGINS)
@pytest.mark.parametrize("format", ASPECTS)
def test_a_roll_sweeps_more_than_the_product_and_all_moves_keep_it_in(format: str, move: str) -> None:
    box = (400.0, 400.0, 1200.0, 1200.0)
    framing = plan_framing((1600, 1600), box, format, camera(move), background="plain")

    assert framing.keeps == Sides(True, True, True, True) and min(air(framing, box).values()) > 0
    if move.startswith("roll"):
        (x0, _, x1, _), reach = framing.window, 400 * 1.12
        assert x0 < 800 - reach and x1 > 800 + reach


def turned(box: tuple[float, ...], framing: Framing) -> np.ndarray:
    """The corners of a box after a whole roll, both ways, in fractions of the window; 7.3 degrees at full strength."""
    x0, y0, x1, y1 = framing.window
    middle, size = complex(x0 + x1, y0 + y1) / 2, np.array([x1 - x0, y1 - y0])
    corners = np.array([complex(x, y) for x in box[::2] for y in box[1::2]])
    turns = np.exp(1j * np.arcsin(0.127 * framing.strength_scale) * np.array([[-1], [1]]))
    ends = (corners - middle) * turns + middle
    return (np.stack([ends.real, ends.imag], -1) - (x0, y0)) / size


OFF_CENTRE = [(680.0, 1300.0, 796.0, 1420.0), (20.0, 20.0, 200.0, 300.0), (800.0, 60.0, 890.0, 500.0),
              (30.0, 1420.0, 870.0, 1590.0)]  # fmt: skip


@pytest.mark.parametrize("background", ["scene", "plain", "transparent"])
@pytest.mark.parametrize("format", ASPECTS)
@pytest.mark.parametrize("box", OFF_CENTRE)
def test_a_roll_turns_about_the_middle_of_the_picture(box: tuple[float, ...], format: str, background: str) -> None:
    framing = plan_framing((900, 1600), box, format, camera("roll-left"), background=background)

    ends = turned(box, framing)
    assert ends.min() >= -1e-6 and ends.max() <= 1 + 1e-6
    assert "product_at_border" not in {notice.code for notice in framing.notices}


@pytest.mark.parametrize(("background", "most"), [("scene", 0.2), ("plain", 0.35)])
def test_a_roll_of_a_wide_product_at_the_end_of_the_photo_makes_little_up(background: str, most: float) -> None:
    """A larger window is better than one that follows the product down."""
    box = (10.0, 1200.0, 890.0, 1580.0)
    framing = plan_framing((900, 1600), box, "9:16", camera("roll-left"), background=background)

    ends, window = turned(box, framing), framing.window
    assert ends.min() >= -1e-6 and ends.max() <= 1 + 1e-6
    inside = (min(window[2], 900) - max(window[0], 0)) * (min(window[3], 1600) - max(window[1], 0))
    assert 1 - inside / ((window[2] - window[0]) * (window[3] - window[1])) < most


@pytest.mark.parametrize("background", ["scene", "plain"])
def test_a_roll_that_a_cut_side_keeps_from_its_product_is_told(background: str) -> None:
    """The window may not follow a product that the photo cuts below, nor get larger, which would cut more of it."""
    box = (10.0, 1200.0, 890.0, 1600.0)
    framing = plan_framing((900, 1600), box, "9:16", camera("roll-left"), background=background)

    assert framing.strength_scale == 0.5 and "product_at_border" in {notice.code for notice in framing.notices}
    assert 1450 < framing.window[3] <= 1600 and framing.window[0] <= 10 and framing.window[2] >= 890


def test_the_control_without_a_look_at_the_middle_a_roll_takes_the_product_out(monkeypatch) -> None:
    monkeypatch.setattr(Subject, "stays_in", lambda *window: True)
    for background, box in (("scene", OFF_CENTRE[0]), ("plain", OFF_CENTRE[1]), ("transparent", OFF_CENTRE[2])):
        ends = turned(box, plan_framing((900, 1600), box, "9:16", camera("roll-right"), background=background))
        assert ends.min() < -0.01 or ends.max() > 1.01


def test_a_roll_that_the_photo_has_no_room_for_gets_weaker_and_a_plain_background_goes_on_instead() -> None:
    box = OFF_CENTRE[0]
    scene, middle = (
        plan_framing((900, 1600), b, "9:16", camera("roll-left")) for b in (box, (400.0, 700.0, 516.0, 820.0))
    )
    assert 0.5 < scene.strength_scale < 1 and {notice.code for notice in scene.notices} == {"strength_reduced"}
    assert middle.strength_scale == 1 and not middle.notices, "the control"
    for background in ("plain", "transparent"):
        assert plan_framing((900, 1600), box, "9:16", camera("roll-left"), background=background).strength_scale == 1


# --- the last check, when the model has moved it ---

WINDOW = Framing((0, 0, 100, 100), (-50, -50, 150, 150), NOTHING, NOTHING, 1.0, False, keeps=Sides(1, 1, 1, 1))


def product(left: int, right: int) -> np.ndarray:
    mask = np.zeros((160, 90), np.uint8)
    mask[60:100, left:right] = 255
    return mask


def test_a_product_that_would_leave_the_window_makes_the_move_smaller() -> None:
    fields = make_fields("pan", amount=0.2)  # of the scene; the product goes 0.24 to the right

    fitted, factor = fit_to_canvas(fields, WINDOW, product(30, 75))  # 0.167 of the width is left

    assert factor == pytest.approx(0.167 / 0.24, abs=0.03)
    assert np.allclose(fitted.product_flow, fields.product_flow * factor)
    assert fit_to_canvas(fields, WINDOW)[1] == 1.0, "the control: nobody looks at the product"
    assert fit_to_canvas(fields, WINDOW, product(30, 60))[1] == 1.0, "the control: there is room"
    assert fit_to_canvas(fields, replace(WINDOW, keeps=Sides(1, 1, 0, 1)), product(30, 75))[1] == 1.0
    assert fit_to_canvas(fields, WINDOW, product(30, 90))[1] == 1.0, "it crosses that border in the photo already"


def test_the_last_check_leaves_half_of_the_move_too() -> None:
    fields = make_fields("pan", amount=0.2)
    half, factor = fit_to_canvas(fields, WINDOW, product(30, 88))
    assert factor == 0.5 and share_that_keeps(half.product_flow, product(30, 88), WINDOW) < 0.5, "it still leaves"
    assert fit_to_canvas(fields, replace(WINDOW, strength_scale=0.5), product(30, 88))[1] == 1.0
    fits, factor = fit_to_canvas(fields, WINDOW, product(30, 75))
    assert factor < 1 and share_that_keeps(fits.product_flow, product(30, 75), WINDOW) > 0.97, "the control"


def test_a_product_that_leaves_only_half_way_is_seen() -> None:
    fields = make_fields("pan", amount=0.2)
    back = fields.product_flow.copy()
    back[5:] = back[3::-1]  # there and back again: inside at the end
    returns = replace(fields, product_flow=back)
    assert not returns.product_flow[-1].any()
    assert fit_to_canvas(returns, WINDOW, product(30, 80))[1] < 1.0
