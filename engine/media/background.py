"""What lies around the product in a photo: whether it can be continued beyond the photo's edge."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from engine.media.photo import Photo

Background = Literal["scene", "plain", "transparent"]


def background_kind(photo: Photo, mask: np.ndarray | None) -> Background:
    """Whether the background can be continued: transparent, plain (one colour or a smooth gradient) or a scene."""
    if photo.alpha is not None:
        return "transparent"
    scale = 192 / max(photo.size)
    size = tuple(max(8, round(side * scale)) for side in photo.size)
    small = cv2.resize(photo.rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    free = np.ones(small.shape[:2], bool)
    if mask is not None:
        solid = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
        free = cv2.dilate((solid > 12).astype(np.uint8), np.ones((7, 7), np.uint8)) == 0
    ring = np.ones_like(free)
    border = max(2, round(0.08 * min(size)))
    ring[border:-border, border:-border] = False
    if (free & ring).sum() < 0.25 * ring.sum():
        return "scene"
    off = _off_smooth(small, free)
    return "plain" if np.quantile(off[ring[free]], 0.97) < 7 and np.quantile(off, 0.8) < 7 else "scene"


def _off_smooth(small: np.ndarray, free: np.ndarray) -> np.ndarray:
    """How far each free pixel is off the best quadratic surface, largest channel, 0..255."""
    height, width = free.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    basis = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1)[free]
    colours = small[free]
    solution, *_ = np.linalg.lstsq(basis, colours, rcond=None)
    return np.abs(colours - basis @ solution).max(-1)
