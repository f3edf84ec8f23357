"""Films beside the plainest way to make them, to the byte: banks that are half built go on with the same pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from datapipe.worlds.clip import draw_picture, plane_equation, sweep_light_from_start
from datapipe.worlds.film import film
from datapipe.worlds.motion import FOCAL, Motion, grid_points, plane_map, product_map, sample_motion, world_pose
from datapipe.worlds.render import Layers
from datapipe.worlds.scene import Scene, sample_scene


def plain_plane_map(points: np.ndarray, rotation: np.ndarray, translation: np.ndarray, normal: np.ndarray, d: float):  # type: ignore[no-untyped-def]
    backward = np.linalg.inv(rotation + translation[:, :, None] * (normal / d)).astype(np.float32)
    rays = np.concatenate([points / FOCAL, np.ones_like(points[..., :1])], -1).astype(np.float32)
    source = (rays.reshape(-1, 3) @ backward.transpose(0, 2, 1)).reshape(len(backward), *points.shape[:2], 3)
    visible = source[..., 2] > 1e-3
    return source[..., :2] / np.where(visible, source[..., 2], 1.0)[..., None] * FOCAL, visible


def plain_samples(image: np.ndarray, points: np.ndarray, aspect: float, layers: Layers) -> np.ndarray:
    height, width = image.shape[0] - 2 * layers.pad_y, image.shape[1] - 2 * layers.pad_x
    flat = points.reshape(-1, points.shape[-2], 2)
    x = ((flat[..., 0] / np.sqrt(aspect) + 1) / 2 * width - 0.5 + layers.pad_x).astype(np.float32)
    y = ((flat[..., 1] / (1 / np.sqrt(aspect)) + 1) / 2 * height - 0.5 + layers.pad_y).astype(np.float32)
    sampled = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return sampled.reshape(*points.shape[:-1], *image.shape[2:])


def plain_film(scene: Scene, layers: Layers, motion: Motion, height: int, width: int) -> np.ndarray:
    """Every layer's colours and coverage sampled apart and laid over the whole frame."""
    tau, aspect, product = np.linspace(0, 1, 17)[1:], scene.aspect, scene.product
    points, centre = grid_points(aspect, height, width), (product.x, product.y)
    made = np.zeros((16, height, width, 3), np.float32)
    for plane, (rgb, alpha) in zip(scene.planes, layers.planes, strict=True):
        source, visible = plain_plane_map(points, *world_pose(motion, aspect, centre, tau), *plane_equation(plane))
        share = plain_samples(alpha, source, aspect, layers) * visible / np.float32(255)
        made += (plain_samples(rgb, source, aspect, layers) - made) * share[..., None]
    source = product_map(points, motion, aspect, centre, product.half_width, product.bulge, tau)
    light = sweep_light_from_start(source, points, motion, scene, tau)
    lit = np.clip(plain_samples(layers.product_rgb, source, aspect, layers) + 255 * light[..., None], 0, 255)
    share = plain_samples(layers.product_alpha, source, aspect, layers) / np.float32(255)
    made += (lit - made) * share[..., None]
    photo = layers.composite[layers.pad_y : layers.pad_y + height, layers.pad_x : layers.pad_x + width]
    return np.concatenate([photo[None], np.round(made).astype(np.uint8)])


@pytest.mark.parametrize("seed", range(16))
def test_a_film_is_the_plain_one_to_the_byte(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = ((64, 64), (80, 48), (48, 80))[seed % 3]
    scene = sample_scene(rng, width / height)
    _, layers = draw_picture(scene, height, width)
    for motion in (sample_motion(rng), sample_motion(rng)):
        made, plain = film(scene, layers, motion, height, width), plain_film(scene, layers, motion, height, width)
        assert made.tobytes() == plain.tobytes()
        other = film(scene, layers, sample_motion(rng), height, width)
        assert other.tobytes() != plain.tobytes()


def test_what_lies_behind_the_camera_is_not_visible() -> None:
    """A camera that went far back from a floor: past its horizon nothing shows."""
    points, turn = grid_points(1.0, 32, 32), np.array([[[1, 0, 0], [0, 1, 0], [0, 0, 1.0]]])
    plane = (np.array([0.0, FOCAL, 0.3]), 0.5)
    (ours, seen), (plain, plain_seen) = (
        make(points, turn, np.array([[0.0, 0.0, 0.9]]), *plane) for make in (plane_map, plain_plane_map)
    )
    assert (seen == plain_seen).all() and ours.tobytes() == plain.astype(np.float32).tobytes()
    assert 0 < seen.mean() < 1
