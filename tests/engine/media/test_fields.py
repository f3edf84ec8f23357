"""Motion between the key times, and within the canvas."""

import numpy as np
import pytest

from engine.media.fields import MotionFields, fit_to_canvas
from engine.media.framing import Framing, Sides
from tests.engine.media.pictures import make_fields

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

    fitted, factor = fit_to_canvas(fields, canvas(0.05))

    assert factor == pytest.approx(0.25, abs=0.01)
    assert np.allclose(fitted.scene_flow, fields.scene_flow * factor)
    assert np.allclose(fitted.product_flow, fields.product_flow * factor)


def test_a_zoom_is_measured_at_the_window_border_not_at_cell_centres() -> None:
    fields = make_fields("dolly-out", amount=0.1, grid=(4, 4))  # shows 0.1 beyond each side at the end

    assert fit_to_canvas(fields, canvas(0.0999))[1] < 1.0
    assert fit_to_canvas(fields, canvas(0.1001))[1] == 1.0


def test_the_product_is_bound_only_where_the_photo_cuts_it() -> None:
    fields = make_fields("apart", amount=0.2)

    assert fit_to_canvas(fields, canvas(0.05))[1] == 1.0
    assert fit_to_canvas(fields, canvas(0.05, Sides(left=True)))[1] == pytest.approx(0.25, abs=0.01)
    assert fit_to_canvas(fields, canvas(0.05, Sides(right=True)))[1] == 1.0
