"""The shadow under a cut-out product: on a bare backdrop it would hang in the air.

A backdrop tells nothing of light or floor, so the least is taken that studio photos have: the dark line where the
product touches, and a soft wide shade around it. Both follow the product's lower outline, which bends where the camera
looks down on it. A cut-out that brings a shadow or a glow of its own keeps that, and gets none.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

_SHORT = 320  # pixels of the short side on which shadows are drawn: they are soft
_SOLID = 0.5  # alpha from which a pixel is the product's
_FAINT = 0.04  # below it nobody sees a shadow of the cut-out's own
_RIM = 0.012  # of the short side: soft pixels nearer to the product are its edge
_LOW = 0.15  # of its height: where a shadow of its own would begin
_OWN = 0.02  # of the product's pixels: more soft ones beyond its edge are a shadow, smoke or glow
# All of the product's size, the geometric mean of width and height: how far above its lowest point its outline still
# stands on the ground, from where on not at all, and how high the part is that casts the shadow.
_STANDS, _HANGS = 0.05, 0.22
_FOOT = 0.05
# Standard deviation along and down, and how dark at the most: the line of contact, and the soft shade.
_SHADES = ((0.012, 0.008, 0.55), (0.07, 0.028, 0.3))
_BLACK = np.array([16, 128, 128], np.float32)


def grounded(photo: np.ndarray, scene: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Photo and scene, uint8 YUV [H, W, 3], of a cut-out with `alpha` [H, W], with its shadow in the scene: seen in the
    photo wherever the product lets it through.
    """
    veil = _veil(alpha)
    if veil is None:
        return photo, scene
    rows = np.flatnonzero(veil.max(1) > 1 / 512)
    band = slice(int(rows[0]), int(rows[-1]) + 1)
    scene, photo = scene.copy(), photo.copy()
    before = scene[band].astype(np.float32)
    after = before + (_BLACK - before) * veil[band, :, None]
    scene[band] = np.rint(after)
    through = 1 - alpha[band, :, None] / np.float32(255)
    photo[band] = np.clip(np.rint(photo[band] + (after - before) * through), 0, 255)
    return photo, scene


def _veil(alpha: np.ndarray) -> np.ndarray | None:
    """float32 [H, W], 0..1: how dark the scene gets; None for a product without a foot, or with a shadow of its own."""
    height, width = alpha.shape
    scale = min(1.0, _SHORT / min(height, width))
    size = max(2, round(width * scale)), max(2, round(height * scale))
    small = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    solid = small >= _SOLID
    if not solid.any() or solid[-1].any() or _has_its_own(small, solid):
        return None
    foot, extent = _foot(solid)
    dark = np.zeros_like(small)
    for along, down, most in _SHADES:
        blurred = cv2.GaussianBlur(foot, (0, 0), max(0.6, along * extent), sigmaY=max(0.6, down * extent))
        dark += (1 - dark) * most * np.minimum(1, blurred / max(float(blurred.max()), 1e-6))
    return cv2.resize(dark, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1)


def _has_its_own(small: np.ndarray, solid: np.ndarray) -> bool:
    """Looked for at its foot and below: higher up what is soft is glass, or hair."""
    _, top, _, tall = cv2.boundingRect(solid.astype(np.uint8))
    away = cv2.distanceTransform((~solid).astype(np.uint8), cv2.DIST_L2, 5)
    soft = (small > _FAINT) & (away > max(2.0, _RIM * min(small.shape)))
    return bool(soft[top + round((1 - _LOW) * tall) :].sum() > _OWN * solid.sum())


def _foot(solid: np.ndarray) -> tuple[np.ndarray, float]:
    """What stands on the ground, float32 [h, w] 0..1: the lowest part of each column that reaches down far enough, and
    the product's size.
    """
    height = len(solid)
    _, _, across, tall = cv2.boundingRect(solid.astype(np.uint8))
    extent = float(np.sqrt(across * tall))
    bottom = height - 1 - solid[::-1].argmax(0)
    lift = np.where(solid.any(0), bottom.max(where=solid.any(0), initial=0) - bottom, height) / extent
    stands = 1 - _smoothstep((lift - _STANDS) / (_HANGS - _STANDS))
    high = max(1.0, _FOOT * extent)
    above = bottom[None] - np.arange(height)[:, None]
    return (solid & (above >= 0) & (above < high)).astype(np.float32) * stands.astype(np.float32), extent


def _smoothstep(share: Any) -> Any:
    share = np.clip(share, 0, 1)
    return share * share * (3 - 2 * share)
