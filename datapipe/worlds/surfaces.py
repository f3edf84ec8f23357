"""Surfaces as photographs have them: noise whose power falls with frequency, patches, gradients, bands of a landscape.

A picture here is float32 [side, side, 3], 0..255. What tells a thing from its ground must not be that one of the two is
plain, so both are painted with these.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from datapipe.worlds.materials import lit, mix, sample_colour
from datapipe.worlds.shapes import fourier
from datapipe.worlds.textures import MAKERS, sample_warped

Rng = np.random.Generator
Surface = Callable[[Rng, int, np.ndarray], np.ndarray]  # of a palette [n, 3]
TILES = tuple(MAKERS)


def palette(rng: Rng, count: int) -> np.ndarray:
    """[count, 3] colours that go together: most are greyed towards a common one, as light and dust do."""
    common = sample_colour(rng)[1]
    share, grey = float(rng.uniform(0, 0.7)), float(rng.uniform(0, 0.8))
    colours = []
    for _ in range(count):
        colour = mix(sample_colour(rng)[1], common, share)
        level = sum(colour) / 3
        colours.append(lit(mix(colour, (level, level, level), grey), float(np.exp(rng.normal(0, 0.5)))))
    return np.array(colours, np.float32)


def noise(rng: Rng, side: int, power: float, stretch: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
    """float32 [side, side], zero mean and unit deviation; its amplitude falls as frequency^-power."""
    fy = np.fft.fftfreq(side)[:, None] * side * stretch[1]
    fx = np.fft.rfftfreq(side)[None] * side * stretch[0]
    radius = np.sqrt(fx * fx + fy * fy)
    radius[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((side, side), np.float32)) * radius**-power
    field = np.fft.irfft2(spectrum, s=(side, side)).astype(np.float32)
    return field / max(float(field.std()), 1e-6)


def surface(rng: Rng, side: int, colours: np.ndarray | None = None) -> np.ndarray:
    """One of all kinds."""
    kind = KINDS[int(rng.choice(len(KINDS), p=SHARES))]
    return kind(rng, side, palette(rng, 4) if colours is None else colours)


def gradient(rng: Rng, side: int, colours: np.ndarray) -> np.ndarray:
    """From one colour to another across the picture, or away from a bright place."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        along = 0.5 + np.cos(angle) * x + np.sin(angle) * y
    else:
        cx, cy = rng.uniform(-0.6, 0.6, 2)
        along = np.sqrt((x - cx) ** 2 + (y - cy) ** 2) * rng.uniform(0.8, 1.6)
    return _between(along, colours[0], colours[1])


def cloudy(rng: Rng, side: int, colours: np.ndarray) -> np.ndarray:
    """Noise between two colours, tinted by slower noise: plaster, foliage, cloth, skin, gravel, sky."""
    stretch = (1.0, 1.0) if rng.random() < 0.6 else tuple(np.exp(rng.normal(0, 0.8, 2)).tolist())
    fine = noise(rng, side, float(rng.uniform(0.5, 2.0)), stretch)
    slow = noise(rng, side, float(rng.uniform(1.6, 2.4)))
    contrast = float(rng.uniform(0.05, 0.45))
    picture = _between(0.5 + 0.3 * slow, colours[0], colours[1])
    return picture * np.exp(contrast * fine)[..., None]


def patches(rng: Rng, side: int, colours: np.ndarray) -> np.ndarray:
    """Fallen leaves (Lee, Mumford & Huang, IJCV 2001): patches of all sizes over each other, each a little uneven."""
    picture = gradient(rng, side, colours)
    grain = noise(rng, side, float(rng.uniform(0.6, 1.6)))
    for _ in range(int(rng.integers(4, 40))):
        outline = _patch(rng, side)
        mask = np.zeros((side, side), np.uint8)
        cv2.fillPoly(mask, [outline], 255, cv2.LINE_AA, 4)
        x, y, w, h = cv2.boundingRect(outline // 16)
        box = np.s_[max(0, y - 1) : y + h + 2, max(0, x - 1) : x + w + 2]
        if not mask[box].size:
            continue
        colour = colours[int(rng.integers(len(colours)))] * np.float32(np.exp(rng.normal(0, 0.35)))
        painted = colour * np.exp(np.float32(rng.uniform(0, 0.3)) * grain[box])[..., None]
        picture[box] += (painted - picture[box]) * (mask[box].astype(np.float32) / 255)[..., None]
    return picture


def tiled(rng: Rng, side: int, colours: np.ndarray) -> np.ndarray:
    """A tile of `textures`, seen at any angle: bricks, leaves, planks, letters."""
    angle, scale = rng.uniform(0, 2 * np.pi), float(np.exp(rng.uniform(np.log(0.4), np.log(3)))) / side
    c, s = np.cos(angle) * scale, np.sin(angle) * scale
    lean = rng.normal(0, 0.3, 2) / side if rng.random() < 0.5 else (0.0, 0.0)
    matrix = np.array([[c, -s, rng.random()], [s, c, rng.random()], [*np.clip(lean, -0.4 / side, 0.4 / side), 1.0]])
    tile = TILES[int(rng.integers(len(TILES)))]
    values = sample_warped(tile, int(rng.integers(4)), matrix, (side, side), scale)
    return _between(values / 255, colours[0], colours[1])


def bands(rng: Rng, side: int, colours: np.ndarray) -> np.ndarray:
    """Two to four bands with rough borders: sky, hills, trees, ground; shelves; a table and a wall."""
    picture = cloudy(rng, side, colours[[0, 1]])
    rough = float(rng.choice([0.0, rng.uniform(0, 0.05)]))
    for k, level in enumerate(np.sort(rng.uniform(0.1, 0.95, int(rng.integers(1, 4))))):
        border = level * side + rough * side * noise(rng, side, 1.2)[0] + rng.normal(0, 0.1) * np.arange(side)
        below = np.clip(np.arange(side)[:, None] - border[None], 0, 1).astype(np.float32)[..., None]
        lower = cloudy(rng, side, colours[[(k + 1) % len(colours), (k + 2) % len(colours)]])
        picture += (lower - picture) * below
    return np.rot90(picture) if rng.random() < 0.12 else picture


def _between(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return (low + (high - low) * np.clip(values, 0, 1)[..., None]).astype(np.float32)


def _patch(rng: Rng, side: int) -> np.ndarray:
    """Fixed-point outline of a blob, a bar or a triangle, of a size whose logarithm is evenly spread."""
    size = side * float(np.exp(rng.uniform(np.log(0.04), np.log(0.5))))
    points = fourier(rng, 4, 0.5) if rng.random() < 0.5 else rng.uniform(-1, 1, (int(rng.integers(3, 5)), 2))
    if len(points) == 4:  # a bar
        points = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * rng.uniform(0.15, 1, 2)
    angle = rng.normal(0, 0.3) + np.pi / 2 * rng.integers(2)
    c, s = np.cos(angle), np.sin(angle)
    points = points @ np.array([[c, s], [-s, c]]) * size + rng.uniform(0, side, 2)
    return (points * 16).astype(np.int32)


KINDS: tuple[Surface, ...] = (gradient, cloudy, patches, tiled, bands)
SHARES = (0.15, 0.3, 0.2, 0.15, 0.2)
