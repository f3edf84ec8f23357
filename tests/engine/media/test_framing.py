"""Where the window lies: real pixels first, the product whole, borders never, and the user told."""

import numpy as np
import pytest

from engine.media.background import background_kind
from engine.media.framed import SPARE
from engine.media.framing import ASPECTS, MOVE_MARGINS, Framing, plan_framing
from engine.media.layers import build_layers
from engine.media.photo import Photo
from tests.engine.media.pictures import camera, make_shot

LANDSCAPE = (1600, 1000)
MIDDLE = (700.0, 400.0, 900.0, 700.0)


def codes(framing: Framing) -> set[str]:
    return {notice.code for notice in framing.notices}


def inside(box: tuple[float, ...], outer: tuple[float, ...]) -> bool:
    return (
        box[0] >= outer[0] - 1e-6
        and box[1] >= outer[1] - 1e-6
        and box[2] <= outer[2] + 1e-6
        and box[3] <= outer[3] + 1e-6
    )


def needed(framing: Framing, move: str) -> tuple[float, float, float, float]:
    """The window with what the move needs around it, without the spare."""
    (x0, y0, x1, y1), sides = framing.window, MOVE_MARGINS[move].scaled(framing.strength_scale)
    width, height = x1 - x0, y1 - y0
    return x0 - sides.left * width, y0 - sides.top * height, x1 + sides.right * width, y1 + sides.bottom * height


@pytest.mark.parametrize("bottom", [1100, 1600])
def test_there_is_spare_canvas_on_every_side_where_the_photo_cuts_the_product_too(bottom: int) -> None:
    framing = plan_framing((900, 1600), (300, 500, 600, bottom), "9:16", camera("dolly-in"))

    assert framing.extend == pytest.approx([SPARE * side for side in (900, 1600, 900, 1600)])
    assert not framing.extended and not framing.notices
    assert framing.cut.bottom == (bottom == 1600)


@pytest.mark.parametrize("format", ASPECTS)
@pytest.mark.parametrize("move", MOVE_MARGINS)
@pytest.mark.parametrize("size", [LANDSCAPE, (1000, 1600), (3000, 500), (200, 200)])
def test_a_centred_product_gets_its_window_and_its_margin_from_real_pixels(size, format: str, move: str) -> None:
    width, height = size
    box = (width / 2 - 35, height / 2 - 35, width / 2 + 35, height / 2 + 35)

    framing = plan_framing(size, box, format, camera(move))

    w = framing.window
    assert (w[2] - w[0]) / (w[3] - w[1]) == pytest.approx(ASPECTS[format])
    assert inside(needed(framing, move), (0, 0, *size)) and not framing.extended
    assert inside(box, w) and inside(w, framing.canvas)
    room = (*framing.room[0], *framing.room[1])
    assert all(has >= need - 1e-6 for has, need in zip(room, MOVE_MARGINS[move], strict=True))
    assert framing.strength_scale == 1.0 and not framing.notices


def test_the_crop_is_no_larger_than_the_move_needs() -> None:
    still = plan_framing(LANDSCAPE, MIDDLE, "1:1", camera("static")).window
    weak = plan_framing(LANDSCAPE, MIDDLE, "1:1", camera("dolly-out", 0.5)).window
    strong = plan_framing(LANDSCAPE, MIDDLE, "1:1", camera("dolly-out", 1.0)).window

    heights = [w[3] - w[1] for w in (still, weak, strong)]
    assert heights == pytest.approx([1000, 1000 / 1.12, 1000 / 1.24])


def test_the_window_follows_the_product() -> None:
    left = plan_framing(LANDSCAPE, (80, 400, 280, 700), "9:16", camera("static"))
    right = plan_framing(LANDSCAPE, (1320, 400, 1520, 700), "9:16", camera("static"))

    assert left.window[0] < 20 and right.window[2] > 1580


def test_a_tight_product_makes_the_move_smaller_and_says_so() -> None:
    framing = plan_framing((1000, 1000), (90, 300, 500, 700), "1:1", camera("pan-left"))

    assert 0.5 <= framing.strength_scale < 1.0 and codes(framing) == {"strength_reduced"}
    assert inside(needed(framing, "pan-left"), (0, 0, 1000, 1000)) and inside((90, 300, 500, 700), framing.window)


def test_beyond_the_photo_is_the_last_resort() -> None:
    framing = plan_framing((1000, 1000), (10, 10, 990, 990), "1:1", camera("dolly-out"))

    assert framing.strength_scale == 0.5 and codes(framing) == {"photo_extended", "strength_reduced"}
    assert inside((10, 10, 990, 990), framing.window) and framing.extended and not framing.continued


