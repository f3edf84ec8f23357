"""Motion between the key times, and within the canvas."""

from dataclasses import replace

import numpy as np
import pytest

from engine.media.fields import MotionFields, fit_to_canvas
from engine.media.framing import Framing, plan_framing
from engine.media.subject import NOTHING, Sides
from tests.engine.media.pictures import camera, make_fields

PLATE = np.full((4, 4, 3), 0.5, np.float32)


def wandering(keys: int = 9) -> MotionFields:
    flow = np.random.default_rng(1).normal(0, 0.02, (keys, 6, 4, 2)).cumsum(0).astype(np.float32)
    flow -= flow[0]
    return MotionFields(flow, flow * 2, np.zeros((keys, 6, 4), np.float32), PLATE)


def canvas(room: float, cut: Sides | None = None) -> Framing:
    return Framing((100, 100, 200, 200), (100 - 100 * room, 100 - 100 * room, 200 + 100 * room, 200 + 100 * room),
                   Sides(), cut or Sides(), 1.0, False)  # fmt: skip


def test_fields_pass_through_their_keys() -> None:
    fields = wandering()

    for key in range(9):
        assert np.allclose(fields.at(key / 8).scene, fields.scene_flow[key], atol=1e-6)
    assert not fields.at(0.0).product.any()


def test_speed_does_not_jump_at_a_key() -> None:
    fields, step = wandering(), 1e-3

    def speed_jump(at) -> float:
        before, here, after = at(0.5 - step), at(0.5), at(0.5 + step)
        return float(np.abs((after - here) - (here - before)).max() / step)

    def straight(u: float) -> np.ndarray:
        place = u * 8
        left = min(int(place), 7)
        return fields.scene_flow[left] * (left + 1 - place) + fields.scene_flow[left + 1] * (place - left)

    smooth, cornered = speed_jump(lambda u: fields.at(u).scene), speed_jump(straight)
    assert smooth < 0.05 * cornered


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"scene_flow": np.full((9, 6, 4, 2), np.nan)}, "not finite"),
        ({"light": np.ones((9, 6, 4))}, "zero at the first key"),
        ({"product_flow": np.zeros((9, 6, 5, 2))}, "product_flow is"),
        ({"plate": np.zeros((4, 4))}, "plate must be"),
    ],
)
def test_impossible_fields_are_refused(change: dict[str, np.ndarray], sentence: str) -> None:
    good = wandering()
    parts = {name: getattr(good, name) for name in ("scene_flow", "product_flow", "light", "plate")}

    with pytest.raises(ValueError, match=sentence):
        MotionFields(**{**parts, **change})


def test_fields_within_the_canvas_are_left_alone() -> None:
    fields = make_fields("pan", amount=0.1)

    fitted, factor = fit_to_canvas(fields, canvas(0.101))

    assert factor == 1.0 and fitted is fields


def test_fields_beyond_the_canvas_are_scaled_back_as_one() -> None:
    fields = make_fields("pan", amount=0.2)

    fitted, factor = fit_to_canvas(fields, canvas(0.15))

    assert factor == pytest.approx(0.75, abs=0.01)
    assert np.allclose(fitted.scene_flow, fields.scene_flow * factor)
    assert np.allclose(fitted.product_flow, fields.product_flow * factor)


def reach(flow: np.ndarray) -> float:
    """How far beyond the left of the window a clip looks, at cell centres."""
    centres = (np.arange(flow.shape[2]) + 0.5) / flow.shape[2]
    return float(-(centres + flow[..., 0]).min())


