"""What lies beyond a photo: a plain background runs on, a scene dissolves into its colours, a cut product
is stretched.

Legend: `pads` (top, bottom, left, right), pixels added around.
"""

from __future__ import annotations

import cv2
import numpy as np

from engine.media.subject import Sides

Pads = tuple[int, int, int, int]

_MAX_DETAIL = 6.0  # levels of texture that a continued plain background repeats
# Of a scene the border's own smooth colours run on, spread out the more the farther from it, so that one thing at the
# border does not become a column, as a backdrop of soft light. Over them lie the shapes, mirrored, so nothing jumps at
# the border, and blurred with the distance until none is left, so that none shows twice. The colours are not mirrored:
# gradients would turn around (a band across the sky), and deep in the photo are colours that nothing there explains.
# The photo's grain lies over all of it, or the picture would look half out of focus.
_LOWS = 0.05  # of the short side: standard deviation that tells colours from shapes
_SPREAD_GROWTH = 1.0  # standard deviation for each pixel of distance, of the colours
_MOST_SPREAD = 0.35  # of the short side
_BLUR_GROWTH = 0.25  # of the shapes
_MOST_BLUR = 0.1  # of the short side
_MIRRORED = 0.03  # of the short side: beyond, nothing mirrored is left
_SHARP = 0.02  # of the short side: beyond, what is mirrored has lost its own grain
_GRAIN_FROM = 0.1  # of the short side: the border whose grain is taken
_MOST_GRAIN = 4.0  # levels; more is texture, of which no noise makes more
_TILE = 512  # pixels, after which the grain repeats
_MEDIAN_TO_DEVIATION = 1.4826  # of the normal distribution: robust against edges


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
    """The border's colours spread out, and its shapes mirrored, out of focus with the distance, until none is left.

    `short_side`: of the output, in pixels.
    """
    wide = cv2.copyMakeBorder(scene, *pads, cv2.BORDER_REFLECT_101)
    lows = _smoothed(scene, max(1.5, _LOWS * short_side))
    mirrored = cv2.subtract(wide, cv2.copyMakeBorder(lows, *pads, cv2.BORDER_REFLECT_101), dtype=cv2.CV_16S)
    shapes = _Blurred(mirrored, _MOST_BLUR * short_side)
    colours = _Blurred(cv2.copyMakeBorder(lows, *pads, cv2.BORDER_REPLICATE), _MOST_SPREAD * short_side)
    height, width = wide.shape[:2]
    top, bottom, left, right = pads
    photo = top, height - bottom, left, width - right
    near = max(8, round(_GRAIN_FROM * short_side))
    for rows, columns, beside in (
        (slice(0, top), slice(0, width), scene[:near]),
        (slice(height - bottom, height), slice(0, width), scene[-near:]),
        (slice(top, height - bottom), slice(0, left), scene[:, :near]),
        (slice(top, height - bottom), slice(width - right, width), scene[:, -near:]),
    ):
        if rows.start < rows.stop and columns.start < columns.stop:
            away = _distance(rows, columns, photo)
            share = _ease(away / (_MIRRORED * short_side))[..., None]
            lost = _ease(away / (_SHARP * short_side))[..., None]  # of the photo's own grain, blurred away
            part = shapes.part(rows, columns, _BLUR_GROWTH * away) * (1 - share)
            part += colours.part(rows, columns, _SPREAD_GROWTH * away)
            part += _grain(beside, part.shape) * lost
            wide[rows, columns] = np.clip(part + 0.5, 0, 255).astype(np.uint8)
    return wide


def continue_product(product: np.ndarray, alpha: np.ndarray, pads: Pads, cut: Sides) -> tuple[np.ndarray, np.ndarray]:
    """Colours and alpha of a product: stretched at the sides where it is `cut`, nothing beyond the others.

    `fields.fit_to_canvas` lets no more than a few pixels of that be seen, which would be a label upside down if they
    were mirrored.
    """
    top, bottom, left, right = pads
    for pad, is_cut in (
        ((top, 0, 0, 0), cut.top),
        ((0, bottom, 0, 0), cut.bottom),
        ((0, 0, left, 0), cut.left),
        ((0, 0, 0, right), cut.right),
    ):
        alpha = cv2.copyMakeBorder(alpha, *pad, cv2.BORDER_REPLICATE if is_cut else cv2.BORDER_CONSTANT, value=0)
    return cv2.copyMakeBorder(product, *pads, cv2.BORDER_REPLICATE), alpha