def test_a_product_that_just_fits_needs_no_air_from_beyond_the_photo() -> None:
    framing = plan_framing((1000, 1000), (10, 10, 990, 990), "1:1", camera("static"))

    assert framing.window == pytest.approx((0, 0, 1000, 1000)) and not framing.notices


@pytest.mark.parametrize("move", MOVE_MARGINS)
@pytest.mark.parametrize(("size", "format"), [((3000, 4000), "16:9"), ((4000, 3000), "9:16"), ((3000, 500), "9:16")])
def test_a_product_that_no_crop_holds_is_shown_whole_and_the_photo_goes_on(size, format: str, move: str) -> None:
    (width, height), aspect = size, ASPECTS[format]
    across, down = min(width, height * aspect), min(height, width / aspect)  # of the largest crop
    lengths = (across / 3, 1.02 * down) if width < height else (1.02 * across, down / 3)
    box = tuple(side / 2 + end * length / 2 for end in (-1, 1) for side, length in zip(size, lengths, strict=True))

    framing = plan_framing(size, box, format, camera(move))

    assert inside(box, framing.window) and framing.strength_scale >= 0.5
    assert codes(framing) == {"photo_extended"} | ({"strength_reduced"} if framing.strength_scale < 1 else set())
    assert made_up(framing, size) < 0.25
    assert framing.extended and not framing.continued
    assert inside(needed(framing, move), framing.canvas)


@pytest.mark.parametrize("background", ["scene", "plain"])
@pytest.mark.parametrize("cut_low", [200.0, 0.0])
def test_a_plain_ground_shows_a_product_whole_that_the_photo_does_not_cut_on_both_sides(background, cut_low) -> None:
    box = (cut_low, 100.0, 1000.0, 1500.0)

    framing = plan_framing((1000, 1600), box, "16:9", camera("static"), background=background)

    said = "background_extended" if cut_low and background == "plain" else "product_cropped"
    assert codes(framing) == {said}
    if said == "background_extended":
        assert inside(box, framing.window) and framing.window[2] == pytest.approx(1000)
    else:
        assert not framing.extended


def made_up(framing: Framing, size: tuple[int, int]) -> float:
    (x0, y0, x1, y1), (width, height) = framing.window, size
    inside = (min(x1, width) - max(x0, 0)) * (min(y1, height) - max(y0, 0))
    return 1 - inside / ((x1 - x0) * (y1 - y0))


def test_a_product_that_the_photo_cuts_is_cut_a_little_more_before_much_is_made_up() -> None:
    size, box = (1200, 900), (0.0, 299.0, 600.0, 900.0)  # cut on the left and at the bottom
    cut = plan_framing(size, box, "9:16", camera("static"))
    whole = plan_framing(size, (50.0, 299.0, 650.0, 850.0), "9:16", camera("static"))

    assert codes(cut) == {"photo_extended", "product_cropped"} and made_up(cut, size) <= 0.08 < made_up(whole, size)
    assert 0 < cut.window[0] < 0.15 * 600 and cut.window[2] >= 600  # on the side that is cut, and on no other
    assert inside((50, 299, 650, 850), whole.window) and codes(whole) == {"photo_extended"}, "the control: not cut"


@pytest.mark.parametrize("cut", [False, True])
def test_how_much_of_the_picture_is_made_up_is_told(cut: bool) -> None:
    box = (0.0 if cut else 10.0, 5.0, 140.0, 195.0)
    framing = plan_framing((200, 200), box, "9:16", camera("static"))
    told = next(notice.message for notice in framing.notices if notice.code == "photo_extended")
    assert f"That is {round(100 * made_up(framing, (200, 200)))} % of the picture." in told
    little = plan_framing((1000, 1000), (217.5, 300, 782.5, 700), "9:16", camera("static"))
    assert little.extended
    assert "% of the picture" not in "".join(notice.message for notice in little.notices if "photo" in notice.code)


@pytest.mark.parametrize("background", ["scene", "plain"])
@pytest.mark.parametrize("move", ["dolly-out", "tilt-down", "roll-left", "auto"])
def test_a_move_at_a_cut_side_shows_real_pixels_of_the_product(background, move: str) -> None:
    framing = plan_framing((900, 1600), (250, 700, 650, 1600), "9:16", camera(move), background=background)

    bottom = framing.window[3] + MOVE_MARGINS[move].bottom * (framing.window[3] - framing.window[1])
    assert framing.strength_scale == 1.0 and bottom <= 1600 + 1e-6
    assert framing.window[1] < 700 and framing.canvas[3] > 1600


def test_specks_of_a_mask_do_not_decide_the_window() -> None:
    mask = np.zeros((1000, 1600), np.uint8)
    mask[400:700, 700:900] = 255
    clean = plan_framing(LANDSCAPE, mask, "9:16", camera("pan-left"))
    mask[2:10, 2:10] = 255

    assert plan_framing(LANDSCAPE, mask, "9:16", camera("pan-left")) == clean
    mask[0:60, 0:60] = 255
    assert plan_framing(LANDSCAPE, mask, "9:16", camera("pan-left")) != clean


