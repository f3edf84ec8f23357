"""Where not everything fits: what is given up, in which order, and that it is told."""

from types import SimpleNamespace

import numpy as np
import pytest

from engine.media.framing import Framing, plan_framing
from engine.media.framing_notices import softness
from engine.media.islands import Box, Islands
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


def test_a_plain_ground_goes_on_behind_a_product_that_is_cropped_too() -> None:
    box = (0.0, 290.0, 1000.0, 1310.0)
    plain, scene = (plan_framing(TALL, box, "1:1", camera(), background=kind) for kind in ("plain", "scene"))
    assert codes(plain) == codes(scene) == {"product_cropped"}
    assert plain.continued and plain.planned_room == plain.room, "all that is around it may be shown"
    assert not scene.continued and scene.planned_room[0][0] < scene.room[0][0], "the control: no spare of a scene"


def test_the_islands_of_a_mask_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.zeros((TALL[1], TALL[0]), np.uint8)
    mask[290:1310] = 255
    looked: list[Islands] = []

    def islands(mask: np.ndarray) -> Islands:
        looked.append(Islands(mask))
        return looked[-1]

    monkeypatch.setattr("engine.media.framing.Islands", islands)
    framing = plan_framing(TALL, mask, "1:1", camera())
    (cropped,) = (notice for notice in framing.notices if notice.code == "product_cropped")
    assert "4:5" in cropped.message, "the other formats were tried"
    assert len(looked) == 1


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


def test_the_move_gets_smaller_before_more_than_a_little_of_the_picture_is_made_up() -> None:
    def plan(length: float, strength: float = 1.0) -> Framing:
        box = (500 - length / 2, 200.0, 500 + length / 2, 800.0)  # wider than any 9:16 window in the photo
        return plan_framing((1000, 1000), box, "9:16", camera("dolly-in", strength))

    little, more, most = plan(565, 0.4), plan(572, 0.4), plan(600)

    assert 1 > little.strength_scale > more.strength_scale > most.strength_scale == 0.5
    assert 0.07 < made_up(more, (1000, 1000)) <= 0.08 < made_up(most, (1000, 1000)) < 0.25
    for framing in (more, most):
        assert codes(framing) == {"photo_extended", "strength_reduced"}
    weak = plan(565, 0.2)
    assert weak.strength_scale == 1 and made_up(weak, (1000, 1000)) < 0.08, "the control: little is made up for this"
    assert codes(weak) == {"photo_extended"}


def test_air_is_given_up_before_the_move_gets_smaller() -> None:
    box = (500 - 278.0, 200.0, 500 + 278.0, 800.0)  # a 9:16 window in the photo is 562 wide: 3 px on each side
    framing = plan_framing((1000, 1000), box, "9:16", camera("static"))
    assert not framing.notices and holds(framing, box) and made_up(framing, (1000, 1000)) == 0
    tilted = plan_framing((1000, 1000), box, "9:16", camera("pan-left", 0.05))
    assert made_up(tilted, (1000, 1000)) < 0.08


def test_a_cut_product_loses_more_only_after_the_move_was_made_smaller() -> None:
    size = (1200, 900)

    def lost(width: float, move: str) -> tuple[float, Framing]:
        framing = plan_framing(size, (0.0, 260.0, width, 900.0), "9:16", camera(move))  # cut left and at the bottom
        return framing.window[0] / width, framing

    share, framing = lost(540, "dolly-in")
    assert 0 < share < 0.1 and framing.strength_scale == 0.5 and made_up(framing, size) <= 0.08
    assert codes(framing) == {"photo_extended", "product_cropped", "strength_reduced"}
    assert "product_cropped" not in codes(lost(500, "dolly-in")[1]), "the control: half the move is enough"
    assert lost(540, "static")[0] == 0 and codes(lost(540, "static")[1]) == {"photo_extended"}


