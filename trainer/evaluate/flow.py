"""Motion read from pixels: OpenCV's DIS optical flow, where there is texture to hold on to, and fits to it.

Flow fields are float32 [h, w, 2] in pixels of a picture whose short side has `SIDE` pixels; positions are (x, y).
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

SIDE = 360  # short side of the pictures that flow is measured on
TEXTURE = 2.5  # least standard deviation of grey levels around a pixel that can be followed
_AROUND = 9  # pixels across that neighbourhood
_ROUNDS = 4  # of reweighting in robust fits
_NONE: Any = None


def small(frame: np.ndarray) -> np.ndarray:
    """A frame as grey uint8 [h, w] at the measuring size."""
    height, width = frame.shape[:2]
    factor = SIDE / min(height, width)
    size = round(width * factor), round(height * factor)
    return cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)


def small_mask(mask: np.ndarray) -> np.ndarray:
    """A mask uint8 at the measuring size, as 0..1 float32."""
    height, width = mask.shape
    factor = SIDE / min(height, width)
    size = round(width * factor), round(height * factor)
    return cv2.resize(mask, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def forward_flows(pictures: list[np.ndarray]) -> list[np.ndarray]:
    """Flow from the first picture to each later one; every search starts at the flow before."""
    return _flows(pictures, forward=True)


def backward_flows(pictures: list[np.ndarray]) -> list[np.ndarray]:
    """Flow from each later picture back to the first."""
    return _flows(pictures, forward=False)


def textured(picture: np.ndarray) -> np.ndarray:
    """Bool [h, w]: where there is enough texture to measure motion."""
    values = picture.astype(np.float32)
    kernel = (_AROUND, _AROUND)
    mean = cv2.GaussianBlur(values, kernel, 0)
    deviation = np.sqrt(np.maximum(cv2.GaussianBlur(values * values, kernel, 0) - mean * mean, 0))
    return deviation > TEXTURE


def eroded(mask: np.ndarray, pixels: int) -> np.ndarray:
    """A bool mask without a border of `pixels`; the frame's own edge is no border."""
    element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return cv2.erode(mask.astype(np.uint8), element) > 0


def fit_similarity(flow: np.ndarray, where: np.ndarray) -> tuple[float, float, float, float]:
    """(dx, dy) in pixels at the middle of `where`, log-scale and clockwise rotation in radians, robustly."""
    points, moves = _samples(flow, where)
    middle = points.mean(0)
    points = points - middle
    weight = np.ones(len(points))
    fitted = np.zeros(4)
    for _ in range(_ROUNDS):
        fitted = _weighted_similarity(points, moves, weight)
        off = np.linalg.norm(moves - _similar(points, fitted), axis=1)
        weight = 1 / np.maximum(1, off / max(0.3, 1.5 * float(np.median(off))))
    a, b = 1 + fitted[2], fitted[3]
    return float(fitted[0]), float(fitted[1]), float(np.log(np.hypot(a, b))), float(np.arctan2(b, a))


def fit_homography(flow: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The 3 x 3 map x -> x + flow that fits best: a plain least-squares DLT, and two rounds of reweighting."""
    points, moves = _samples(flow, where)
    matrix = _dlt(points, points + moves, np.ones(len(points)))
    for _ in range(2):
        off = np.linalg.norm(apply_homography(matrix, points) - points - moves, axis=1)
        matrix = _dlt(points, points + moves, 1 / np.maximum(1, off / max(0.2, 1.5 * float(np.median(off)))))
    return matrix


def plain_homography(flow: np.ndarray, where: np.ndarray) -> np.ndarray:
    """`fit_homography` without reweighting: every pixel counts alike."""
    points, moves = _samples(flow, where)
    return _dlt(points, points + moves, np.ones(len(points)))


def homography_flow(matrix: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The flow [h, w, 2] that a homography makes."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float64)
    points = np.stack([x, y], -1).reshape(-1, 2)
    return (apply_homography(matrix, points) - points).reshape(*shape, 2).astype(np.float32)


def apply_homography(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    moved = np.c_[points, np.ones(len(points))] @ matrix.T
    return moved[:, :2] / moved[:, 2:]


def _flows(pictures: list[np.ndarray], *, forward: bool) -> list[np.ndarray]:
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    first, found = pictures[0], []
    flow: Any = None
    for later in pictures[1:]:
        pair = (first, later) if forward else (later, first)
        flow = dis.calc(*pair, _NONE if flow is None else flow.copy())
        found.append(flow.copy())
    return found


def _samples(flow: np.ndarray, where: np.ndarray, most: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Positions [n, 2] and their flow [n, 2] of the pixels of `where`, evenly thinned."""
    y, x = np.nonzero(where)
    step = max(1, len(y) // most)
    y, x = y[::step], x[::step]
    return np.stack([x, y], -1).astype(np.float64), flow[y, x].astype(np.float64)


def _weighted_similarity(points: np.ndarray, moves: np.ndarray, weight: np.ndarray) -> np.ndarray:
    x, y = points.T
    one, zero = np.ones_like(x), np.zeros_like(x)
    rows = np.concatenate([np.stack([one, zero, x, -y], 1), np.stack([zero, one, y, x], 1)])
    root = np.sqrt(np.concatenate([weight, weight]))
    solution, *_ = np.linalg.lstsq(rows * root[:, None], moves.T.reshape(-1) * root, rcond=None)
    return solution


def _similar(points: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    dx, dy, s, r = fitted
    return np.stack([dx + s * points[:, 0] - r * points[:, 1], dy + r * points[:, 0] + s * points[:, 1]], 1)


def _dlt(source: np.ndarray, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted direct linear transform with Hartley's normalisation."""
    to_source, to_target = _normaliser(source), _normaliser(target)
    x, y = apply_homography(to_source, source).T
    u, v = apply_homography(to_target, target).T
    one, zero = np.ones_like(x), np.zeros_like(x)
    above = np.stack([x, y, one, zero, zero, zero, -u * x, -u * y, -u], 1)
    below = np.stack([zero, zero, zero, x, y, one, -v * x, -v * y, -v], 1)
    root = np.sqrt(weight)[:, None]
    rows = np.concatenate([above * root, below * root])
    _, vectors = np.linalg.eigh(rows.T @ rows)
    matrix = np.linalg.inv(to_target) @ vectors[:, 0].reshape(3, 3) @ to_source
    return matrix / matrix[2, 2]


def _normaliser(points: np.ndarray) -> np.ndarray:
    middle = points.mean(0)
    scale = np.sqrt(2) / max(float(np.linalg.norm(points - middle, axis=1).mean()), 1e-9)
    return np.array([[scale, 0, -scale * middle[0]], [0, scale, -scale * middle[1]], [0, 0, 1]])
