"""Camera moves as a pinhole camera makes them: what the worlds' films were drawn by, and the model was taught.

Isotropic coordinates: a frame of aspect a spans [-sqrt(a), sqrt(a)] x [-1/sqrt(a), 1/sqrt(a)], y down; the product is
at depth 1. The figures are those of `datapipe.worlds.motion` (`tests/engine/media/test_asked_camera.py` compares).

Legend: K keys, h w grid, last axis (x, y); nearness is 1 / depth in the photo, 1 at the product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FOCAL = 1.6
SHIFT, TRUCK_SHARE = 0.12, 0.3  # pan, tilt: travel as a share of the frame; how much of it has parallax
DOLLY_IN, DOLLY_OUT = 0.22, 0.20  # product depths
ORBIT_FAR = 0.12  # travel of what is infinitely far, as a share of the width
ROLL = np.deg2rad(7.0)

_NEAREST = 0.2  # depth of what comes nearest to the camera: nothing passes through it


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

    def nearness(self, sizes_K: np.ndarray, flow_Khw2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The nearness whose flow is nearest to this one; and a squared slope, how much it tells of it: [K, h, w]."""
        rays_Khw3, moved_K113 = self._seen(sizes_K)
        source_Khw2 = (self.points_hw2 + flow_Khw2) / FOCAL
        depth_Khw1 = rays_Khw3[..., 2:]
        slope = (source_Khw2 * moved_K113[..., 2:] - moved_K113[..., :2]) / depth_Khw1
        told = (source_Khw2 * depth_Khw1 - rays_Khw3[..., :2]) / depth_Khw1
        power_Khw = (slope * slope).sum(-1)
        now_Khw = (slope * told).sum(-1) / np.maximum(power_Khw, 1e-12)
        return now_Khw / np.maximum(rays_Khw3[..., 2] - now_Khw * moved_K113[..., 2], _NEAREST), power_Khw

    def _seen(self, sizes_K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each cell's ray, and the way the camera went, as the photo's camera sees them: [K, h, w, 3], [K, 1, 1, 3]."""
        rotation_K33, moved_K3 = self.pose(sizes_K)
        rays_hw3 = np.concatenate([self.points_hw2 / FOCAL, np.ones_like(self.points_hw2[..., :1])], -1)
        rays_Khw3 = np.einsum("hwj,kji->khwi", rays_hw3, rotation_K33)
        return rays_Khw3, np.einsum("kj,kji->ki", moved_K3, rotation_K33)[:, None, None, :]


def frame_size(aspect: float) -> np.ndarray:
    """Width and height of a frame of this aspect."""
    return 2 * np.array([np.sqrt(aspect), 1 / np.sqrt(aspect)])


def _rotation(yaw_K: np.ndarray, pitch_K: np.ndarray, roll_K: np.ndarray) -> np.ndarray:
    """Roll after pitch after yaw [K, 3, 3]; positive yaw and pitch move what is far to +x and +y."""
    made = np.tile(np.eye(3), (len(yaw_K), 1, 1))
    for angle_K, (i, j), sign in ((yaw_K, (0, 2), 1), (pitch_K, (1, 2), 1), (roll_K, (0, 1), -1)):
        turn = np.tile(np.eye(3), (len(yaw_K), 1, 1))
        turn[:, i, i] = turn[:, j, j] = np.cos(angle_K)
        turn[:, i, j], turn[:, j, i] = sign * np.sin(angle_K), -sign * np.sin(angle_K)
        made = turn @ made
    return made
