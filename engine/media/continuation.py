"""What lies beyond a photo: a plain background runs on, a scene dissolves into a soft blur, a cut product is mirrored.

Legend: `pads` (top, bottom, left, right), pixels added around.
"""

from __future__ import annotations

import cv2
import numpy as np

from engine.media.windows import Sides

Pads = tuple[int, int, int, int]

_MAX_DETAIL = 6.0  # levels of texture that a continued plain background repeats
# A scene is mirrored, so nothing jumps at the border, and blurred the more the farther from it: what is mirrored shows
# no shape of its own, and what the camera uncovers looks out of focus.
_BLUR_GROWTH = 0.45  # standard deviation of the blur for each pixel of distance
_MOST_BLUR = 0.1  # of the short side


def continue_plain(scene: np.ndarray, pads: Pads) -> np.ndarray:
    """The border's smooth colour runs on; its faint texture is mirrored, so that the grain does not stop."""
    smooth = cv2.GaussianBlur(scene, (0, 0), max(1.0, 0.02 * min(scene.shape[:2])), borderType=cv2.BORDER_REPLICATE)
    detail = np.clip(scene.astype(np.float32) - smooth, -_MAX_DETAIL, _MAX_DETAIL)
    far = cv2.copyMakeBorder(smooth, *pads, cv2.BORDER_REPLICATE)
    wide = np.clip(far + cv2.copyMakeBorder(detail, *pads, cv2.BORDER_REFLECT_101) + 0.5, 0, 255).astype(np.uint8)
    top, bottom, left, right = pads
    wide[top : wide.shape[0] - bottom, left : wide.shape[1] - right] = scene
    return wide


def continue_softly(scene: np.ndarray, pads: Pads, short_side: int) -> np.ndarray:
    """Mirrored and out of focus, more so with the distance; `short_side` of the output in pixels."""
    wide = cv2.copyMakeBorder(scene, *pads, cv2.BORDER_REFLECT_101)
    levels = _blurred(wide, int(np.ceil(np.log2(max(2.0, _MOST_BLUR * short_side)))))
    height, width = wide.shape[:2]
    top, bottom, left, right = pads
    sharp = wide.copy()
    for rows, columns in (
        (slice(0, top), slice(0, width)),
        (slice(height - bottom, height), slice(0, width)),
        (slice(top, height - bottom), slice(0, left)),
        (slice(top, height - bottom), slice(width - right, width)),
    ):
        if rows.start < rows.stop and columns.start < columns.stop:
            away = _distance(rows, columns, (top, height - bottom, left, width - right))
            sigma = np.clip(_BLUR_GROWTH * away, 1.0, max(2.0, _MOST_BLUR * short_side))
            wide[rows, columns] = _mix(sharp[rows, columns], levels, rows, columns, np.log2(sigma))
    return wide


def continue_product(product: np.ndarray, alpha: np.ndarray, pads: Pads, cut: Sides) -> tuple[np.ndarray, np.ndarray]:
    """Colours and alpha of a product: mirrored at the sides where it is `cut`, nothing beyond the others."""
    top, bottom, left, right = pads
    for pad, is_cut in (
        ((top, 0, 0, 0), cut.top),
        ((0, bottom, 0, 0), cut.bottom),
        ((0, 0, left, 0), cut.left),
        ((0, 0, 0, right), cut.right),
    ):
        alpha = cv2.copyMakeBorder(alpha, *pad, cv2.BORDER_REFLECT_101 if is_cut else cv2.BORDER_CONSTANT, value=0)
    return cv2.copyMakeBorder(product, *pads, cv2.BORDER_REFLECT_101), alpha


def _blurred(image: np.ndarray, count: int) -> list[np.ndarray]:
    """Level n (from 1) is blurred by 2^n pixels and as much smaller: its pixel (j, i) lies on (j, i) * 2^n. float32."""
    levels: list[np.ndarray] = []
    smaller: np.ndarray = image.astype(np.float32)
    for _ in range(count):
        smaller = cv2.pyrDown(smaller)  # blurs by 1 pixel: in all by 0.58 * 2^n
        levels.append(cv2.GaussianBlur(smaller, (0, 0), 0.8, borderType=cv2.BORDER_REFLECT_101))
    return levels


def _mix(sharp: np.ndarray, levels: list[np.ndarray], rows: slice, columns: slice, level: np.ndarray) -> np.ndarray:
    """Each pixel of a part from the two levels next to its own; level 0 is `sharp`."""
    total = sharp * np.maximum(0, 1 - level)[..., None]
    for number, image in enumerate(levels, 1):
        weight = np.maximum(0, 1 - np.abs(level - number))
        if weight.any():
            total += _part(image, rows, columns, number, level.shape) * weight[..., None]
    return np.rint(total).astype(np.uint8)


def _part(image: np.ndarray, rows: slice, columns: slice, number: int, shape: tuple[int, ...]) -> np.ndarray:
    """A part of the full picture enlarged out of a level."""
    factor = 0.5**number
    place = np.array([[factor, 0, columns.start * factor], [0, factor, rows.start * factor]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, place, (shape[1], shape[0]), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _distance(rows: slice, columns: slice, photo: tuple[int, int, int, int]) -> np.ndarray:
    """Pixels from the photo (top, bottom, left, right), float32 [h, w]."""
    y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
    x = np.arange(columns.start, columns.stop, dtype=np.float32)[None, :]
    away_y = np.maximum(0, np.maximum(photo[0] - y, y - photo[1] + 1))
    away_x = np.maximum(0, np.maximum(photo[2] - x, x - photo[3] + 1))
    return np.hypot(away_x, away_y)
