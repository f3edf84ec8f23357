"""The automatic product mask: a small network at a fixed size, then its outline drawn to the photo's own edges."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from engine.bundles import SHIPPED, Bundle, read_bundle
from engine.media.photo import open_photo
from engine.models.product_mask import SIDE, ProductMask
from engine.weights import load_model

SMALLEST_ISLAND = 0.08  # of the largest part: what is smaller is not product
WORKING_SIDE = 768  # longest side at which the outline is refined


class Masker:
    """The mask model of a bundle, loaded once."""

    def __init__(self, bundle: Bundle) -> None:
        self.model = load_model(bundle, ProductMask, "product_mask")

    @classmethod
    def load(cls, bundle: Path | None = None) -> Masker:
        """Read and verify a bundle (the shipped one by default)."""
        return cls(read_bundle(bundle or SHIPPED))

    def mask(self, photo: Path | np.ndarray) -> np.ndarray:
        """Soft mask uint8 [H, W] of a photo, 255 on the product; a photo's own alpha is taken as it is."""
        if isinstance(photo, Path):
            opened = open_photo(photo)
            if opened.alpha is not None:
                return opened.alpha
            photo = opened.rgb
        height, width = photo.shape[:2]
        factor = min(1.0, WORKING_SIDE / max(height, width))
        size = max(8, round(width * factor)), max(8, round(height * factor))
        working = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
        soft = refine(working, self.probability(working))
        full = cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.round(full * 255).astype(np.uint8)

    @torch.inference_mode()
    def probability(self, rgb: np.ndarray) -> np.ndarray:
        """Probability of 'product' [SIDE, SIDE], the mean over the photo and its mirror image."""
        small = cv2.resize(rgb, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        x = torch.from_numpy(small).permute(2, 0, 1).float()[None] / 127.5 - 1
        both = torch.sigmoid(self.model(torch.cat([x, x.flip(-1)])))
        return ((both[0, 0] + both[1, 0].flip(-1)) / 2).numpy()


def refine(rgb: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Soft mask [H, W] in 0..1 at the size of `rgb`, its outline drawn to the picture's edges, specks gone.

    Two passes: from far at half the size, where the network may be wrong by some cells, then near at the full size.
    """
    height, width = rgb.shape[:2]
    half = max(8, width // 2), max(8, height // 2)
    guide = rgb.astype(np.float32) / 255
    near = max(2, round(2 * max(height, width) / SIDE))
    coarse = cv2.resize(probability, half, interpolation=cv2.INTER_CUBIC).clip(0, 1)
    coarse = _firm(guided_filter(cv2.resize(guide, half, interpolation=cv2.INTER_AREA), coarse, near, 1e-4))
    fine = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    soft = _firm(guided_filter(guide, fine, near, 1e-4))
    return soft * _kept(soft)


def guided_filter(guide_HW3: np.ndarray, values_HW: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """Values that follow the guide's edges: a local linear model of its colours (He et al., ECCV 2010)."""

    def mean(x: np.ndarray) -> np.ndarray:
        return cv2.blur(x, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT)

    r, g, b = (np.ascontiguousarray(guide_HW3[..., k]) for k in range(3))
    mr, mg, mb, level = mean(r), mean(g), mean(b), mean(values_HW)
    # Symmetric 3 x 3 covariance of the colours; its inverse in closed form is ten times as fast as a solver.
    rr, gg, bb = mean(r * r) - mr * mr + epsilon, mean(g * g) - mg * mg + epsilon, mean(b * b) - mb * mb + epsilon
    rg, rb, gb = mean(r * g) - mr * mg, mean(r * b) - mr * mb, mean(g * b) - mg * mb
    cr, cg, cb = (mean(x * values_HW) - m * level for x, m in ((r, mr), (g, mg), (b, mb)))
    irr, irg, irb = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
    igg, igb, ibb = rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg
    determinant = np.maximum(rr * irr + rg * irg + rb * irb, epsilon**3)
    ar = (irr * cr + irg * cg + irb * cb) / determinant
    ag = (irg * cr + igg * cg + igb * cb) / determinant
    ab = (irb * cr + igb * cg + ibb * cb) / determinant
    offset = level - ar * mr - ag * mg - ab * mb
    return mean(ar) * r + mean(ag) * g + mean(ab) * b + mean(offset)


def _firm(values: np.ndarray) -> np.ndarray:
    """A steeper edge about one half."""
    return np.clip((values - 0.5) * 4 + 0.5, 0, 1)


def _kept(soft: np.ndarray) -> np.ndarray:
    """[H, W] of 0 and 1: drops islands much smaller than the largest part, with their soft rim."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((soft > 0.5).astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0  # the background
    large = np.isin(labels, np.flatnonzero(areas >= SMALLEST_ISLAND * areas.max()))
    rim = max(3, round(max(soft.shape) / SIDE * 2)) | 1
    return cv2.dilate((large & (labels > 0)).astype(soft.dtype), np.ones((rim, rim), np.uint8))
