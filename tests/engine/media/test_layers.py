"""What the scene keeps beside the product once it is taken out: no contact shadow."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from engine.media.compose import render_frame
from engine.media.fields import MotionFields
from engine.media.framing import plan_framing
from engine.media.layers import build_layers
from engine.media.photo import Photo
from tests.engine.media.pictures import camera

SIZE = (270, 480)
FOOT = 300  # row at which the product stands


def standing(line: int, level: int = 150) -> tuple[Photo, np.ndarray]:
    """A product on a table, with a dark line of some pixels under it."""
    rgb = np.full((480, 270, 3), level, np.uint8)
    mask = np.zeros((480, 270), np.uint8)
    mask[150:FOOT, 90:180] = 255
    rgb[FOOT : FOOT + line, 90:180] = 40
    rgb[mask > 0] = (60, 120, 200)
    return Photo(rgb), mask


def scene_under(photo: Photo, mask: np.ndarray) -> np.ndarray:
    """Luma of the scene from the product's foot on, below its middle [30]."""
    framing = plan_framing(photo.size, mask, "9:16", camera(), background="scene")
    layers = build_layers(photo, mask, framing, SIZE)
    rows, columns = np.nonzero(layers.alpha)
    return layers.scene[rows.max() + 1 :, (columns.min() + columns.max()) // 2, 0][:30].astype(int)


def inside_foot(photo: Photo, mask: np.ndarray) -> np.ndarray:
    """Luma of what was filled behind the product's middle [60], the lowest row last."""
    framing = plan_framing(photo.size, mask, "9:16", camera(), background="scene")
    layers = build_layers(photo, mask, framing, SIZE)
    rows, columns = np.nonzero(layers.alpha)
    return layers.scene[rows.max() - 59 : rows.max() + 1, (columns.min() + columns.max()) // 2, 0].astype(int)


def test_a_contact_shadow_does_not_stay_behind():
    dark, plain = scene_under(*standing(4)), scene_under(*standing(0))
    assert np.abs(dark - plain).max() < 12
    as_it_was = cv2.cvtColor(standing(4)[0].rgb, cv2.COLOR_RGB2GRAY)[FOOT + 1, 135]
    assert plain[0] - as_it_was > 60  # the control: that is how dark it is


def test_it_goes_along_with_the_product():
    """Moved aside by its own width and more, it still stands on its dark line, and on nothing where it was."""
    photo, mask = standing(4)
    framing = plan_framing(photo.size, mask, "9:16", camera(), background="scene")
    layers = build_layers(photo, mask, framing, SIZE)
    aside = replace(still := MotionFields.still(np.full((32, 18, 3), 0.6)), product_flow=still.product_flow + 0.0)
    aside.product_flow[1:, ..., 0] = -0.2  # it shows what lies to the left: it moves to the right
    rows, columns = np.nonzero(layers.window_mask() > 128)
    foot, middle = rows.max() + 3, (columns.min() + columns.max()) // 2
    before, after = (render_frame(layers, aside, u)[foot, :, 1].astype(int) for u in (0.0, 1.0))
    shift = round(0.2 * SIZE[0])
    assert before[middle] < 70 and after[middle + shift] < 80
    assert after[columns.min() + 5] > 120


@pytest.mark.parametrize("rows", [10, 16, 24, 60])
def test_a_shadow_that_is_wide_stays_whole(rows: int):
    wide = scene_under(*standing(rows))
    assert np.median(wide[3 : rows - 2][:27]) < 60


def test_a_shadow_that_stays_goes_on_below_the_product():
    """A product that slides on its floor opens no pale sliver over its shadow."""
    shaded, plain = (inside_foot(*standing(rows)) for rows in (24, 0))
    assert shaded[-6:].max() < 90 and plain[-6:].min() > 120
    assert shaded[0] > 120, "far in, the fill has its own light"


def test_what_is_dark_farther_away_stays():
    photo, mask = standing(0)
    photo.rgb[FOOT + 5 : FOOT + 7] = 40
    assert scene_under(photo, mask).min() < 70
