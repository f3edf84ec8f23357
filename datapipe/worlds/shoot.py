"""A shot: its stage and motion as frames, with the exact truth of every pixel.

Legend: T frames, H x W pixels; last axis (x, y) of points. Layers count from 0, the backdrop, to the nearest plane;
the product is the last.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from datapipe.worlds.clip import MARGIN, plane_equation
from datapipe.worlds.drawing import BRANDS, text_box
from datapipe.worlds.faces import draw_mouth
from datapipe.worlds.materials import Rgb
from datapipe.worlds.motion import (
    FOCAL,
    Motion,
    camera_pose,
    grid_points,
    product_map,
    product_points,
    sweep_light,
    world_pose,
)
from datapipe.worlds.render import Layers, canvas_grid, graded, render_layers
from datapipe.worlds.scene import Product, Scene
from datapipe.worlds.staging import PRESENTER_PLANE, Stage

_Box = tuple[slice, slice]


@dataclass
class Take:
    """A shot as filmed. Flow is backward: a pixel's place in the shot's first frame less its own, in shares of the
    frame; of the layer that shows."""

    frames: np.ndarray  # [T, H, W, 3] float32, 0..255
    layer: np.ndarray  # [T, H, W] uint8, the nearest layer that covers more than half of the pixel
    flow: np.ndarray  # [T, H, W, 2] float32
    seen: np.ndarray  # [T, H, W] bool, whether that place shows the same layer in the first frame
    mask: np.ndarray  # [T, H, W] uint8, coverage by the product
    light: np.ndarray  # [T, H, W] float32, light that sweeps over the product as it shows, shares of white
    camera: np.ndarray  # [T, 3, 4] float32, world to camera, product depths; the first is the identity
    face: np.ndarray  # [T, 4] float32, box of the presenter's face in pixels; -1 without one
    label: np.ndarray  # [T, 4] float32, box of the name on the product in pixels; -1 without one


def shoot(stage: Stage, motion: Motion, height: int, width: int, opening_T: np.ndarray) -> Take:
    """Film a motion over as many frames as there are openings of the presenter's mouth; the first is its start."""
    scene = stage.scene
    layers = render_layers(scene, height, width, MARGIN)
    tau_T = np.linspace(0, 1, len(opening_T))
    product = scene.product
    rotation_T33, translation_T3 = world_pose(motion, scene.aspect, (product.x, product.y), tau_T)
    take = _empty(len(tau_T), height, width)
    take.camera[:] = np.concatenate([rotation_T33, translation_T3[..., None]], -1)
    place_THW2 = np.empty((len(tau_T), height, width, 2), np.float32)
    for index, plane in enumerate(scene.planes):
        back_T33 = _pixel_homography(rotation_T33, translation_T3, *plane_equation(plane), scene.aspect, height, width)
        box = (slice(0, height), slice(0, width))
        if plane.body is not None:
            box = _box(_corners(plane.body.bounds()), np.linalg.inv(back_T33), scene.aspect, height, width)
        x_THW, y_THW = _project(back_T33, box)
        rgb, alpha = layers.planes[index]
        if stage.presenter is not None and index == PRESENTER_PLANE:
            rgb_T = _talking(stage, layers, opening_T, height, width)
            seen_THW4 = np.stack([_sample(np.dstack([rgb_T[t], alpha]), x_THW[t], y_THW[t], layers)
                                  for t in range(len(tau_T))])  # fmt: skip
            take.face[:] = _face_boxes(stage, np.linalg.inv(back_T33), height, width)
        else:
            seen_THW4 = _sample(np.dstack([rgb, alpha]), x_THW, y_THW, layers)
        _lay(take, place_THW2, index, box, seen_THW4[..., :3], seen_THW4[..., 3], x_THW, y_THW)
    _lay_product(take, place_THW2, scene, layers, motion, tau_T)
    take.label[:] = _label_boxes(scene, motion, tau_T, height, width)
    _finish(take, place_THW2)
    return take


