"""Generated scenes: deterministic bytes, consistent layers, geometry that can be inferred, and variety."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from datapipe.worlds.render import Layers, render_layers
from datapipe.worlds.scene import Scene, sample_scene

ASPECTS = (9 / 16, 1.0, 4 / 5, 16 / 9)


def scene(seed: int) -> Scene:
    return sample_scene(np.random.default_rng(seed), ASPECTS[seed % 4])


def composite_of(layers: Layers) -> np.ndarray:
    image = layers.planes[0][0].astype(float)
    for rgb, alpha in (*layers.planes[1:], (layers.product_rgb, layers.product_alpha)):
        share = alpha[..., None] / 255.0
        image = image * (1 - share) + rgb * share
    return image


def test_same_seed_same_bytes_and_another_seed_another_picture() -> None:
    first, again, other = (render_layers(scene(s), 48, 48, 0.1) for s in (3, 3, 7))
    assert first.composite.tobytes() == again.composite.tobytes()
    assert first.product_alpha.tobytes() == again.product_alpha.tobytes()
    assert first.composite.tobytes() != other.composite.tobytes()


@pytest.mark.parametrize("seed", range(24))
def test_layers_give_the_composite(seed: int) -> None:
    layers = render_layers(scene(seed), 64, 64, 0.12)
    assert layers.composite.shape == (64 + 2 * layers.pad_y, 64 + 2 * layers.pad_x, 3) and layers.pad_x == 8
    assert np.abs(composite_of(layers) - layers.composite).max() <= 1.5
    outside = layers.product_alpha == 0
    assert (layers.plate[outside] == layers.composite[outside]).all()


@pytest.mark.parametrize("seed", range(12))
def test_a_larger_picture_shows_the_same(seed: int) -> None:
    small, large = (render_layers(scene(seed), side, side) for side in (64, 256))
    reduced = cv2.resize(large.composite, (64, 64), interpolation=cv2.INTER_AREA).astype(float)
    mask = cv2.resize(large.product_alpha, (64, 64), interpolation=cv2.INTER_AREA).astype(float)
    assert np.abs(reduced - small.composite).mean() < 7
    assert np.abs(mask - small.product_alpha).mean() < 7
    other = render_layers(scene(seed + 40), 64, 64).composite
    assert np.abs(reduced - other).mean() > 12


def test_geometry_holds_in_every_scene() -> None:
    shares, floors, inside = [], 0, 0
    for seed in range(400):
        s = scene(seed)
        ax, ay = np.sqrt(s.aspect), 1 / np.sqrt(s.aspect)
        assert s.planes[0].kind == "backdrop" and 1.5 <= s.planes[0].depth <= 6
        depths = [p.depth for p in s.planes]
        assert depths == sorted(depths, reverse=True) and depths[-1] > 1.05
        for plane in s.planes:
            if plane.kind == "floor":
                floors += 1
                assert plane.contact - plane.horizon > 0.3
                assert plane.seam == pytest.approx(plane.horizon + (plane.contact - plane.horizon) / plane.depth)
                assert plane.contact == pytest.approx(s.product.y + s.product.half_height)
        assert 0.25 <= s.product.bulge <= 1
        x0, y0, x1, y1 = s.product.bounds()
        inside += x0 >= -ax and x1 <= ax and y0 >= -ay and y1 <= ay
        if seed < 120:
            shares.append(render_layers(s, 48, 48).product_alpha.mean() / 255)
    assert 0.45 < floors / 400 < 0.75
    assert inside > 330
    assert np.mean([0.05 < share < 0.6 for share in shares]) > 0.85


def test_variety() -> None:
    scenes = [scene(seed) for seed in range(400)]
    assert len({s.product.kind for s in scenes}) >= 25
    assert len({s.product.colour for s in scenes}) >= 14
    assert len({s.place for s in scenes}) >= 9
    brightness = [render_layers(s, 32, 32, supersample=1).composite.mean() for s in scenes[:150]]
    assert np.percentile(brightness, 5) < 75 and np.percentile(brightness, 95) > 165


def test_refuses_impossible_sizes() -> None:
    with pytest.raises(ValueError, match="aspect"):
        sample_scene(np.random.default_rng(0), 9.0)
    with pytest.raises(ValueError, match="8 pixels"):
        render_layers(scene(0), 4, 64)
    with pytest.raises(ValueError, match="margin"):
        render_layers(scene(0), 64, 64, margin=0.9)