class _Blurred:
    """A picture [H, W, 3] that can be read at any blur up to `most` (standard deviation in pixels)."""

    def __init__(self, image: np.ndarray, most: float) -> None:
        self.sharp, self.most = image.copy(), max(2.0, most)
        # Level n (from 1) is blurred by 2^n pixels and as much smaller: its pixel (j, i) lies on (j, i) * 2^n.
        self.levels: list[np.ndarray] = []
        smaller = image
        for number in range(int(np.ceil(np.log2(self.most)))):
            smaller = cv2.pyrDown(smaller)  # blurs by 1 pixel: in all by 0.58 * 2^n
            if number == 0:
                smaller = smaller.astype(np.float32)  # from here on: in bytes the first is four times as fast
            self.levels.append(cv2.GaussianBlur(smaller, (0, 0), 0.8, borderType=cv2.BORDER_REFLECT_101))

    def part(self, rows: slice, columns: slice, sigma: np.ndarray) -> np.ndarray:
        """float32 [h, w, 3]: each pixel from the two levels next to its own `sigma` [h, w]; level 0 is sharp."""
        level = np.log2(np.clip(sigma, 1.0, self.most)).astype(np.float32)
        total = self.sharp[rows, columns] * np.maximum(0, 1 - level)[..., None]
        for number, image in enumerate(self.levels, 1):
            weight = np.maximum(0, 1 - np.abs(level - number))
            if weight.any():
                total += _enlarged(image, rows, columns, number) * weight[..., None]
        return total


def _smoothed(image: np.ndarray, sigma: float) -> np.ndarray:
    """Nearly a Gaussian, in a time that does not grow with `sigma`: two boxes, each with half of its variance."""
    width = round(np.sqrt(6.0) * sigma) | 1
    for _ in range(2):
        image = cv2.blur(image, (width, width), borderType=cv2.BORDER_REFLECT_101)
    return image


def _enlarged(image: np.ndarray, rows: slice, columns: slice, number: int) -> np.ndarray:
    """A part of the full picture out of level `number`; cubic, or the creases between its pixels show as lines."""
    factor = 0.5**number
    place = np.array([[factor, 0, columns.start * factor], [0, factor, rows.start * factor]], np.float32)
    size = columns.stop - columns.start, rows.stop - rows.start
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, place, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _grain(beside: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Noise [h, w, 3] of `shape`, float32, as strong as that of `beside` in its two finest octaves: always the same."""
    noise = np.random.default_rng(0).standard_normal((_TILE, _TILE, 3), np.float32)
    tile = np.zeros_like(noise)
    for ours, theirs in zip(_octaves(noise), _octaves(beside.astype(np.float32)), strict=True):
        strength = np.minimum(_MEDIAN_TO_DEVIATION * np.median(np.abs(theirs), (0, 1)), _MOST_GRAIN)
        tile += ours * (strength / ours.std((0, 1))).astype(np.float32)
    height, width = shape[:2]
    return np.tile(tile, (-(-height // _TILE), -(-width // _TILE), 1))[:height, :width]


def _octaves(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    fine, coarse = (cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101) for sigma in (0.8, 1.6))
    return image - fine, fine - coarse


def _ease(x: np.ndarray) -> np.ndarray:
    """0..1, smooth at both ends."""
    x = np.clip(x, 0, 1)
    return np.asarray(x * x * (3 - 2 * x), np.float32)


def _distance(rows: slice, columns: slice, photo: tuple[int, int, int, int]) -> np.ndarray:
    """Pixels from the photo (top, bottom, left, right), float32 [h, w]."""
    y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
    x = np.arange(columns.start, columns.stop, dtype=np.float32)[None, :]
    away_y = np.maximum(0, np.maximum(photo[0] - y, y - photo[1] + 1))
    away_x = np.maximum(0, np.maximum(photo[2] - x, x - photo[3] + 1))
    return np.hypot(away_x, away_y)
