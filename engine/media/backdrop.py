"""The colours of a plain backdrop where the product hides it: they go on as they are around it.

What is mirrored at the product's borders brings its shadow along, and on white paper a grey cloud is seen that nobody
sees on a wall. So the fill is the smooth surface that the backdrop is, and only next to the hole what lies there.
"""

from __future__ import annotations

import cv2
import numpy as np

_SIDE = 96  # pixels of the short side on which the surface is fitted
_LEAST = 64  # pixels that are known there; fewer tell no gradient
_ROUNDS = 5
_OFF = 3.0  # levels of luma: what is farther off the surface is a shadow, or a reflection, and no backdrop
_OUTER = 0.01  # of the known pixels: no colour beyond theirs is made up
_NEAR = 0.03  # of the short side: so far into the hole what lies beside it is taken up
_UNDER = 0.06  # and so far a shadow
_RING = 0.01, 0.03  # of the short side, beside the hole: a shadow is dark there, a rim that the mask missed is narrower
_COARSE = 80  # cells of the short side: a shadow is soft


def fitted_backdrop(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """float32 [H, W, 3]: the best quadratic surface through what is known of `image` [H, W, 3], shadows left out."""
    scale = min(1.0, _SIDE / min(hole.shape))
    size = tuple(max(2, round(side * scale)) for side in hole.shape[::-1])
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    free = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA) == 0
    basis = _quadratic(size)
    if free.sum() < _LEAST:
        known = small[free] if free.any() else small.reshape(-1, 3)
        return np.broadcast_to(np.median(known, 0), image.shape).astype(np.float32)
    kept = free
    for _ in range(_ROUNDS):
        terms, *_ = np.linalg.lstsq(basis[kept], small[kept], rcond=None)
        off = np.abs(small - basis @ terms)[..., 0]
        limit = max(_OFF, float(np.quantile(off[free], 0.5)))
        kept = free & (off <= limit)
    low, high = np.quantile(small[kept], (_OUTER, 1 - _OUTER), axis=0)
    surface = np.clip(basis @ terms, low, high).astype(np.float32)
    return cv2.resize(surface, hole.shape[::-1], interpolation=cv2.INTER_LINEAR)


def with_shadow(image: np.ndarray, fill: np.ndarray, hole: np.ndarray, short_side: int) -> np.ndarray:
    """`fill` [H, W, 3] of the hole in `image` with the shadow that lies around it: it goes on under the product, and
    fades. Cut off at the outline, it would show a white print of the product where that moves on.
    """
    away = cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_L2, 5) / short_side
    ring = (away > _RING[0]) & (away < _RING[1])
    size = tuple(max(2, round(side * _COARSE / short_side)) for side in hole.shape[::-1])
    dark = np.where(ring, np.minimum(image[..., 0] - fill[..., 0], 0), 0).astype(np.float32)

    def spread(values: np.ndarray) -> np.ndarray:
        coarse = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
        return cv2.GaussianBlur(coarse, (0, 0), _UNDER * _COARSE / 2, borderType=cv2.BORDER_REPLICATE)

    under = spread(dark) / np.maximum(spread(ring.astype(np.float32)), 1e-3)
    under = cv2.resize(under, hole.shape[::-1], interpolation=cv2.INTER_LINEAR)
    shaded = fill.copy()
    shaded[..., 0] += under * near_the_border(hole, short_side, _UNDER)
    return shaded


def near_the_border(hole: np.ndarray, short_side: int, reach: float = _NEAR) -> np.ndarray:
    """float32 [H, W]: how far what lies beside the hole is taken up, 1 at its border."""
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 3)
    return np.asarray(np.exp(-np.square(depth / (reach * short_side))), np.float32)


def _quadratic(size: tuple[int, ...]) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : size[1] * 1j, -1 : 1 : size[0] * 1j].astype(np.float32)
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1)
