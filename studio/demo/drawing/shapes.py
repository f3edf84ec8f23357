"""Signed distances of the few shapes that the photos need, after Inigo Quilez, and smooth noise for textures."""

import cv2
import numpy as np

Array = np.ndarray


def rounded_cylinder(p: Array, radius: float, low: float, high: float, edge: float) -> Array:
    """An upright cylinder from y=low to y=high with rounded rims."""
    x = np.hypot(p[:, 0], p[:, 2]) - radius + edge
    y = np.abs(p[:, 1] - (low + high) / 2) - (high - low) / 2 + edge
    outside = np.hypot(np.maximum(x, 0), np.maximum(y, 0))
    return np.asarray(np.minimum(np.maximum(x, y), 0) + outside - edge)


def capsule(p: Array, start: Array, end: Array, radius: float) -> Array:
    along = end - start
    share = np.clip((p - start) @ along / (along @ along), 0, 1)
    return np.asarray(np.linalg.norm(p - start - share[:, None] * along, axis=1) - radius)


def union(a: Array, b: Array, blend: float) -> Array:
    """The union with a fillet about `blend` wide."""
    h = np.clip(0.5 + 0.5 * (b - a) / blend, 0, 1)
    return np.asarray(b + (a - b) * h - blend * h * (1 - h))


def noise_table(seed: int, size: int = 512) -> Array:
    return np.random.default_rng(seed).random((size, size)).astype(np.float32)


def noise(table: Array, x: Array, y: Array) -> Array:
    """Smooth noise in 0..1, one cell per unit, repeating with the table."""
    size = table.shape[0]
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    u, v = x - column, y - row
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    left, right = column % size, (column + 1) % size
    top, bottom = row % size, (row + 1) % size
    above = table[top, left] * (1 - u) + table[top, right] * u
    below = table[bottom, left] * (1 - u) + table[bottom, right] * u
    return np.asarray(above * (1 - v) + below * v)


def octaves(table: Array, x: Array, y: Array, count: int = 4) -> Array:
    total, weight = np.zeros_like(x), 0.5
    for level in range(count):
        total += weight * noise(table, x * 2**level + 17 * level, y * 2**level + 5 * level)
        weight /= 2
    return total


def sampled(texture: Array, u: Array, v: Array) -> Array:
    """A texture [H,W,3] at u, v in 0..1 (v down), bilinear."""
    height, width = texture.shape[:2]
    x, y = (u * (width - 1)).astype(np.float32), (v * (height - 1)).astype(np.float32)
    rows = -(-len(x) // 8192)  # cv2.remap takes no picture wider than 32767
    pad = rows * 8192 - len(x)
    shape = (rows, 8192)
    maps = [np.pad(values, (0, pad)).reshape(shape) for values in (x, y)]
    found = cv2.remap(texture, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found.reshape(-1, 3)[: len(x)])
