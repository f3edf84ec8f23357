"""Camera moves as a pinhole camera makes them: what the worlds' films were drawn by, and the model was taught.

Isotropic coordinates: a frame of aspect a spans [-sqrt(a), sqrt(a)] x [-1/sqrt(a), 1/sqrt(a)], y down; the product is
at depth 1. The figures are those of `datapipe.worlds.motion` (`tests/engine/media/test_asked_camera.py` compares).

Legend: K keys, h w grid, last axis (x, y); nearness is 1 / depth in the photo, 1 at the product.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

FOCAL = 1.6
SHIFT, TRUCK_SHARE = 0.12, 0.3  # pan, tilt: travel as a share of the frame; how much of it has parallax
DOLLY_IN, DOLLY_OUT = 0.22, 0.20  # product depths
ORBIT_FAR = 0.12  # travel of what is infinitely far, as a share of the width
ROLL = np.deg2rad(7.0)

_NEAREST = 0.2  # depth of what comes nearest to the camera: nothing passes through it
_MOST_NEAR = 4.0  # nearness in a photo
_SOFT = 0.7  # cells: at an edge that is sharper than a field can be, what is behind it would be folded over
_BEYOND = 8  # cells past its border that a move may show: a fifth of a side
_STEEP = 0.1  # nearness a cell: more is no table, but a thing that ends at the border


@dataclass(frozen=True)
class Pinhole:
    """A camera move over one grid: where each cell's content comes from, at any size of the move (1: the full one)."""

    move: str  # as in `requests`; auto is one that does not move
    aspect: float
    points_hw2: np.ndarray  # centres of the cells
    pivot: tuple[float, float]  # the product's middle, which an orbit goes around

    @classmethod
    def over(cls, move: str, aspect: float, grid: tuple[int, int], pivot: tuple[float, float]) -> Pinhole:
        """`grid` is (h, w); `pivot` in fractions of the frame."""
        size = frame_size(aspect)
        y, x = ((np.arange(cells) + 0.5) / cells - 0.5 for cells in grid)
        points = np.stack(np.meshgrid(x, y), -1) * size
        middle = (np.array(pivot) - 0.5) * size
        return cls(move, aspect, points, (float(middle[0]), float(middle[1])))

    @property
    def orbits(self) -> bool:
        return self.move.startswith("orbit")

    def angle(self, sizes_K: np.ndarray) -> np.ndarray:
        """By which an orbit turns the world about the product's upright axis."""
        full = np.arctan(frame_size(self.aspect)[0] * ORBIT_FAR / FOCAL)
        return full * sizes_K * (1.0 if self.move == "orbit-right" else -1.0)

    def pose(self, sizes_K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World to camera: rotations [K, 3, 3], translations [K, 3] in product depths."""
        move, _, way = self.move.partition("-")
        signed_K = sizes_K * (-1.0 if way in ("right", "down") else 1.0)
        width, height = frame_size(self.aspect)
        yaw_K, pitch_K, roll_K, moved_K3 = *np.zeros((3, len(sizes_K))), np.zeros((len(sizes_K), 3))
        if move == "pan":
            yaw_K = np.arctan((1 - TRUCK_SHARE) * width * SHIFT / FOCAL * signed_K)
            moved_K3[:, 0] = TRUCK_SHARE * width * SHIFT / FOCAL * signed_K
        elif move == "tilt":
            pitch_K = np.arctan((1 - TRUCK_SHARE) * height * SHIFT / FOCAL * signed_K)
            moved_K3[:, 1] = TRUCK_SHARE * height * SHIFT / FOCAL * signed_K
        elif move == "dolly":
            moved_K3[:, 2] = -DOLLY_IN * sizes_K if way == "in" else DOLLY_OUT * sizes_K
        elif move == "roll":
            roll_K = ROLL * signed_K
        elif self.orbits:
            yaw_K = self.angle(sizes_K)
        rotation_K33 = _rotation(yaw_K, pitch_K, roll_K)
        if self.orbits:
            middle_3 = np.array([self.pivot[0] / FOCAL, self.pivot[1] / FOCAL, 1.0])
            moved_K3 = middle_3 - rotation_K33 @ middle_3
        return rotation_K33, moved_K3

    def flow(self, sizes_K: np.ndarray, nearness: np.ndarray | float) -> np.ndarray:
        """Backward flow [K, h, w, 2] of content that is so near in the photo: one number, [h, w] or [K, h, w]."""
        rays_Khw3, moved_K113 = self._seen(sizes_K)
        now_Khw = nearness * rays_Khw3[..., 2] / np.maximum(1 + nearness * moved_K113[..., 2], _NEAREST)
        source = rays_Khw3 - moved_K113 * now_Khw[..., None]
        return np.asarray(FOCAL * source[..., :2] / np.maximum(source[..., 2:], _NEAREST) - self.points_hw2)

    def product_flow(self, sizes_K: np.ndarray) -> np.ndarray:
        """Backward flow [K, h, w, 2] of the plane that the product stands in; an orbit turns around it."""
        return np.zeros((len(sizes_K), *self.points_hw2.shape)) if self.orbits else self.flow(sizes_K, 1.0)

    def scene_flow(
        self, sizes_K: np.ndarray, nearness_hw: np.ndarray, along_hw: np.ndarray | None = None
    ) -> np.ndarray:
        """Backward flow [K, h, w, 2] of a scene that is so near in the photo. What a cell shows came from elsewhere in
        it, and is as near as that place: its own flow tells which. As far as `along` says (0..1), it does what the
        product does instead: it lies in its plane, and an orbit carries that around without turning it.
        """
        if along_hw is None:
            return self._at_depths(sizes_K, nearness_hw)
        flow_Khw2 = self._at_depths(sizes_K, nearness_hw + along_hw * (1 - nearness_hw))
        return flow_Khw2 + along_hw[..., None] * (self.product_flow(sizes_K) - self.flow(sizes_K, 1.0))

    def _at_depths(self, sizes_K: np.ndarray, nearness_hw: np.ndarray) -> np.ndarray:
        nearness_hw = cv2.GaussianBlur(nearness_hw.astype(np.float32), (0, 0), _SOFT)
        cell = frame_size(self.aspect) / nearness_hw.shape[::-1]
        beyond = min(_BEYOND, *(side - 1 for side in nearness_hw.shape))
        wide = np.pad(nearness_hw, beyond, mode="reflect", reflect_type="odd")  # a table comes nearer up to the border
        edge = np.pad(nearness_hw, beyond, mode="edge")
        steep = _STEEP * np.pad(
            np.zeros_like(edge[beyond:-beyond, beyond:-beyond]), beyond, "linear_ramp", end_values=beyond
        )
        wide = np.clip(np.clip(wide, edge - steep, edge + steep), 0, _MOST_NEAR).astype(np.float32)
        flow_Khw2 = self.flow(sizes_K, wide[beyond:-beyond, beyond:-beyond])
        for _ in range(2):
            flow_Khw2 = self.flow(sizes_K, np.stack([_shifted(wide, flow / cell, beyond) for flow in flow_Khw2]))
        return flow_Khw2

    def _seen(self, sizes_K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each cell's ray, and the way the camera went, as the photo's camera sees them: [K, h, w, 3], [K, 1, 1, 3]."""
        rotation_K33, moved_K3 = self.pose(sizes_K)
        rays_hw3 = np.concatenate([self.points_hw2 / FOCAL, np.ones_like(self.points_hw2[..., :1])], -1)
        rays_Khw3 = np.einsum("hwj,kji->khwi", rays_hw3, rotation_K33)
        return rays_Khw3, np.einsum("kj,kji->ki", moved_K3, rotation_K33)[:, None, None, :]


def frame_size(aspect: float) -> np.ndarray:
    """Width and height of a frame of this aspect."""
    return 2 * np.array([np.sqrt(aspect), 1 / np.sqrt(aspect)])


def _shifted(wide_HW: np.ndarray, shift_hw2: np.ndarray, beyond: int) -> np.ndarray:
    """Values that lie `shift` cells (x, y) from each cell; they reach `beyond` the grid on every side."""
    y, x = np.mgrid[0 : shift_hw2.shape[0], 0 : shift_hw2.shape[1]] + beyond
    at_x, at_y = ((axis + shift_hw2[..., n]).astype(np.float32) for n, axis in enumerate((x, y)))
    return cv2.remap(wide_HW, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _rotation(yaw_K: np.ndarray, pitch_K: np.ndarray, roll_K: np.ndarray) -> np.ndarray:
    """Roll after pitch after yaw [K, 3, 3]; positive yaw and pitch move what is far to +x and +y."""
    made = np.tile(np.eye(3), (len(yaw_K), 1, 1))
    for angle_K, (i, j), sign in ((yaw_K, (0, 2), 1), (pitch_K, (1, 2), 1), (roll_K, (0, 1), -1)):
        turn = np.tile(np.eye(3), (len(yaw_K), 1, 1))
        turn[:, i, i] = turn[:, j, j] = np.cos(angle_K)
        turn[:, i, j], turn[:, j, i] = sign * np.sin(angle_K), -sign * np.sin(angle_K)
        made = turn @ made
    return made
