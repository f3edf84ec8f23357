"""Held-out scenes with exact answers: the photo an engine is given, and what a perfect video of it would show.

Flows are backward and in fractions of the frame, as in `engine.media.fields`; images are uint8 RGB.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from datapipe.worlds.clip import ASPECTS, exact_fields, plane_equation
from datapipe.worlds.motion import Motion, grid_points, plane_map, product_map, world_pose
from datapipe.worlds.render import Layers, render_layers
from datapipe.worlds.scene import Scene, sample_scene
from engine.media.fields import MotionFields
from engine.media.framing import Framing, Sides
from engine.requests import Format, output_size

FIRST_SEED = 900_000_000  # training never draws scenes from here on
MARGIN = 0.2
_NO_MAP: Any = None


@dataclass(frozen=True)
class View:
    """A part of the canvas: `window` (x0, y0, x1, y1) in canvas pixels, shown at `size` (width, height)."""

    window: tuple[float, float, float, float]
    size: tuple[int, int]

    def of(self, image: np.ndarray) -> np.ndarray:
        """What the view shows of a canvas image."""
        (width, height), (x0, y0, x1, y1) = self.size, self.window
        across, down = (x1 - x0) / width, (y1 - y0) / height
        matrix = np.array([[across, 0, x0 + 0.5 * across - 0.5], [0, down, y0 + 0.5 * down - 0.5]])
        return cv2.warpAffine(image, matrix, self.size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


@dataclass(frozen=True)
class World:
    """A scene drawn at output resolution with `MARGIN` of canvas around the frame."""

    format: Format
    scene: Scene
    layers: Layers
    size: tuple[int, int]  # of the frame: width, height

    @property
    def photo(self) -> np.ndarray:
        """The whole canvas, which the engine is given as the photo."""
        return self.layers.composite

    @property
    def mask(self) -> np.ndarray:
        return self.layers.product_alpha

    @property
    def window(self) -> tuple[slice, slice]:
        """The frame within the canvas: rows, columns."""
        (width, height), x, y = self.size, self.layers.pad_x, self.layers.pad_y
        return slice(y, y + height), slice(x, x + width)

    @property
    def view(self) -> View:
        """The frame."""
        rows, columns = self.window
        return View((float(columns.start), float(rows.start), float(columns.stop), float(rows.stop)), self.size)

    @property
    def framing(self) -> Framing:
        """The plan whose window is exactly the frame: nothing is resampled, and the canvas is what the scene knows."""
        height, width = self.mask.shape
        cut = Sides(*(float((edge > 127).any()) for edge in self._borders()))
        return Framing(self.view.window, (0.0, 0.0, float(width), float(height)), Sides(), cut, 1.0, continued=False)

    def _borders(self) -> tuple[np.ndarray, ...]:
        return self.mask[:, 0], self.mask[0], self.mask[:, -1], self.mask[-1]


@dataclass(frozen=True)
class Exact:
    """The exact motion at one time, on a grid: backward flows in fractions of the frame."""

    scene: np.ndarray  # [h, w, 2]
    product: np.ndarray  # [h, w, 2]
    alpha: np.ndarray  # [h, w] 0..1: where the product is at that time

    @property
    def flow(self) -> np.ndarray:
        """What each pixel does, whichever layer it shows [h, w, 2]."""
        return np.where(self.alpha[..., None] > 0.5, self.product, self.scene)


def make_world(index: int, format: Format, short_side: int) -> World:
    """The held-out scene number `index`, always the same for a format."""
    width, height = output_size(format, short_side)
    scene = sample_scene(np.random.default_rng(FIRST_SEED + index), ASPECTS[format])
    return World(format, scene, render_layers(scene, height, width, margin=MARGIN, supersample=1), (width, height))


def asked_motion(camera: str, camera_strength: float, subject: str, subject_strength: float) -> Motion:
    """What a request asks for, without what a seed varies."""
    return Motion(camera, camera_strength, subject, subject_strength)


def at_full_strength(motion: Motion) -> Motion:
    return replace(motion, camera_strength=1.0)


def exact_motion(world: World, motion: Motion, tau: float, grid: tuple[int, int]) -> Exact:
    """The exact motion at time `tau` in (0, 1] on a grid (height, width) over the frame."""
    steps = round(1 / tau)
    assert abs(steps * tau - 1) < 1e-6, "only times 1/n"
    fields = exact_fields(world.scene, world.layers, motion, *grid, keys=steps + 1)
    return Exact(fields.scene_flow[0], fields.product_flow[0], fields.product_alpha[0])


def exact_clip(world: World, motion: Motion, grid: tuple[int, int]) -> MotionFields:
    """The exact motion as the engine's own fields: a perfect model, to see what the measuring itself loses."""
    fields = exact_fields(world.scene, world.layers, motion, *grid)

    def with_start(values: np.ndarray) -> np.ndarray:
        return np.concatenate([np.zeros_like(values[:1]), values])

    plate = cv2.resize(world.layers.plate[world.window], (64, 64), interpolation=cv2.INTER_AREA) / np.float32(255)
    return MotionFields(with_start(fields.scene_flow), with_start(fields.product_flow), with_start(fields.light), plate)