def _empty(frames: int, height: int, width: int) -> Take:
    size = (frames, height, width)
    return Take(
        np.zeros((*size, 3), np.float32), np.zeros(size, np.uint8), np.empty((*size, 2), np.float32),
        np.zeros(size, bool), np.zeros(size, np.uint8), np.zeros(size, np.float32),
        np.empty((frames, 3, 4), np.float32), np.full((frames, 4), -1, np.float32),
        np.full((frames, 4), -1, np.float32),
    )  # fmt: skip


def _pixel_homography(
    rotation_T33: np.ndarray, translation_T3: np.ndarray, normal: np.ndarray, distance: float, aspect: float,
    height: int, width: int,
) -> np.ndarray:  # fmt: skip
    """Backward map of the plane normal . X = distance, pixels to pixels of the first frame: [T, 3, 3]."""
    forward_T33 = rotation_T33 + translation_T3[:, :, None] * (normal / distance)[None, None, :]
    to_rays = _rays(aspect, height, width)
    return np.linalg.inv(to_rays) @ np.linalg.inv(forward_T33) @ to_rays


def _rays(aspect: float, height: int, width: int) -> np.ndarray:
    """From pixels (x, y, 1) to rays before the camera."""
    ax, ay = np.sqrt(aspect), 1 / np.sqrt(aspect)
    return np.array(
        [[2 * ax / width / FOCAL, 0, (1 / width - 1) * ax / FOCAL],
         [0, 2 * ay / height / FOCAL, (1 / height - 1) * ay / FOCAL], [0, 0, 1]]
    )  # fmt: skip


def _project(back_T33: np.ndarray, box: _Box) -> tuple[np.ndarray, np.ndarray]:
    """Where the pixels of a box come from: x and y, [T, h, w] float32 each; far outside where nothing is before the
    camera."""
    h_T33 = back_T33.astype(np.float32)[:, :, :, None, None]
    y_H1 = np.arange(box[0].start, box[0].stop, dtype=np.float32)[:, None]
    x_1W = np.arange(box[1].start, box[1].stop, dtype=np.float32)[None]
    depth_THW = h_T33[:, 2, 0] * x_1W + (h_T33[:, 2, 1] * y_H1 + h_T33[:, 2, 2])
    np.copyto(depth_THW, np.float32(1e-3), where=depth_THW < 1e-3)
    np.reciprocal(depth_THW, out=depth_THW)
    x_THW, y_THW = (h_T33[:, i, 0] * x_1W + (h_T33[:, i, 1] * y_H1 + h_T33[:, i, 2]) for i in (0, 1))
    x_THW *= depth_THW
    y_THW *= depth_THW
    return x_THW, y_THW


def _corners(bounds: tuple[float, float, float, float]) -> np.ndarray:
    x0, y0, x1, y1 = bounds
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def _box(corners_42: np.ndarray, forward_T33: np.ndarray, aspect: float, height: int, width: int, pad: int = 3) -> _Box:
    """Rows and columns that a quadrilateral of the first frame (isotropic) covers at any time, and a margin."""
    at_TN2 = _moved(_to_pixels(corners_42, aspect, height, width), forward_T33)
    (x0, y0), (x1, y1) = at_TN2.min((0, 1)) - pad, at_TN2.max((0, 1)) + pad
    left, top = int(np.clip(x0, 0, width - 1)), int(np.clip(y0, 0, height - 1))
    return slice(top, int(np.clip(y1 + 1, top + 1, height))), slice(left, int(np.clip(x1 + 1, left + 1, width)))


def _to_pixels(points_N2: np.ndarray, aspect: float, height: int, width: int) -> np.ndarray:
    reach = np.array([np.sqrt(aspect), 1 / np.sqrt(aspect)])
    return (points_N2 / reach + 1) / 2 * (width, height) - 0.5