def test_a_move_left_to_the_model_gets_its_room_whatever_strength_the_form_shows() -> None:
    weak, strong = (plan_framing(LANDSCAPE, MIDDLE, "1:1", camera("auto", strength)) for strength in (0.1, 1.0))

    assert weak == strong


@pytest.mark.parametrize("background", ["plain", "transparent"])
def test_a_plain_background_is_continued_instead_of_cropped(background) -> None:
    box = (100.0, 100.0, 1500.0, 900.0)

    framing = plan_framing(LANDSCAPE, box, "9:16", camera("orbit-left"), background=background)

    assert inside(box, framing.window) and framing.continued and framing.extended
    assert framing.strength_scale == 1.0 and codes(framing) == {"background_extended"}


def test_a_plain_photo_of_the_right_shape_is_not_cropped_for_the_move() -> None:
    framing = plan_framing((900, 1600), (300, 500, 600, 1100), "9:16", camera("dolly-out"), background="plain")

    assert framing.window == pytest.approx((0, 0, 900, 1600))
    assert framing.lacking.left == pytest.approx(0.12 * 900)
    assert framing.extend.left == pytest.approx((0.12 + SPARE) * 900)


def test_a_side_that_cuts_the_product_is_never_uncovered() -> None:
    mask = np.zeros((1000, 1600), np.uint8)
    mask[300:, 200:1400] = 255  # a person, cut at the bottom

    framing = plan_framing(LANDSCAPE, mask, "9:16", camera("static"), background="plain")

    assert framing.cut.bottom and not framing.cut.left
    assert framing.window[3] <= 1000 + 1e-6 and framing.window[1] < 0


def test_without_a_product_the_middle_is_taken() -> None:
    framing = plan_framing(LANDSCAPE, None, "1:1", camera("static"))

    assert framing.window == pytest.approx((300, 0, 1300, 1000))


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="mask is 8 x 9"):
        plan_framing(LANDSCAPE, np.zeros((9, 8), np.uint8), "1:1", camera())


def test_backgrounds_are_told_apart() -> None:
    plain, scene = make_shot(plain=True), make_shot()
    cut_out = Photo(plain.photo.rgb, plain.alpha, (1, 2, 3))

    assert background_kind(plain.photo, plain.alpha) == "plain"
    assert background_kind(scene.photo, scene.alpha) == "scene"
    assert background_kind(cut_out, None) == "transparent"


def test_small_islands_far_aside_do_not_make_a_backdrop_around_the_photo() -> None:
    mask = np.zeros((2000, 3000), np.uint8)
    mask[600:1500, 1200:1800] = 255
    whole = plan_framing((3000, 2000), mask, "9:16", camera("static"))
    mask[300:420, 200:400] = 255  # a twentieth of the product: an automatic mask's mistake
    framing = plan_framing((3000, 2000), mask, "9:16", camera("static"))
    assert not framing.extended and framing.window == pytest.approx(whole.window)
    assert codes(framing) == {"part_left_out"} and not codes(whole)
    for background in ("plain", "transparent"):  # what is continued for nothing is shown whole
        grown = plan_framing((3000, 2000), mask, "9:16", camera("static"), background=background)
        assert grown.window[0] <= 200 and grown.window[2] >= 1800 and "part_left_out" not in codes(grown)
    mask[300:1200, 200:700] = 255  # another product of its kind counts, where more than a little is not made up for it
    square = plan_framing((3000, 2000), mask, "1:1", camera("static"))
    assert square.window[0] <= 200 and square.window[2] >= 1800 and not square.extended


def test_an_empty_mask_is_told_and_none_at_all_is_not() -> None:
    mask = np.zeros((200, 300), np.uint8)
    assert codes(plan_framing((300, 200), mask, "1:1", camera("static"))) == {"no_product"}
    assert not plan_framing((300, 200), None, "1:1", camera("static")).notices
    mask[80:120, 100:200] = 255
    assert "no_product" not in [
        notice.code for notice in plan_framing((300, 200), mask, "1:1", camera("static")).notices
    ]


def test_a_needle_of_a_photo_is_framed_and_taken_apart() -> None:
    mask = np.zeros((20, 30_000), np.uint8)
    mask[5:15, 6000:24_000] = 255
    framing = plan_framing((30_000, 20), mask, "9:16", camera("orbit-left"))
    layers = build_layers(Photo(np.full((20, 30_000, 3), 90, np.uint8)), mask, framing, (270, 480))
    assert layers.window_photo().shape == (480, 270, 3) and layers.window_mask().any()