def exact_frame(world: World, motion: Motion, tau: float = 1.0) -> np.ndarray:
    """A frame as the scene itself would look, every plane moved by its own exact map: float32 [H, W, 3].

    `tau` is the time, 1 the end of the clip; a light sweep is left out: at the end it has passed.
    """
    width, height = world.size
    scene, layers, tau_T = world.scene, world.layers, np.array([tau])
    points = grid_points(scene.aspect, height, width)
    pose = world_pose(motion, scene.aspect, (scene.product.x, scene.product.y), tau_T)
    image: np.ndarray | None = None
    for plane, (rgb, alpha) in zip(scene.planes, layers.planes, strict=True):
        source, visible = plane_map(points, *pose, *plane_equation(plane))
        places = _canvas_places(world, source[0])
        colours = _sample(rgb, places)
        image = colours if image is None else _over(image, colours, _sample(alpha, places) * visible[0])
    assert image is not None
    held = scene.product
    source = product_map(points, motion, scene.aspect, (held.x, held.y), held.half_width, held.bulge, tau_T)
    places = _canvas_places(world, source[0])
    return _over(image, _sample(layers.product_rgb, places), _sample(layers.product_alpha, places))


def moved_layers(world: World, fields: MotionFields, view: View | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The last frame that the exact layers give under *these* fields: float32 [H, W, 3], and the product's alpha 0..1.

    The colours behind the product are the scene's own. What a video lacks to this is the compositor's doing alone.
    """
    moment = fields.at(1.0)
    scene, product = (_field_places(world, flow, view or world.view) for flow in (moment.scene, moment.product))
    behind = _sample(world.layers.plate, scene)
    alpha = _sample(world.layers.product_alpha, product)
    return _over(behind, _sample(world.layers.product_rgb, product), alpha), np.clip(alpha / 255, 0, 1)


def behind_product(world: World, flow: np.ndarray) -> np.ndarray:
    """The product's alpha (0..1) in the photo, where `flow` [h, w, 2] points to: above 0 the scene was hidden there."""
    return _sample(world.mask, _field_places(world, flow, world.view)) / np.float32(255)


def _field_places(world: World, flow: np.ndarray, view: View) -> np.ndarray:
    """Canvas pixels (x, y) that a backward flow on any grid shows, [H, W, 2] at the view's full size."""
    (width, height), (x0, y0, x1, y1) = view.size, view.window
    full = (
        cv2.resize(flow, (width, height), interpolation=cv2.INTER_CUBIC) if flow.shape[:2] != (height, width) else flow
    )
    across, down = (x1 - x0) / width, (y1 - y0) / height
    x, y = np.meshgrid(
        x0 + (np.arange(width) + 0.5) * across - 0.5,
        y0 + (np.arange(height) + 0.5) * down - 0.5,
    )
    return np.stack([x + full[..., 0] * (x1 - x0), y + full[..., 1] * (y1 - y0)], -1).astype(np.float32)


def _canvas_places(world: World, points: np.ndarray) -> np.ndarray:
    """Isotropic points [H, W, 2] -> canvas pixels."""
    width, height = world.size
    half = np.array([np.sqrt(world.scene.aspect), 1 / np.sqrt(world.scene.aspect)])
    shares = (points / half + 1) / 2
    corner = np.array([world.layers.pad_x, world.layers.pad_y])
    return (shares * (width, height) - 0.5 + corner).astype(np.float32)


def _sample(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    return cv2.remap(image.astype(np.float32), places, _NO_MAP, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).clip(
        0, 255
    )


def _over(below: np.ndarray, colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return below + (colours - below) * (alpha[..., None] / np.float32(255))
