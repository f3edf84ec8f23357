"""A product before a camera, that floats and turns about its upright axis: how the worlds draw one, and the model was
taught. Seen from above it is an ellipse as wide as the product, whose depth is `bulge` of its width: 1 for a bottle,
0.3 for a box.

Isotropic coordinates, as in `pinhole`. Legend: K keys, h w grid, last axis (x, y).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TURN = np.deg2rad(24.0)  # at strength 1; its front goes left
BODY_MARGIN = 1.15  # the turned body is a little wider than its outline: its map stays smooth up to there
BULGES = np.linspace(0.25, 1.0, 6)

_UP = 0.4  # of the greatest lift: once more below that, and it rises anew
_LEAST_OF_COLUMNS = 0.08  # of the fullest row or column of a mask: less is a speck beside the product


@dataclass(frozen=True)
class Extent:
    """How far a product reaches, in fractions of the window."""

    middle: tuple[float, float]
    half_width: float

    @classmethod
    def around(cls, mask_HW: np.ndarray, window: tuple[float, float, float, float] | None = None) -> Extent:
        """The window itself where there is no product. `window`: x0, y0, width and height of it in pixels of the mask,
        which may go on beyond it; all of the mask without it.
        """
        x0, y0, width, height = window or (0, 0, mask_HW.shape[1], mask_HW.shape[0])
        if not (mask_HW > 0.5).any():
            return cls((0.5, 0.5), 0.5)
        ends = []
        for axis, start, size in ((0, x0, width), (1, y0, height)):
            held = (mask_HW > 0.5).sum(axis)
            some = np.flatnonzero(held > _LEAST_OF_COLUMNS * held.max())
            ends.append(((some[0] - start) / size, (some[-1] + 1 - start) / size))
        (left, right), (top, bottom) = ends
        return cls(((left + right) / 2, (top + bottom) / 2), (right - left) / 2)


@dataclass(frozen=True)
class Body:
    """A product by the box around it."""

    points_hw2: np.ndarray  # centres of the cells
    middle: np.ndarray  # of the box
    half_width: float

    def flow(self, plane_Khw2: np.ndarray, angles_K: np.ndarray, bulge: float) -> np.ndarray:
        """Backward flow [K, h, w, 2]: that of the plane the product stands in (the camera's), then the turn."""
        at = plane_Khw2 + self.points_hw2
        across = self._unturned(at[..., 0] - self.middle[0], angles_K[:, None, None], bulge)
        return np.stack([across + self.middle[0], at[..., 1]], -1) - self.points_hw2

    def floating(
        self, left_Khw2: np.ndarray, plane_Khw2: np.ndarray, weight_Khw: np.ndarray, *, rises: bool = False
    ) -> np.ndarray:
        """The nearest to what is left of a flow that lift and lean alone make, key by key; or what only `rises` as high
        as that.
        """
        x, y = np.moveaxis(self.points_hw2 + plane_Khw2 - self.middle, -1, 0)
        lift, lean = np.stack([np.zeros_like(x), np.ones_like(x)], -1), np.stack([y, -x], -1)
        terms = np.stack([lift, lean], -1)
        moment = np.einsum("khw,khwci,khwcj->kij", weight_Khw, terms, terms) + 1e-9 * np.eye(2)
        told = np.einsum("khw,khwci,khwc->ki", weight_Khw, terms, left_Khw2)
        found_K2 = np.linalg.solve(moment, told[..., None])[..., 0]
        return np.einsum("khwci,ki->khwc", terms, _risen(found_K2) if rises else found_K2)

    def _unturned(self, across_Khw: np.ndarray, angle_K11: np.ndarray, bulge: float) -> np.ndarray:
        """Where a column was before the turn: at angle phi on the front it lay at radius x sin(phi)."""
        radius = self.half_width * BODY_MARGIN
        sine, cosine = bulge * np.sin(angle_K11), np.cos(angle_K11)
        size = radius * np.hypot(cosine, sine)
        inside = np.clip(across_Khw, -size, size)
        before = np.arcsin(np.clip(inside / size, -1, 1)) + np.arctan2(sine, cosine)
        return radius * np.sin(before) + (across_Khw - inside)


def _risen(found_K2: np.ndarray) -> np.ndarray:
    """Lift and lean of a product that rises from rest and comes back to it, as often and as high as what was found.

    That is a sine, as the worlds draw it: it starts and ends at full speed, and sinks into the floor by as much as it
    rises. A lean is a share of the lift there. What never rises stays as it is.
    """
    lift_K, lean_K = found_K2.T
    if lift_K.max() <= 0:
        return found_K2
    is_up = np.concatenate([[False], lift_K > _UP * lift_K.max()])
    times = np.count_nonzero(is_up[1:] & ~is_up[:-1])
    path_K = (1 - np.cos(2 * np.pi * times * np.linspace(0, 1, len(lift_K) + 1)[1:])) / 2
    leans = float((lean_K * lift_K).sum() / (lift_K * lift_K).sum())
    return (lift_K.max() * path_K)[:, None] * np.array([1.0, leans])
