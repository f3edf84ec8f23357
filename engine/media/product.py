"""The product lifted off its photo: colours freed from the background that shines through its soft edge."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

NO_REST = 128
_TRUST = 25.0  # how much a faint pixel's own colour weighs against its solid neighbour's: ratio of variances
_CLEAR = 0.4  # alpha from which a pixel's colour follows from the photo and the scene alone
_SOLID = 243
_BLACK_YUV = np.array([16, 128, 128], np.float32)
_FEATHER = 4.0  # pixels over which a shadow that is taken along fades out
_GRAIN = 0.1  # of the light: a shadow fainter than this is the ground's own grain
_MARGIN = 8  # pixels around the product in its crop, so that filters near its edge see what is there


@dataclass(frozen=True)
class Product:
    """Crops of the canvas, uint8 [h, w, 4], at `corner` (top, left) of a canvas [H, W].

    `colours`: the product alone, premultiplied YUVA. `rest`: what has to be added to the product over the clean scene
    for the two to be the photo, halved and around `NO_REST`.
    """

    colours: np.ndarray
    rest: np.ndarray
    corner: tuple[int, int]
    canvas: tuple[int, int]


def take_product(
    photo: np.ndarray, alpha: np.ndarray, scene: np.ndarray, depth: np.ndarray, shadow: np.ndarray | None = None
) -> Product:
    """Split `photo` = colours + (1 - alpha) * scene + rest, given the clean `scene`; all uint8 YUV of one size.

    `depth` is 0 where `scene` is the photo (see `Layers`). In the soft edge the colour is a compromise (MAP estimate)
    between what `scene` implies and the nearest solid product colour: the first alone amplifies noise where alpha is
    small, and carries the old background along. Behind a cut-out (alpha where depth is 0) the scene is known, and
    nothing is estimated: a soft shadow keeps its colour. Where `shadow` (bool) is, the product's contact shadow goes
    with it, as a black veil over what lies there.
    """
    changed = (alpha > 0) | (depth > 0)
    x, y, width, height = cv2.boundingRect(changed.astype(np.uint8))
    top, left = max(0, y - _MARGIN), max(0, x - _MARGIN)
    crop = slice(top, y + height + _MARGIN), slice(left, x + width + _MARGIN)
    canvas = photo.shape[0], photo.shape[1]
    photo, alpha, scene, changed, depth = photo[crop], alpha[crop], scene[crop], changed[crop], depth[crop]
    veil = np.zeros(alpha.shape, np.float32)
    if shadow is not None and shadow[crop].any():
        veil = _veil(photo, scene, alpha, shadow[crop])
    colours = np.zeros((*alpha.shape, 4), np.uint8)
    solid = alpha == 255
    colours[solid, :3] = photo[solid]
    colours[..., 3] = np.rint(alpha + (255.0 - alpha) * veil)
    rest = np.full_like(colours, NO_REST)
    soft = changed & ~solid
    a, dark = alpha[soft].astype(np.float32)[:, None] / 255, veil[soft][:, None]
    seen, behind = photo[soft].astype(np.float32), scene[soft] * (1 - dark) + _BLACK_YUV * dark
    own = _solid_colour(photo, alpha)[soft]
    trust = _TRUST / np.square(np.maximum(1 - a / _CLEAR, 0.01))
    own += a * (seen - a * own - (1 - a) * behind) * (trust / (a * a * trust + 1))
    own = np.where((depth[soft] == 0)[:, None], seen - (1 - a) * behind, np.clip(own, 0, 255) * a)
    own = np.rint(np.clip(own, 0, 255 * a) + _BLACK_YUV * (1 - a) * dark)
    colours[soft, :3] = own
    clear = 1 - colours[soft, 3:].astype(np.float32) / 255
    rest[soft, :3] = np.clip(np.rint((seen - own - np.rint(clear * scene[soft])) / 2 + NO_REST), 0, 255)
    return Product(colours, rest, (top, left), canvas)


def _veil(photo: np.ndarray, scene: np.ndarray, alpha: np.ndarray, shadow: np.ndarray) -> np.ndarray:
    """float32 [h, w], 0..1: how black the veil over `scene` is that shows `photo`; under a soft edge that beside it."""
    seen, behind = (np.maximum(image[..., 0] - _BLACK_YUV[0], 1) for image in (photo, scene))
    bare = shadow & (alpha == 0)
    opacity = np.where(bare, np.clip((1 - seen / behind - _GRAIN) / (1 - _GRAIN), 0, 1), 0).astype(np.float32)
    inwards = cv2.dilate(opacity, np.ones((5, 5), np.uint8))
    whole = np.where(alpha > 0, inwards, opacity) * (alpha < 255)
    depth = cv2.distanceTransform((shadow | (alpha > 0)).astype(np.uint8), cv2.DIST_L2, 3)
    return np.asarray(whole * np.clip(depth / _FEATHER, 0, 1), np.float32)


def _solid_colour(photo: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """float32 [h, w, 3]: the colour of the solid product nearest to each pixel, averaged over a few pixels of it."""
    solid = alpha >= min(_SOLID, int(alpha.max()))
    if not solid.any():
        return photo.astype(np.float32)
    weight = cv2.boxFilter(solid.astype(np.float32), -1, (5, 5))
    inner = cv2.bitwise_and(photo, photo, mask=solid.astype(np.uint8))
    mean = cv2.boxFilter(inner, cv2.CV_32F, (5, 5)) / np.maximum(weight, 1e-3)[..., None]
    _, nearest = cv2.distanceTransformWithLabels(
        (~solid).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    place = np.flatnonzero(solid)
    pixel_of_label = np.zeros(int(nearest.max()) + 1, np.int64)
    pixel_of_label[nearest.reshape(-1)[place]] = place
    return mean.reshape(-1, 3)[pixel_of_label[nearest]]