def _moved(pixels_N2: np.ndarray, forward_T33: np.ndarray) -> np.ndarray:
    """Points of the first frame at every time, [T, N, 2] pixels."""
    h_TN3 = np.concatenate([pixels_N2, np.ones_like(pixels_N2[:, :1])], -1) @ forward_T33.transpose(0, 2, 1)
    return h_TN3[..., :2] / np.maximum(h_TN3[..., 2:], 1e-3)


def _sample(canvas: np.ndarray, x: np.ndarray, y: np.ndarray, layers: Layers) -> np.ndarray:
    """Bilinear samples of a canvas at pixels of the frame; its edges go on."""
    wide = x.shape[-1]
    columns, rows = (x + layers.pad_x).reshape(-1, wide), (y + layers.pad_y).reshape(-1, wide)
    sampled = cv2.remap(canvas, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return sampled.reshape(*x.shape, *canvas.shape[2:])


def _lay(
    take: Take, place_THW2: np.ndarray, index: int, box: _Box, rgb: np.ndarray, alpha: np.ndarray, x: np.ndarray,
    y: np.ndarray,
) -> None:  # fmt: skip
    """Lay a layer over those before it, inside its box."""
    inner = (slice(None), *box)
    if index == 0:
        take.frames[inner], place_THW2[..., 0], place_THW2[..., 1] = rgb, x, y
        return
    share = alpha.astype(np.float32)[..., None] * np.float32(1 / 255)
    take.frames[inner] += (rgb - take.frames[inner]) * share
    shows = alpha > 127
    np.copyto(take.layer[inner], np.uint8(index), where=shows)
    np.copyto(place_THW2[inner][..., 0], x, where=shows)
    np.copyto(place_THW2[inner][..., 1], y, where=shows)


def _lay_product(
    take: Take, place_THW2: np.ndarray, scene: Scene, layers: Layers, motion: Motion, tau_T: np.ndarray
) -> None:
    product = scene.product
    height, width = take.mask.shape[1:]
    box = _product_box(product, scene.aspect, motion, tau_T, height, width)
    points_HW2 = grid_points(scene.aspect, height, width)[box]
    centre = (product.x, product.y)
    source_THW2 = product_map(points_HW2, motion, scene.aspect, centre, product.half_width, product.bulge, tau_T)
    reach = (float(np.sqrt(scene.aspect)), float(1 / np.sqrt(scene.aspect)))
    x_THW = ((source_THW2[..., 0] / np.float32(reach[0]) + 1) * np.float32(width / 2) - np.float32(0.5)).astype(
        np.float32
    )
    y_THW = ((source_THW2[..., 1] / np.float32(reach[1]) + 1) * np.float32(height / 2) - np.float32(0.5)).astype(
        np.float32
    )
    canvas = np.dstack([layers.product_rgb, layers.product_alpha])
    seen_THW4 = _sample(canvas, x_THW, y_THW, layers)
    colour_THW3 = seen_THW4[..., :3].astype(np.float32)
    if motion.subject == "light-sweep":
        light_THW = sweep_light(source_THW2, motion, centre, (product.half_width, product.half_height), tau_T)
        colour_THW3 = np.clip(colour_THW3 + 255 * light_THW[..., None], 0, 255)
        take.light[(slice(None), *box)] = light_THW * (seen_THW4[..., 3] / np.float32(255))
    _lay(take, place_THW2, len(scene.planes), box, colour_THW3, seen_THW4[..., 3], x_THW, y_THW)
    take.mask[(slice(None), *box)] = seen_THW4[..., 3]


def _product_box(product: Product, aspect: float, motion: Motion, tau_T: np.ndarray, height: int, width: int) -> _Box:
    """Where the product ever is: its box, floated and turned as far as it may, under the camera's moves."""
    rotation_T33, translation_T3 = camera_pose(motion, aspect, tau_T)
    back_T33 = _pixel_homography(rotation_T33, translation_T3, np.array([0.0, 0.0, 1.0]), 1.0, aspect, height, width)
    x0, y0, x1, y1 = product.bounds()
    room = 0.16 if motion.subject == "float" else 0.02
    corners = _corners((x0 - room, y0 - room, x1 + room, y1 + room))
    return _box(corners, np.linalg.inv(back_T33), aspect, height, width)


def _talking(stage: Stage, layers: Layers, opening_T: np.ndarray, height: int, width: int) -> np.ndarray:
    """The presenter's canvas with the mouth of every frame, uint8 [T, h, w, 3]."""
    assert stage.presenter is not None
    mouth = stage.presenter.mouth
    look: list[Rgb] = [graded(stage.scene, colour) for colour in (mouth.lips, mouth.inside, mouth.teeth)]
    shown = type(mouth)(mouth.x, mouth.y, mouth.width, mouth.gap, *look)
    grid, _, _ = canvas_grid(stage.scene, height, width, MARGIN)
    canvas_T = np.repeat(layers.planes[PRESENTER_PLANE][0][None], len(opening_T), 0)
    for canvas, opening in zip(canvas_T, opening_T, strict=True):
        draw_mouth(canvas, grid, shown, float(opening))
    return canvas_T


def _face_boxes(stage: Stage, forward_T33: np.ndarray, height: int, width: int) -> np.ndarray:
    """Boxes [T, 4] around the face's oval, in pixels whose first has its middle at 0.5, cut to the frame."""
    assert stage.presenter is not None
    x0, y0, x1, y1 = stage.presenter.face
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    oval = np.stack([(x0 + x1) / 2 + np.cos(turn) * (x1 - x0) / 2, (y0 + y1) / 2 + np.sin(turn) * (y1 - y0) / 2], -1)
    at_TN2 = _moved(_to_pixels(oval, stage.scene.aspect, height, width), forward_T33)
    return _bounding(at_TN2, height, width)


def _label_boxes(scene: Scene, motion: Motion, tau_T: np.ndarray, height: int, width: int) -> np.ndarray:
    """Boxes [T, 4] of the letters of the brand's name on the product; -1 where it has none or they left the frame."""
    product = scene.product
    named = [part for part in product.body.parts if part.text is not None and part.text >= BRANDS]
    if not named:
        return np.full((len(tau_T), 4), -1, np.float32)
    x, y, wide, tall = text_box(named[0])
    along = np.linspace(0, 1, 5)
    edge = np.concatenate([np.stack([x + wide * along, np.full(5, y + tall * end)], -1) for end in (0, 1)])
    centre = (product.x, product.y)
    at_TN2 = product_points(edge, motion, scene.aspect, centre, product.half_width, product.bulge, tau_T)
    return _bounding(_to_pixels(at_TN2, scene.aspect, height, width), height, width)


def _bounding(pixels_TN2: np.ndarray, height: int, width: int) -> np.ndarray:
    """Boxes [T, 4] around points, in pixels whose first has its middle at 0.5, cut to the frame; -1 outside of it."""
    boxes_T4 = np.concatenate([pixels_TN2.min(1), pixels_TN2.max(1)], -1) + 0.5
    boxes_T4 = np.clip(boxes_T4, 0, (width, height, width, height)).astype(np.float32)
    empty_T = (boxes_T4[:, 2:] <= boxes_T4[:, :2]).any(1)
    boxes_T4[empty_T] = -1
    return boxes_T4


def _finish(take: Take, place_THW2: np.ndarray) -> None:
    """Flow and visibility from where each pixel comes."""
    frames, height, width = take.mask.shape
    x_THW, y_THW = np.ascontiguousarray(place_THW2[..., 0]), np.ascontiguousarray(place_THW2[..., 1])
    take.flow[..., 0] = (x_THW - np.arange(width, dtype=np.float32)) / np.float32(width)
    take.flow[..., 1] = (y_THW - np.arange(height, dtype=np.float32)[:, None]) / np.float32(height)
    there = cv2.remap(take.layer[0], x_THW.reshape(-1, width), y_THW.reshape(-1, width), cv2.INTER_NEAREST,
                      borderMode=cv2.BORDER_CONSTANT, borderValue=255)  # fmt: skip
    take.seen[:] = there.reshape(frames, height, width) == take.layer
