"""What lies beyond the photo: no seam, no black, no streaks; the product goes on where it is cut, and only there."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from engine.media import continuation
from engine.media.compose import render_frame
from engine.media.continuation import continue_product, continue_softly
from engine.media.framing import plan_framing
from engine.media.layers import build_layers
from engine.media.photo import open_photo
from engine.media.subject import Sides
from tests.engine.media.pictures import camera, make_fields, make_shot, psnr

PADS = (120, 90, 70, 40)


def texture(image: np.ndarray, axis: int) -> float:
    """Mean change from pixel to pixel along an axis."""
    return float(np.abs(np.diff(image.astype(int), axis=axis)).mean())


def shapes(image: np.ndarray) -> float:
    """Contrast of what is larger than grain, and smaller than the picture's light."""
    part = image.astype(np.float32)
    return float((cv2.GaussianBlur(part, (0, 0), 2) - cv2.GaussianBlur(part, (0, 0), 8)).std())


def scene() -> np.ndarray:
    return make_shot(240, 300).background


def test_a_scene_goes_on_without_a_seam_and_soon_out_of_focus() -> None:
    photo = scene()
    wide = continue_softly(photo, PADS, 240)
    top, _, left, _ = PADS
    height, width = photo.shape[:2]

    assert (wide[top : top + height, left : left + width] == photo).all()
    seam = np.abs(wide[top].astype(int) - wide[top - 1])[left : left + width].mean()
    assert seam <= 1.2 * texture(photo[:20], 0)
    near, far = wide[top - 8 : top, left : left + width], wide[: top // 2, left : left + width]
    assert texture(near, 1) > 0.5 * texture(photo[:60], 1)
    assert shapes(far) < 0.25 * shapes(photo[:60]) < 0.25 * shapes(cv2.copyMakeBorder(photo, *PADS, cv2.BORDER_REFLECT))
    assert abs(far.mean() - photo[:5].mean()) < 6  # neither darker nor brighter than the border


def sky() -> np.ndarray:
    """Bright at the horizon, dark above, with a camera's noise."""
    level = 40 + 120 * (np.arange(240, dtype=np.float32) / 239)[:, None, None]
    noise = np.random.default_rng(0).normal(0, 2, (240, 300, 3))
    return np.clip(level + noise, 0, 255).astype(np.uint8)


def test_a_gradient_does_not_turn_around_beyond_the_border() -> None:
    """The control is the mirror image, whose sky grows bright again."""
    levels = {
        name: wide[: PADS[0], PADS[2] : -PADS[3]].mean((1, 2))
        for name, wide in (
            ("ours", continue_softly(sky(), PADS, 240)),
            ("mirror", cv2.copyMakeBorder(sky(), *PADS, cv2.BORDER_REFLECT_101)),
        )
    }
    assert np.ptp(levels["ours"]) < 10 < 50 < np.ptp(levels["mirror"])


def test_what_runs_on_has_the_grain_of_the_photo() -> None:
    def grain(image: np.ndarray) -> float:
        part = image.astype(np.float32)
        return float((part - cv2.GaussianBlur(part, (0, 0), 1.6)).std())

    photo = sky()
    wide = continue_softly(photo, PADS, 240)
    smooth = cv2.GaussianBlur(wide, (0, 0), 3)

    assert 0.7 < grain(wide[:80]) / grain(photo[:40]) < 1.3
    assert grain(smooth[:80]) / grain(photo[:40]) < 0.3  # the control: a blur has none
    assert (continue_softly(photo, PADS, 240) == wide).all()  # the same every time
    clean = continue_softly(np.full((240, 300, 3), 90, np.uint8), PADS, 240)
    assert (clean == 90).all()  # none where the photo has none


def test_nothing_smears_outwards() -> None:
    """The control repeats the border's pixels, which draws streaks: along them hardly anything changes."""
    photo = scene()
    soft, streaks = (
        continue_softly(photo, PADS, 240)[90:118],
        cv2.copyMakeBorder(photo, *PADS, cv2.BORDER_REPLICATE)[90:118],
    )

    def streaky(part: np.ndarray) -> float:
        return texture(part, 1) / max(texture(part, 0), 1e-6)

    assert streaky(soft) < 3 < streaky(streaks)


def test_a_thing_at_the_border_does_not_become_a_column(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control spreads the border's colours less."""
    photo = np.full((240, 300, 3), 160, np.uint8)
    photo[:80, 180:215] = 30

    def column() -> float:
        """How much darker it is above the bar than beside it, half a photo away."""
        far = continue_softly(photo, PADS, 240)[: PADS[0] // 2, PADS[2] : -PADS[3]].astype(np.float32)
        return float(np.ptp(far.mean((0, 2))))

    assert column() < 23
    for name, less in {"_LOWS": 0.02, "_SPREAD_GROWTH": 0.45, "_MOST_SPREAD": 0.2}.items():
        monkeypatch.setattr(continuation, name, less)
    assert column() > 40


def test_nothing_mirrored_is_left_a_little_beyond_the_border(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar across the photo near its end must not show twice. The control fades it ten times as slowly."""
    photo = np.full((240, 300, 3), 160, np.uint8)
    photo[8:16] = 20

    def twin() -> float:
        rows = continue_softly(photo, PADS, 240)[: PADS[0], 120:200].astype(np.float32).mean((1, 2))
        return float(rows[PADS[0] - 30 : PADS[0] - 22].mean() - rows[PADS[0] - 16 : PADS[0] - 8].min())

    assert twin() < 25
    monkeypatch.setattr(continuation, "_MIRRORED", 0.3)
    assert twin() > 50


def test_a_product_goes_on_where_the_photo_cuts_it_and_nowhere_else() -> None:
    alpha = np.zeros((40, 30), np.uint8)
    alpha[10:, 8:] = 255
    colours = np.dstack([alpha // 2] * 3)
    colours[36:38, 8:] = 9  # letters, which must not stand upside down

    product, wide = continue_product(colours, alpha, (5, 6, 4, 3), Sides(bottom=True))

    assert (wide[45:, 12:34] == 255).all() and (product[45:, 12:34] == 127).all()
    assert not wide[:5].any() and not wide[:, :4].any() and not wide[:, 34:].any()


def cut_at_the_bottom() -> tuple:
    shot = make_shot(450, 800, hairs=0)
    keep = np.s_[:480]  # through the product's middle
    photo = replace(shot.photo, rgb=np.ascontiguousarray(shot.photo.rgb[keep]))
    return photo, np.ascontiguousarray(shot.alpha[keep])


@pytest.mark.parametrize("format", ["9:16", "1:1", "16:9"])
def test_a_cut_product_that_rises_shows_no_gap_below(format: str) -> None:
    photo, mask = cut_at_the_bottom()
    framing = plan_framing(photo.size, mask, format, camera("static"))
    size = {"9:16": (270, 480), "1:1": (360, 360), "16:9": (480, 270)}[format]
    layers = build_layers(photo, mask, framing, size)
    still = make_fields("still")
    rises = still.product_flow.copy()
    rises[..., 1] = 0.05 * np.linspace(0, 1, len(rises))[:, None, None]
    rising = replace(still, product_flow=rises)

    last = render_frame(layers, rising, 1.0)[-3:].astype(int)
    inside = cv2.erode(layers.window_mask()[-3:], np.ones((1, 15), np.uint8)) == 255

    def red(frame: np.ndarray) -> float:
        return float((frame[..., 0] - frame[..., 1] > 60)[inside].mean())

    assert framing.cut.bottom and inside.sum() > 50
    assert red(last) > 0.6  # all but its white letters
    ends = replace(layers, alpha=layers.alpha.copy())
    ends.alpha[round(layers.origin[1]) + size[1] :] = 0
    assert red(render_frame(ends, rising, 1.0)[-3:].astype(int)) < 0.3


def test_behind_a_cut_out_product_is_its_backdrop_whatever_the_model_says(tmp_path) -> None:
    shot = make_shot()
    Image.fromarray(np.dstack([shot.product, shot.alpha])).save(tmp_path / "cut-out.png")
    photo = open_photo(tmp_path / "cut-out.png")
    framing = plan_framing(photo.size, photo.alpha, "9:16", camera("static"), background="transparent")
    layers = build_layers(photo, photo.alpha, framing, (270, 480))
    wrong = replace(make_fields("apart", amount=0.5), plate=np.full((16, 9, 3), 0.1, np.float32))

    away = render_frame(layers, wrong, 1.0)[:240, :100]  # below is its shadow

    assert psnr(away, np.broadcast_to(photo.backdrop, away.shape)) > 45
    assert psnr(render_frame(layers, wrong, 0.0), layers.window_photo()) > 45