@pytest.mark.parametrize("announced", [1.0, 0.8, 0.5])
def test_a_move_is_never_less_than_half_of_what_was_asked(announced: float) -> None:
    fields = make_fields("pan", amount=0.6 * announced)

    fitted, factor = fit_to_canvas(fields, replace(canvas(0.1), strength_scale=announced))

    assert factor * announced == pytest.approx(0.5)
    away = fitted.scene_flow.shape[2] // 2
    assert np.allclose(fitted.scene_flow[:, :, -away:], factor * fields.scene_flow[:, :, -away:])  # as asked
    assert reach(fitted.scene_flow) < 0.1 < reach(factor * fields.scene_flow)  # held back near the border alone
    steps = np.diff(np.arange(18) / 18 + fitted.scene_flow[-1, 0, :, 0])
    assert steps.min() > 0 and np.abs(np.diff(steps)).max() < 0.04  # stretched smoothly, nothing doubled or torn


def test_a_zoom_is_measured_at_the_window_border_not_at_cell_centres() -> None:
    fields = make_fields("dolly-out", amount=0.1, grid=(4, 4))  # shows 0.1 beyond each side at the end

    assert fit_to_canvas(fields, canvas(0.0999))[1] < 1.0
    assert fit_to_canvas(fields, canvas(0.1001))[1] == 1.0


def test_the_product_is_held_back_only_where_it_runs_on_and_only_near_that_border() -> None:
    fields = make_fields("apart", amount=0.2)

    assert fit_to_canvas(fields, canvas(0.05)) == (fields, 1.0)
    assert fit_to_canvas(fields, canvas(0.05, Sides(right=True))) == (fields, 1.0)
    fitted, factor = fit_to_canvas(fields, canvas(0.05, Sides(left=True)))
    assert factor == 1.0 and reach(fitted.product_flow) < 0.05 < reach(fields.product_flow)
    assert np.allclose(fitted.product_flow[:, :, 9:], fields.product_flow[:, :, 9:])


MOVES = ("pan-left", "tilt-up", "dolly-out", "roll-left")


@pytest.mark.parametrize("move", ["static", *MOVES])
def test_a_product_that_the_photo_cuts_moves_as_asked_but_for_what_would_show_its_end(move: str) -> None:
    """Product motions ask for a little beyond the bottom, where the photo ends; what the margin has is given."""
    framing = plan_framing((900, 1600), (250, 700, 650, 1600), "9:16", camera(move, 0.6))
    product = np.zeros((9, 32, 18, 2), np.float32)
    product[..., 1] = np.linspace(0, 0.03, 9)[:, None, None]
    fields = MotionFields(np.zeros_like(product), product, np.zeros((9, 32, 18), np.float32), PLATE)

    assert framing.cut.bottom and framing.strength_scale == 1.0
    fitted, factor = fit_to_canvas(fields, framing)
    has_room = framing.real_room[1][1] > 0.05
    assert has_room == (move in ("dolly-out", "roll-left"))
    near = slice(None) if has_room else slice(0, -6)
    assert factor == 1.0 and np.allclose(fitted.product_flow[:, near], product[:, near], atol=0.004)
    lowest = 1 + 1.5 * fitted.product_flow[-1, -1, :, 1] - 0.5 * fitted.product_flow[-1, -2, :, 1]  # at the border
    assert (lowest <= 1 + framing.real_room[1][1] + 3 / 960).all()


def test_a_scene_shows_no_spare_that_is_made_up_but_what_was_told() -> None:
    """The floor goes farther than the margin: it is held back near the end of the photo. A plain ground runs on."""
    fields = make_fields("pan", amount=0.16)
    seen = {}
    for background in ("scene", "plain"):
        framing = plan_framing((1000, 900), (500, 300, 600, 500), "1:1", camera("pan-left"), background=background)
        framing = replace(framing, window=(100.0, 0.0, 1000.0, 900.0), canvas=(-71.0, 0, 1000, 900))
        framing = replace(framing, extend=framing.extend._replace(left=71.0), lacking=NOTHING)
        fitted, factor = fit_to_canvas(fields, framing)
        assert factor == 1.0
        seen[background] = reach(fitted.scene_flow)
    assert seen["scene"] < 100 / 900 < 0.12 < seen["plain"]
