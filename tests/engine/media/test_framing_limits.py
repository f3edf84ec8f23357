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


def made_up(framing: Framing, size: tuple[int, int]) -> float:
    (x0, y0, x1, y1), (width, height) = framing.window, size
    inside = (min(x1, width) - max(x0, 0)) * (min(y1, height) - max(y0, 0))
    return 1 - inside / ((x1 - x0) * (y1 - y0))


def test_the_move_gets_smaller_before_more_than_a_quarter_of_the_picture_is_made_up() -> None:
    def plan(length: float, strength: float = 1.0) -> Framing:
        box = (500 - length / 2, 200.0, 500 + length / 2, 800.0)  # wider than any 9:16 window in the photo
        return plan_framing((1000, 1000), box, "9:16", camera("dolly-in", strength))

    little, more, most = plan(565), plan(600), plan(800)

    assert little.strength_scale > more.strength_scale > most.strength_scale == 0.5
    assert 0.24 < made_up(more, (1000, 1000)) <= 0.25 < made_up(most, (1000, 1000))
    for framing in (more, most):
        assert codes(framing) == {"photo_extended", "strength_reduced"}
    weak = plan(600, 0.5)
    assert weak.strength_scale == 1 and made_up(weak, (1000, 1000)) < 0.25, "the control: little is made up for this"
    assert codes(weak) == {"photo_extended"}


def test_a_cut_product_loses_more_only_after_the_move_was_made_smaller() -> None:
    size = (1200, 900)

    def lost(width: float, move: str) -> tuple[float, Framing]:
        framing = plan_framing(size, (0.0, 260.0, width, 900.0), "9:16", camera(move))  # cut left and at the bottom
        return framing.window[0] / width, framing

    share, framing = lost(640, "dolly-in")
    assert 0 < share < 0.03 and framing.strength_scale == 0.5
    assert codes(framing) == {"photo_extended", "product_cropped", "strength_reduced"}
    assert "product_cropped" not in codes(lost(600, "dolly-in")[1]), "the control: half the move is enough"
    assert lost(640, "static")[0] == 0 and codes(lost(640, "static")[1]) == {"photo_extended"}


def test_no_more_is_cropped_than_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its width, cut on the left, decides the window until its height does, which no crop makes less."""
    monkeypatch.setattr("engine.media.framing._MUCH_MADE_UP", 0.02)  # out of reach: 0.03 is the least
    framing = plan_framing((2000, 1000), (0.0, 5.0, 600.0, 995.0), "9:16", camera("static"))

    assert made_up(framing, (2000, 1000)) == pytest.approx(0.03, abs=0.002)
    assert 0 < framing.window[0] <= 0.075 * 600 + 1e-6 and "product_cropped" in codes(framing)
