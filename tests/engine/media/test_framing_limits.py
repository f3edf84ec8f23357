"""Where not everything fits: what is given up, in which order, and that it is told."""

from types import SimpleNamespace

import pytest

from engine.media.framing import Framing, plan_framing
from engine.media.subject import Box
from tests.engine.media.pictures import camera

TALL = (1000, 1600)


def codes(framing: Framing) -> set[str]:
    return {notice.code for notice in framing.notices}


def holds(framing: Framing, box: Box) -> bool:
    (x0, y0, x1, y1), (left, top, right, bottom) = framing.window, box
    return bool(left >= x0 - 1e-6 and top >= y0 - 1e-6 and right <= x1 + 1e-6 and bottom <= y1 + 1e-6)


@pytest.mark.parametrize(
    ("move", "background"),
    [("roll-left", "scene")] + [(m, b) for m in ("dolly-in", "tilt-up", "tilt-down") for b in ("scene", "plain")],
)
def test_no_window_reaches_past_a_product_that_the_photo_cuts_on_two_sides(move: str, background: str) -> None:
    cut, whole = (0.0, 310.0, 1000.0, 1290.0), (10.0, 310.0, 990.0, 1290.0)
    framing = plan_framing(TALL, cut, "1:1", camera(move), background=background)

    assert holds(framing, cut) and framing.window[0] >= 0 and framing.window[2] <= 1000
    assert framing.strength_scale == 0.5 and codes(framing) - {"background_extended", "photo_extended"} == {
        "strength_reduced",
        "product_at_border",
    }
    control = plan_framing(TALL, whole, "1:1", camera(move), background=background)
    assert control.window[2] - control.window[0] > 1000, "the control: one that is not cut gets its air from beyond"
    assert "product_at_border" not in codes(control)


@pytest.mark.parametrize("background", ["scene", "plain"])
def test_a_product_that_fits_in_is_not_called_cropped_for_the_sake_of_the_move(background: str) -> None:
    def plan(height: float, move: str) -> Framing:
        box = (0.0, 800 - height / 2, 1000.0, 800 + height / 2)
        return plan_framing(TALL, box, "1:1", camera(move), background=background)

    assert codes(plan(700, "dolly-in")) == set()
    less = plan(800, "dolly-in")
    assert 0.5 < less.strength_scale < 1 and codes(less) == {"strength_reduced"}
    still = plan(990, "static")
    assert still.strength_scale == 1 and codes(still) == set() and still.window == pytest.approx((0, 300, 1000, 1300))
    assert codes(plan(1020, "dolly-in")) == {"product_cropped"}, "the control: this one is higher than any window"


def test_a_way_that_no_window_holds_leaves_the_product_in_the_first_frame() -> None:
    for move in ("tilt-up", "tilt-down"):
        framing = plan_framing(TALL, (0.0, 350.0, 1000.0, 1330.0), "1:1", camera(move), background="plain")
        assert "product_at_border" in codes(framing) and holds(framing, (0, 350, 1000, 1330))


@pytest.mark.parametrize(("right", "leaves"), [(1580.0, True), (1400.0, False)])
def test_a_turn_before_a_still_camera_is_not_let_out_of_the_photo(right: float, leaves: bool) -> None:
    turn = SimpleNamespace(motion="turn", strength=1.0)
    framing = plan_framing((1600, 1600), (600, 400, right, 1200), "1:1", camera("static"), motion=turn)

    assert framing.window[2] >= right + 0.07 * (right - 600) - 1e-6
    assert codes(framing) == ({"photo_extended"} if leaves else set())
