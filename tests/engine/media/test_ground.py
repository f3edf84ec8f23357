"""A cut-out stands on the ground: a shadow where it touches, none where it hangs, brings its own or is a photo."""

import numpy as np
import pytest

from engine.media.colour import to_rgb
from engine.media.framing import plan_framing
from engine.media.ground import grounded
from engine.media.layers import Layers, build_layers
from engine.media.photo import Photo
from engine.requests import Camera

LIGHT = (243, 243, 244)


def cut_out(alpha: np.ndarray, backdrop: tuple[int, int, int] = LIGHT) -> Photo:
    """A red product with `alpha` over a backdrop."""
    share = alpha[..., None] / np.float32(255)
    rgb = np.rint(np.array([180, 30, 20]) * share + np.array(backdrop) * (1 - share)).astype(np.uint8)
    return Photo(rgb, alpha, backdrop)


def standing(height: int = 600, width: int = 600, foot: int = 450) -> np.ndarray:
    alpha = np.zeros((height, width), np.uint8)
    alpha[150:foot, 200:400] = 255
    return alpha


def layers_of(photo: Photo) -> Layers:
    framing = plan_framing(photo.size, photo.alpha, "1:1", Camera(move="static"), background="transparent")
    return build_layers(photo, photo.alpha, framing, (540, 540))


def luma_beside(layers: Layers) -> tuple[float, float]:
    """Of the scene's luma right under the product's foot, and far above it beside the product."""
    rows, columns = np.nonzero(layers.alpha > 127)
    middle, foot = int(columns.mean()), int(rows.max())
    return float(layers.scene[foot + 1, middle, 0]), float(layers.scene[rows.min() + 20, columns.max() + 15, 0])


@pytest.mark.parametrize("backdrop", [LIGHT, (58, 60, 64)])
@pytest.mark.parametrize("trimmed", [False, True])
def test_the_ground_is_dark_where_a_cut_out_touches_it(backdrop, trimmed: bool) -> None:
    alpha = standing()
    under, beside = luma_beside(layers_of(cut_out(alpha[150:450, 200:400] if trimmed else alpha, backdrop)))
    assert under - 16 < 0.8 * (beside - 16)
    assert beside == pytest.approx(float(layers_of(cut_out(alpha, backdrop)).scene[2, 2, 0]), abs=1)


def test_the_photo_shows_the_product_over_that_scene() -> None:
    alpha = standing()
    alpha[300:350, 250:300] = 100  # glass
    layers = layers_of(cut_out(alpha))
    share = layers.alpha[..., None] / np.float32(255)
    red = layers.photo[layers.alpha == 255].mean(0)
    made = red * share + layers.scene * (1 - share)
    assert np.abs(made - layers.photo).max() <= 3
    assert np.abs(to_rgb(layers.photo)[layers.alpha == 255].astype(int) - [180, 30, 20]).max() <= 4


def test_a_leg_that_ends_higher_stands_a_little_farther_back_and_one_far_above_hangs() -> None:
    alpha = np.zeros((600, 600), np.uint8)
    alpha[100:200, 100:500] = 255
    for left, foot in ((100, 500), (280, 480), (460, 300)):
        alpha[200:foot, left : left + 40] = 255
    photo, scene = np.full((2, 600, 600, 3), 200, np.uint8)
    _, shaded = grounded(photo, scene, alpha)
    front, back, none = (int(shaded[foot + 3, left + 20, 0]) for left, foot in ((100, 500), (280, 480), (460, 300)))
    assert front < 160 and back < 170 and none > 195


def test_a_cut_out_with_a_shadow_of_its_own_gets_none() -> None:
    alpha = standing()
    alpha[452:490, 180:420] = 80
    photo, scene = np.full((2, 600, 600, 3), 200, np.uint8)
    assert grounded(photo, scene, alpha)[1] is scene
    assert grounded(photo, scene, standing())[1] is not scene  # the control


def test_glass_is_no_shadow() -> None:
    alpha = standing()
    alpha[150:300, 205:395] = 90  # the bowl of a wine glass
    photo, scene = np.full((2, 600, 600, 3), 200, np.uint8)
    assert grounded(photo, scene, alpha)[1] is not scene


def test_a_slim_product_has_a_shadow_of_its_size() -> None:
    photo, scene = np.full((2, 600, 600, 3), 200, np.uint8)
    reach = []
    for tall in (100, 400):
        alpha = np.zeros((600, 600), np.uint8)
        alpha[450 - tall : 450, 280:320] = 255
        reach.append(int((grounded(photo, scene, alpha)[1][451:, 300, 0] < 197).sum()))
    assert reach[1] > 1.5 * reach[0]


def test_a_product_that_the_picture_s_lower_edge_cuts_or_none_at_all_gets_none() -> None:
    photo, scene = np.full((2, 600, 600, 3), 200, np.uint8)
    for alpha in (standing(foot=600), np.zeros((600, 600), np.uint8)):
        assert grounded(photo, scene, alpha)[1] is scene


def test_a_photo_keeps_what_it_has() -> None:
    alpha = standing()
    photo = Photo(cut_out(alpha).rgb)
    framing = plan_framing(photo.size, alpha, "1:1", Camera(move="static"), background="plain")
    layers = build_layers(photo, alpha, framing, (540, 540))
    under, beside = luma_beside(layers)
    assert under == pytest.approx(beside, abs=2)
