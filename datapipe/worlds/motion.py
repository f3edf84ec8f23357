"""Exact motion of a layered scene: camera moves and subject motions as backward maps.

Coordinates are isotropic (see `scene.py`): a frame of aspect a spans [-sqrt(a), sqrt(a)] x [-1/sqrt(a), 1/sqrt(a)], y
down, pinhole focal FOCAL, the product at depth 1. A backward map tells, for a point of the frame at time tau, which
point of the photo (tau = 0) it shows. Legend: T key times, h x w grid, last axis (x, y).

Signs, as an editor names them: pan-left turns the camera left, so the picture travels right; tilt-up: the picture
travels down; orbit-left: the camera walks left around the product, so what lies behind travels left and the front of
the product right; roll-left: the camera leans left, so the picture turns clockwise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

FOCAL = 1.6
KEYS = 17  # key times of a clip, evenly spread over [0, 1]
CAMERA_MOVES = (
    "static",
    "pan-left",
    "pan-right",
    "tilt-up",
    "tilt-down",
    "dolly-in",
    "dolly-out",
    "orbit-left",
    "orbit-right",
    "roll-left",
    "roll-right",
)
SUBJECT_MOTIONS = ("still", "float", "turn", "light-sweep")

# The largest move at strength 1.
SHIFT = 0.12  # pan, tilt: product travel, as a share of the frame's width or height
TRUCK_SHARE = 0.3  # part of a pan or tilt that is travel of the camera and so has parallax
DOLLY_IN, DOLLY_OUT = 0.22, 0.20  # camera travel in product depths
ORBIT_FAR = 0.12  # travel of an infinitely far background, as a share of the width
ROLL = np.deg2rad(7.0)
FLOAT_HEIGHT = 0.035  # share of sqrt(frame area)
FLOAT_ROLL = np.deg2rad(2.5)
TURN = np.deg2rad(24.0)
SWEEP_GAIN = 0.5
BODY_MARGIN = 1.15  # the turned body is a little wider than its silhouette: its map stays smooth up to the outline


@dataclass(frozen=True)
class Motion:
    """What moves in a clip. Strengths are shares of the largest move; the rest is what a seed varies."""

    camera: str
    camera_strength: float
    subject: str
    subject_strength: float
    ease: float = 0.5  # 0 linear .. 1 smoothstep
    skew: float = 0.0  # early (> 0) or late (< 0) progress, share of what the easing leaves
    drift_x: float = 0.0  # small unasked travel of a camera that moves anyway, share of the width
    drift_y: float = 0.0
    cycles: float = 1.0  # of float
    sway: float = 1.0  # sign and size of the float's roll
    sweep_angle: float = 0.5
    sweep_width: float = 0.4

    def __post_init__(self) -> None:
        if self.camera not in CAMERA_MOVES or self.subject not in SUBJECT_MOTIONS:
            raise ValueError(f"unknown motion {self.camera!r} / {self.subject!r}")


def sample_motion(rng: np.random.Generator) -> Motion:
    """A motion with every move, motion and strength about equally frequent."""
    motion = Motion(
        camera=str(rng.choice(CAMERA_MOVES)),
        camera_strength=float(rng.uniform(0.1, 1.0)),
        subject=str(rng.choice(SUBJECT_MOTIONS, p=(0.34, 0.22, 0.22, 0.22))),
        subject_strength=float(rng.uniform(0.1, 1.0)),
    )
    return vary(motion, rng)


def vary(motion: Motion, rng: np.random.Generator) -> Motion:
    """The same asked motion as another seed would perform it."""
    ease = float(rng.uniform(0, 1))
    return replace(
        motion,
        ease=ease,
        skew=float(rng.uniform(-0.6, 0.6)),
        drift_x=float(rng.normal(0, 0.003)),
        drift_y=float(rng.normal(0, 0.003)),
        cycles=float(rng.choice((1.0, 1.5, 2.0))),
        sway=float(rng.uniform(-1, 1)),
        sweep_angle=float(rng.uniform(0.2, 0.8)),
        sweep_width=float(rng.uniform(0.3, 0.55)),
    )


def progress(motion: Motion, tau_T: np.ndarray) -> np.ndarray:
    """Monotone easing from 0 to 1."""
    smooth_T = tau_T * tau_T * (3 - 2 * tau_T)
    skew = motion.skew * (1 - motion.ease)
    return (1 - motion.ease) * tau_T + motion.ease * smooth_T + skew * tau_T * (1 - tau_T)


def grid_points(aspect: float, height: int, width: int) -> np.ndarray:
    """Isotropic coordinates of pixel centres, [h, w, 2]."""
    ax, ay = np.sqrt(aspect), 1 / np.sqrt(aspect)
    x_W = ((np.arange(width) + 0.5) / width * 2 - 1) * ax
    y_H = ((np.arange(height) + 0.5) / height * 2 - 1) * ay
    return np.stack(np.broadcast_arrays(x_W[None, :], y_H[:, None]), -1).astype(np.float32)


def camera_pose(motion: Motion, aspect: float, tau_T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """World to camera, without the orbit: rotations [T, 3, 3] and translations [T, 3] in product depths."""
    p_T = progress(motion, tau_T) * motion.camera_strength
    ax, ay = np.sqrt(aspect), 1 / np.sqrt(aspect)
    yaw_T, pitch_T, roll_T = np.zeros_like(p_T), np.zeros_like(p_T), np.zeros_like(p_T)
    t_T3 = np.zeros((len(tau_T), 3))
    move, _, way = motion.camera.partition("-")
    sign = -1.0 if way in ("right", "down") else 1.0
    if move == "pan":
        yaw_T = sign * np.arctan((1 - TRUCK_SHARE) * 2 * ax * SHIFT * p_T / FOCAL)
        t_T3[:, 0] = sign * TRUCK_SHARE * 2 * ax * SHIFT * p_T / FOCAL
    elif move == "tilt":
        pitch_T = sign * np.arctan((1 - TRUCK_SHARE) * 2 * ay * SHIFT * p_T / FOCAL)
        t_T3[:, 1] = sign * TRUCK_SHARE * 2 * ay * SHIFT * p_T / FOCAL
    elif move == "dolly":
        t_T3[:, 2] = -DOLLY_IN * p_T if way == "in" else DOLLY_OUT * p_T
    elif move == "roll":
        roll_T = sign * ROLL * p_T
    if move != "static":
        drift_T = progress(motion, tau_T)
        yaw_T = yaw_T + np.arctan(2 * ax * motion.drift_x * drift_T / FOCAL)
        pitch_T = pitch_T + np.arctan(2 * ay * motion.drift_y * drift_T / FOCAL)
    return _rotation(yaw_T, pitch_T, roll_T), t_T3


def orbit_angle(motion: Motion, aspect: float, tau_T: np.ndarray) -> np.ndarray:
    """Angle [T] by which the world turns about the product's upright axis; 0 for every move but an orbit."""
    if not motion.camera.startswith("orbit"):
        return np.zeros_like(tau_T)
    sign = -1.0 if motion.camera == "orbit-left" else 1.0
    far = 2 * np.sqrt(aspect) * ORBIT_FAR / FOCAL
    return sign * np.arctan(far) * motion.camera_strength * progress(motion, tau_T)


