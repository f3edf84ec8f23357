"""The outline of a mask: where the photo's edges run, and which holes are ones."""

from __future__ import annotations

import cv2
import numpy as np

from engine.models.product_mask import SIDE

SMALLEST_ISLAND = 0.08  # of the largest part: what is smaller is not product
# An enclosed hole is a handle, with the background in it, or a mistake: a cup's content, an eye. A mistake tears when
# the product moves, a filled handle hardly shows; so a hole stays only where it clearly has the background's colours.
HOLE_LEAST = 0.003  # of the product's area: smaller holes are mistakes
HOLE_FROM_BACKGROUND = 8.0  # most distance of its colours to the nearest of the background's, in 8-bit Lab
HOLE_FROM_PRODUCT = 2.0  # times that distance: the least to the product's colours around it
HOLE_AROUND = 0.06  # of the picture: how far the colours are looked for
COLOURS = 256  # drawn of each


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
    return _solid(fill_holes(rgb, soft * _kept(soft)), near)


def fill_holes(rgb: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """The soft mask [H, W] without enclosed holes, but for those that show the background."""
    solid = soft > 0.5
    _, labels, stats, _ = cv2.connectedComponentsWithStats((~solid).astype(np.uint8), connectivity=4)
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32)
    mistaken, least = np.zeros_like(solid), HOLE_LEAST * solid.sum()
    for number, (x, y, width, height, area) in list(enumerate(stats))[1:]:
        enclosed = x > 0 and y > 0 and x + width < solid.shape[1] and y + height < solid.shape[0]
        if enclosed and (area < least or not _shows_background(lab, solid, labels == number)):
            mistaken |= labels == number
    rim = cv2.dilate(mistaken.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return np.where(rim & (mistaken | solid), np.asarray(1, soft.dtype), soft)


def _shows_background(lab: np.ndarray, solid: np.ndarray, hole: np.ndarray) -> bool:
    """Whether the colours in a hole are those beside the product rather than those of the product around the hole."""
    away = round(HOLE_AROUND * max(solid.shape)) | 1
    rest, outside = _grown(hole, away) & solid & ~_grown(hole, 7), _grown(solid, away) & ~_grown(solid | hole, 7)
    inner = cv2.erode(hole.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    inside = inner if inner.any() else hole
    if not outside.any():  # the product fills the picture: nothing says that the hole is a mistake
        return True
    if not rest.any():
        return False
    own, background, product = (_drawn(lab[where]) for where in (inside, outside, rest))
    off = _typical_distance(own, background)
    return off < HOLE_FROM_BACKGROUND and HOLE_FROM_PRODUCT * off < _typical_distance(own, product)


def _grown(where: np.ndarray, width: int) -> np.ndarray:
    return cv2.dilate(where.astype(np.uint8), np.ones((width, width), np.uint8)) > 0


def _drawn(colours_N3: np.ndarray) -> np.ndarray:
    """At most COLOURS of them, evenly: the same for the same picture."""
    return colours_N3[np.linspace(0, len(colours_N3) - 1, min(COLOURS, len(colours_N3))).astype(int)]


def _typical_distance(own_N3: np.ndarray, others_M3: np.ndarray) -> float:
    """Median over `own_N3` of the distance to the nearest of `others_M3`."""
    return float(np.median(np.sqrt(np.square(own_N3[:, None] - others_M3[None]).sum(-1).min(1))))


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


def _solid(soft: np.ndarray, width: int) -> np.ndarray:
    """0 or 1 but within `width` of the outline: elsewhere a value between is doubt, and no see-through edge."""
    inside = (soft > 0.5).astype(np.uint8)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 3) + cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3)
    return np.where(depth > width, inside.astype(soft.dtype), soft)


def _firm(values: np.ndarray) -> np.ndarray:
    """A steeper edge about one half."""
    return np.clip((values - 0.5) * 4 + 0.5, 0, 1)


def _kept(soft: np.ndarray) -> np.ndarray:
    """[H, W] of 0 and 1: drops islands much smaller than the largest part, with their soft rim."""
    rim = max(3, round(max(soft.shape) / SIDE * 2)) | 1
    return cv2.dilate(large_parts(soft).astype(soft.dtype), np.ones((rim, rim), np.uint8))


def large_parts(soft: np.ndarray) -> np.ndarray:
    """bool [H, W]: what is above one half, without islands much smaller than the largest part."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((soft > 0.5).astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0  # the background
    return np.isin(labels, np.flatnonzero(areas >= SMALLEST_ISLAND * max(1, areas.max()))) & (labels > 0)
