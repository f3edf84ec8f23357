"""The product lifted off: soft shadows of cut-outs keep their colour, and crisp edges have no bright line."""

import numpy as np
import pytest

from engine.media.colour import double
from engine.media.product import NO_REST, take_product

SCENE, PRODUCT, SHADOW = (210, 128, 128), (180, 110, 150), (16, 128, 128)


def cut_out_with_a_shadow() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(photo, alpha, scene): a solid product, beside it a black shadow that fades over 40 pixels."""
    alpha = np.zeros((80, 120), np.float32)
    alpha[20:60, 60:100] = 1
    alpha[20:60, 20:60] = np.linspace(0, 0.5, 40)[None]
    colours = np.where((np.arange(120) < 60)[None, :, None], SHADOW, PRODUCT).astype(np.float32)
    scene = np.broadcast_to(np.float32(SCENE), (80, 120, 3))
    photo = scene + (colours - scene) * alpha[..., None]
    return np.rint(photo).astype(np.uint8), np.rint(alpha * 255).astype(np.uint8), np.rint(scene).astype(np.uint8)


def test_the_soft_shadow_of_a_cut_out_keeps_its_colour() -> None:
    photo, alpha, scene = cut_out_with_a_shadow()
    product = take_product(photo, alpha, scene, np.zeros_like(alpha))
    top, left = product.corner
    crop = np.s_[top : top + product.colours.shape[0], left : left + product.colours.shape[1]]
    premultiplied = alpha[crop][..., None] / 255 * np.float32(SHADOW)
    shadow = (alpha[crop] > 0) & (alpha[crop] < 255)
    off = np.abs(product.colours[..., :3].astype(np.float32) - premultiplied)[shadow]
    assert off.max() <= 1.5
    assert np.abs(product.rest.astype(int) - NO_REST).max() <= 1, "nothing is left that fades when the camera moves"


def test_control_in_a_scene_that_was_filled_the_shadow_takes_the_products_colour() -> None:
    photo, alpha, scene = cut_out_with_a_shadow()
    product = take_product(photo, alpha, scene, np.full_like(alpha, 255))
    top, left = product.corner
    crop = np.s_[top : top + product.colours.shape[0], left : left + product.colours.shape[1]]
    faint = (alpha[crop] > 20) & (alpha[crop] < 40)
    premultiplied = alpha[crop][..., None] / 255 * np.float32(SHADOW)
    assert np.abs(product.colours[..., :3] - premultiplied)[faint].max() > 5


@pytest.mark.parametrize("colour", [(200, 128, 128), (235, 100, 160), (40, 150, 90)])
def test_a_crisp_edge_is_not_brighter_than_the_product_between_its_pixels(colour: tuple[int, int, int]) -> None:
    layer = np.zeros((40, 40, 4), np.uint8)
    layer[10:30, 10:30] = (*colour, 255)
    doubled = double(layer, premultiplied=True)
    assert (doubled[::2, ::2] == layer).all()
    assert (doubled.reshape(-1, 4).max(0)[:3] <= np.array(colour) + 1).all()
    seen = doubled[doubled[..., 3] > 200].astype(np.float32)
    assert len(seen) > 1400 and np.abs(seen[:, :3] * 255 / seen[:, 3:] - colour).max() < 2, "nor darker"
    assert (double(layer).reshape(-1, 4).max(0)[:3] > np.array(colour) + 5).all(), "the control"