def plane_map(
    points_HW2: np.ndarray, rotation_T33: np.ndarray, translation_T3: np.ndarray, normal: np.ndarray, distance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Backward map of the plane normal . X = distance: photo points [T, h, w, 2] and where they lie before the
    camera.
    """
    forward_T33 = rotation_T33 + translation_T3[:, :, None] * (normal / distance)[None, None, :]
    backward_T33 = np.linalg.inv(forward_T33).astype(np.float32)
    rays_HW3 = np.concatenate([points_HW2 / FOCAL, np.ones_like(points_HW2[..., :1])], -1).astype(np.float32)
    source_TN3 = rays_HW3.reshape(-1, 3) @ backward_T33.transpose(0, 2, 1)
    depth_TN = np.ascontiguousarray(source_TN3[..., 2])
    visible_TN = depth_TN > 1e-3
    if not visible_TN.all():
        depth_TN[~visible_TN] = 1.0
    photo_TN2 = np.empty((*source_TN3.shape[:2], 2), np.float32)
    for axis in (0, 1):  # broadcasting over a last axis of two takes four times as long
        photo_TN2[..., axis] = source_TN3[..., axis] / depth_TN * FOCAL
    shape = (len(backward_T33), *points_HW2.shape[:2])
    return photo_TN2.reshape(*shape, 2), visible_TN.reshape(shape)


def world_pose(
    motion: Motion, aspect: float, pivot_xy: tuple[float, float], tau_T: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """World to camera with the orbit about the product at `pivot_xy`, depth 1: what every scene plane sees."""
    rotation_T33, translation_T3 = camera_pose(motion, aspect, tau_T)
    theta_T = orbit_angle(motion, aspect, tau_T)
    turn_T33 = _rotation(theta_T, np.zeros_like(theta_T), np.zeros_like(theta_T))
    pivot_3 = np.array([pivot_xy[0] / FOCAL, pivot_xy[1] / FOCAL, 1.0])
    offset_T3 = pivot_3 - turn_T33 @ pivot_3
    return rotation_T33 @ turn_T33, np.einsum("tij,tj->ti", rotation_T33, offset_T3) + translation_T3


def product_map(
    points_HW2: np.ndarray,
    motion: Motion,
    aspect: float,
    centre: tuple[float, float],
    half_width: float,
    bulge: float,
    tau_T: np.ndarray,
) -> np.ndarray:
    """Backward map of the product [T, h, w, 2]: camera, then float, then turn about its upright axis."""
    rotation_T33, translation_T3 = camera_pose(motion, aspect, tau_T)
    at_THW2, _ = plane_map(points_HW2, rotation_T33, translation_T3, np.array([0.0, 0.0, 1.0]), 1.0)
    local_THW2 = at_THW2 - np.asarray(centre, np.float32)
    lift_T, lean_T = _float(motion, tau_T)
    local_THW2 = local_THW2 - np.stack([np.zeros_like(lift_T), lift_T], -1)[:, None, None, :].astype(np.float32)
    local_THW2 = _rotate2(local_THW2, -lean_T)
    theta_T = orbit_angle(motion, aspect, tau_T) + _turn_angle(motion, tau_T)
    u_THW = _unturn(local_THW2[..., 0], half_width * BODY_MARGIN, bulge, theta_T)
    return np.stack([u_THW, local_THW2[..., 1]], -1) + np.asarray(centre, np.float32)


def product_points(
    photo_N2: np.ndarray,
    motion: Motion,
    aspect: float,
    centre: tuple[float, float],
    half_width: float,
    bulge: float,
    tau_T: np.ndarray,
) -> np.ndarray:
    """Where points of the product in the photo are at each time, [T, N, 2]: the inverse of `product_map`."""
    local_N2 = photo_N2 - np.asarray(centre)
    radius = half_width * BODY_MARGIN
    theta_T1 = (orbit_angle(motion, aspect, tau_T) + _turn_angle(motion, tau_T))[:, None]
    size = radius * np.sqrt(np.cos(theta_T1) ** 2 + (bulge * np.sin(theta_T1)) ** 2)
    psi = np.arctan2(bulge * np.sin(theta_T1), np.cos(theta_T1))
    u_TN = size * np.sin(np.arcsin(np.clip(local_N2[None, :, 0] / radius, -1, 1)) - psi)
    lift_T, lean_T = _float(motion, tau_T)
    turned_TN2 = _rotate2(np.stack([u_TN, np.broadcast_to(local_N2[:, 1], u_TN.shape)], -1)[:, None], lean_T)[:, 0]
    turned_TN2 = turned_TN2 + np.asarray(centre) + np.stack([np.zeros_like(lift_T), lift_T], -1)[:, None]
    rotation_T33, translation_T3 = camera_pose(motion, aspect, tau_T)
    forward_T33 = rotation_T33 + translation_T3[:, :, None] * np.array([0.0, 0.0, 1.0])
    rays_TN3 = np.concatenate([turned_TN2 / FOCAL, np.ones_like(u_TN)[..., None]], -1) @ forward_T33.transpose(0, 2, 1)
    return rays_TN3[..., :2] / rays_TN3[..., 2:] * FOCAL


def sweep_light(
    source_THW2: np.ndarray,
    motion: Motion,
    centre: tuple[float, float],
    half_size: tuple[float, float],
    tau_T: np.ndarray,
) -> np.ndarray:
    """Additive light [T, h, w] of a band that crosses the product once; 0 at the first key."""
    if motion.subject != "light-sweep":
        return np.zeros(source_THW2.shape[:3], np.float32)
    u_THW = (source_THW2[..., 0] - centre[0]) / half_size[0]
    v_THW = (source_THW2[..., 1] - centre[1]) / half_size[1]
    reach = 1 + motion.sweep_angle + 2.2 * motion.sweep_width
    where_T = (2 * progress(motion, tau_T) - 1) * reach
    band_THW = np.exp(-(((u_THW + motion.sweep_angle * v_THW - where_T[:, None, None]) / motion.sweep_width) ** 2))
    light_THW = SWEEP_GAIN * motion.subject_strength * (band_THW - band_THW[:1])
    return light_THW.astype(np.float32)


def _rotation(yaw_T: np.ndarray, pitch_T: np.ndarray, roll_T: np.ndarray) -> np.ndarray:
    """Roll after pitch after yaw, [T, 3, 3]; positive yaw and pitch move what is far to +x and +y."""
    one, zero = np.ones_like(yaw_T), np.zeros_like(yaw_T)

    def rows(*entries: np.ndarray) -> np.ndarray:
        return np.stack(entries, -1).reshape(-1, 3, 3)

    cy, sy = np.cos(yaw_T), np.sin(yaw_T)
    cp, sp = np.cos(pitch_T), np.sin(pitch_T)
    cr, sr = np.cos(roll_T), np.sin(roll_T)
    yaw = rows(cy, zero, sy, zero, one, zero, -sy, zero, cy)
    pitch = rows(one, zero, zero, zero, cp, sp, zero, -sp, cp)
    roll = rows(cr, -sr, zero, sr, cr, zero, zero, zero, one)
    return roll @ pitch @ yaw


def _float(motion: Motion, tau_T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lift (isotropic, negative is up) and lean (radians) of a floating product, [T] each."""
    if motion.subject != "float":
        return np.zeros_like(tau_T), np.zeros_like(tau_T)
    phase_T = np.sin(2 * np.pi * motion.cycles * tau_T)
    return (
        -2 * FLOAT_HEIGHT * motion.subject_strength * phase_T,
        FLOAT_ROLL * motion.subject_strength * motion.sway * phase_T,
    )


def _turn_angle(motion: Motion, tau_T: np.ndarray) -> np.ndarray:
    if motion.subject != "turn":
        return np.zeros_like(tau_T)
    return -TURN * motion.subject_strength * progress(motion, tau_T)


def _rotate2(points_THW2: np.ndarray, angle_T: np.ndarray) -> np.ndarray:
    c, s = np.cos(angle_T)[:, None, None].astype(np.float32), np.sin(angle_T)[:, None, None].astype(np.float32)
    x, y = points_THW2[..., 0], points_THW2[..., 1]
    return np.stack([c * x - s * y, s * x + c * y], -1)


def _unturn(u_THW: np.ndarray, radius: float, bulge: float, theta_T: np.ndarray) -> np.ndarray:
    """Where on the front of an elliptic cylinder (depth bulge * radius) the point u lay before it turned by theta.

    A front point at angle phi lies at radius * sin(phi); turned by theta it shows at radius * A * sin(phi - psi).
    """
    theta_T11 = theta_T[:, None, None].astype(np.float32)
    size = radius * np.sqrt(np.cos(theta_T11) ** 2 + (bulge * np.sin(theta_T11)) ** 2)
    psi = np.arctan2(bulge * np.sin(theta_T11), np.cos(theta_T11))
    inside_THW = np.clip(u_THW, -size, size)
    return radius * np.sin(np.arcsin(np.clip(inside_THW / size, -1, 1)) + psi) + (u_THW - inside_THW)