def test_no_more_is_cropped_than_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its width, cut on the left, decides the window until its height does, which no crop makes less."""
    monkeypatch.setattr("engine.media.framing._LITTLE_MADE_UP", 0.0005)  # out of reach: 0.0016 is the least
    framing = plan_framing((2000, 1000), (0.0, 4.2, 600.0, 995.8), "9:16", camera("static"))

    assert made_up(framing, (2000, 1000)) == pytest.approx(0.0016, abs=0.0015)
    assert 0 < framing.window[0] <= 0.1 * 600 and "product_cropped" in codes(framing)


@pytest.mark.parametrize("move", ["static", "dolly-in", "pan-left", "tilt-up", "orbit-left", "roll-left", "dolly-out"])
def test_what_the_photo_cuts_and_cannot_fit_is_cropped_rather_than_a_stamp_in_a_backdrop(move: str) -> None:
    whole = plan_framing((3000, 1000), (900.0, 200.0, 2100.0, 800.0), "9:16", camera(move))
    assert "product_cropped" not in {notice.code for notice in whole.notices}, "the control: the photo has it whole"
    size, box = (3000, 1000), (0.0, 200.0, 1500.0, 800.0)
    framing = plan_framing(size, box, "9:16", camera(move))

    assert made_up(framing, size) == 0 and not framing.extended and framing.strength_scale == 1
    assert [notice.code for notice in framing.notices] == ["product_cropped"]
    assert "16:9 shows all" in framing.notices[0].message and "photo itself" in framing.notices[0].message
    everywhere = plan_framing((3000, 1000), (0.0, 0.0, 3000.0, 1000.0), "9:16", camera(move))
    assert [notice.code for notice in everywhere.notices] == ["product_cropped"]
    assert "No format" in everywhere.notices[0].message and "photo itself" in everywhere.notices[0].message


def test_islands_are_given_up_by_size_and_the_main_one_stays() -> None:
    def plan(*islands: tuple[int, int, int, int], move: str = "static") -> Framing:
        mask = np.zeros((1000, 3000), np.uint8)
        for x0, y0, x1, y1 in islands:
            mask[y0:y1, x0:x1] = 255
        return plan_framing((3000, 1000), mask, "9:16", camera(move))

    main, second, third = (1300, 200, 1700, 800), (600, 300, 900, 700), (2200, 400, 2400, 600)
    framing = plan(main, second, third)
    assert holds(framing, tuple(map(float, main))) and made_up(framing, (3000, 1000)) == 0
    assert codes(framing) == {"part_left_out"}
    near = plan(main, (1720, 300, 1830, 800), third)  # is held with the main one, and stays
    assert holds(near, (1300.0, 200.0, 1830.0, 800.0)) and codes(near) == {"part_left_out"}
    twins = plan((300, 200, 700, 800), (1250, 210, 1640, 800))  # none is most: the one nearest to the middle
    assert holds(twins, (1250.0, 210.0, 1640.0, 800.0)) and made_up(twins, (3000, 1000)) == 0
    both = plan((1200, 200, 1480, 800), (1520, 210, 1790, 800))  # a little made up shows both
    assert holds(both, (1200.0, 200.0, 1790.0, 800.0)) and "part_left_out" not in codes(both)


@pytest.mark.parametrize(("move", "side"), [("pan-left", 0), ("tilt-up", 1), ("pan-right", 2), ("tilt-down", 3)])
def test_the_window_keeps_away_from_where_the_camera_goes(move: str, side: int) -> None:
    """A border travels farther than the margin; where the photo has more, it is used."""
    box = {"pan-left": (250, 400, 450, 600), "pan-right": (1150, 400, 1350, 600)}.get(move, (500, 700, 700, 900))
    size = (1600, 1000) if "pan" in move else (1200, 1600)
    box = (500, 1180, 700, 1380) if move == "tilt-down" else (500, 220, 700, 420) if move == "tilt-up" else box
    format = "9:16" if "pan" in move else "16:9"
    framing = plan_framing(size, tuple(map(float, box)), format, camera(move))
    (x0, y0, x1, y1), (width, height) = framing.window, size
    free = (x0 / (x1 - x0), y0 / (y1 - y0), (width - x1) / (x1 - x0), (height - y1) / (y1 - y0))[side]
    assert free > 0.164 and framing.strength_scale == 1 and not framing.notices


@pytest.mark.parametrize("background", ["plain", "scene"])
def test_a_window_keeps_away_from_a_side_that_cuts_the_product(background: str) -> None:
    framing = plan_framing((1600, 1600), (600, 1100, 1000, 1600), "16:9", camera("tilt-down"), background=background)
    below = (1600 - framing.window[3]) / (framing.window[3] - framing.window[1])
    assert below > 0.147


def test_on_a_plain_ground_there_is_room_for_the_shadow_where_the_photo_has_it() -> None:
    def below(background: str, bottom: float) -> float:
        box = (800.0, 200.0, 1200.0, bottom)
        framing = plan_framing((2000, 2000), box, "16:9", camera("static"), background=background)
        return (framing.window[3] - bottom) / (bottom - 200)

    assert below("plain", 1600) > 0.09 > 0.03 > below("transparent", 1600)
    assert below("plain", 1990) < 0.03, "the control: the photo ends there"


def test_a_small_photo_is_told_to_look_soft() -> None:
    assert not softness(600, 1080)
    (notice,) = softness(200, 1080)
    assert notice.code == "photo_small" and "5.4 times" in notice.message
