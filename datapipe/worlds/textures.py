"""Periodic grey texture tiles, and how to sample one at any resolution.

A tile is 512 x 512 uint8 and one texture period. Tiles are made once per process and kept with their half-size levels,
so that a small picture samples an already averaged tile and a large one shows the same picture with more detail.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np

SIZE = 512
VARIANTS = 4

Rng = np.random.Generator


def _stretch(field: np.ndarray, low: float = 1.0, high: float = 99.0) -> np.ndarray:
    """Scale a float field to 0..1 between two percentiles."""
    a, b = np.percentile(field, (low, high))
    return np.clip((field - a) / max(b - a, 1e-6), 0, 1).astype(np.float32)


def _spectrum(rng: Rng, power: float, stretch_x: float = 1.0, stretch_y: float = 1.0) -> np.ndarray:
    """Periodic noise whose amplitude falls as frequency^-power; a stretch > 1 elongates it along that axis."""
    fy = np.fft.fftfreq(SIZE)[:, None] * SIZE * stretch_y
    fx = np.fft.rfftfreq(SIZE)[None] * SIZE * stretch_x
    radius = np.sqrt(fx * fx + fy * fy)
    radius[0, 0] = 1
    white = np.fft.rfft2(rng.standard_normal((SIZE, SIZE)))
    amplitude = radius**-power
    amplitude[0, 0] = 0
    return _stretch(np.fft.irfft2(white * amplitude, s=(SIZE, SIZE)))


def _axes() -> tuple[np.ndarray, np.ndarray]:
    t = (np.arange(SIZE, dtype=np.float32) + 0.5) / SIZE
    return t[None, :], t[:, None]


def _wrap_lookup(field: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """The field displaced by (dx, dy) pixels, with wrap-around."""
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    return field[(y + dy).astype(int) % SIZE, (x + dx).astype(int) % SIZE]


def _grid(rng: Rng, nx: int, ny: int, gap: float, shift: float, tone: float) -> np.ndarray:
    """Rows of cells with a dark joint; odd rows are moved by `shift` cells."""
    x, y = _axes()
    row = np.floor(y * ny).astype(int)
    along = (x * nx + (row % 2) * shift) % nx
    cell = np.floor(along).astype(int)
    tones = 0.75 + tone * (rng.random((ny, nx)) - 0.5)
    edge_x = np.minimum(along % 1, 1 - along % 1) / nx
    edge_y = np.minimum(y * ny % 1, 1 - y * ny % 1) / ny
    joint = np.clip((np.minimum(edge_x, edge_y) - gap * 0.3) / (gap * 0.7), 0, 1)
    return tones[row % ny, cell % nx] * (0.25 + 0.75 * joint)


def _floor_tiles(rng: Rng) -> np.ndarray:
    count = int(rng.choice([4, 6, 8]))
    return _grid(rng, count, count, 0.008, 0.0, 0.2) * (0.85 + 0.15 * _spectrum(rng, 1.8))


def _cells(rng: Rng, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance to the nearest and second nearest of random points (periodic), and which is nearest."""
    points = rng.random((count, 2)).astype(np.float32)
    small = SIZE // 2
    t = (np.arange(small, dtype=np.float32) + 0.5) / small
    first = np.full((small, small), 9, np.float32)
    second = first.copy()
    owner = np.zeros((small, small), np.int32)
    for index, (px, py) in enumerate(points):
        dx = np.abs(t - px)
        dy = np.abs(t - py)
        distance = np.hypot(np.minimum(dx, 1 - dx)[None, :], np.minimum(dy, 1 - dy)[:, None])
        closer = distance < first
        second = np.where(closer, first, np.minimum(second, distance))
        owner[closer] = index
        first = np.minimum(first, distance)
    grow = (SIZE, SIZE)
    return (
        cv2.resize(first, grow),
        cv2.resize(second, grow),
        cv2.resize(owner.astype(np.float32), grow, interpolation=cv2.INTER_NEAREST).astype(int),
    )


def _scatter(rng: Rng, count: int, size: tuple[float, float], long: float, background: float) -> np.ndarray:
    """Overlapping ellipses of random tone (leaves, terrazzo, blots); `long` is the aspect of each."""
    canvas = np.full((SIZE, SIZE), background * 255, np.uint8)
    for _ in range(count):
        x, y = rng.integers(0, SIZE, 2)
        a = SIZE * rng.uniform(*size)
        angle = float(rng.uniform(0, 180))
        tone = int(rng.uniform(20, 255))
        axes = (max(1, int(a)), max(1, int(a / long)))
        for ox in (-SIZE, 0, SIZE):
            for oy in (-SIZE, 0, SIZE):
                if -a < x + ox < SIZE + a and -a < y + oy < SIZE + a:
                    cv2.ellipse(canvas, (int(x + ox), int(y + oy)), axes, angle, 0, 360, tone, -1, cv2.LINE_AA)
    return canvas.astype(np.float32) / 255


def _wood(rng: Rng) -> np.ndarray:
    grain = _spectrum(rng, 1.1, 0.06, 1.6) * 0.5 + _spectrum(rng, 1.6, 0.12, 1.0) * 0.5
    return _stretch(grain)


def _planks(rng: Rng) -> np.ndarray:
    count = int(rng.integers(4, 8))
    x, y = _axes()
    row = np.floor(y * count).astype(int)
    grain = _wrap_lookup(
        _wood(rng), rng.integers(0, SIZE, count)[row % count] + np.zeros((1, SIZE)), np.zeros((SIZE, 1))
    )
    edge = np.minimum(y * count % 1, 1 - y * count % 1) / count
    joint = np.clip(edge / 0.005, 0, 1)
    ends = rng.random(count)[row]
    butt = np.clip(np.abs((x - ends + 0.5) % 1 - 0.5) / 0.004, 0, 1)
    tones = 0.55 + 0.4 * rng.random(count)[row]
    return (tones * (0.6 + 0.4 * grain)) * (0.25 + 0.75 * joint * butt)


def _marble(rng: Rng) -> np.ndarray:
    veins = 1 - np.abs(2 * _spectrum(rng, 2.0) - 1)
    fine = 1 - np.abs(2 * _spectrum(rng, 1.7) - 1)
    return 1 - np.clip(veins**14 * 0.7 + fine**22 * 0.35 + 0.25 * _spectrum(rng, 2.5), 0, 1)


def _weave(rng: Rng) -> np.ndarray:
    n = int(rng.choice([24, 40, 64]))
    x, y = _axes()
    over = np.sin(2 * np.pi * n * x) * np.sin(2 * np.pi * n * y)
    return _stretch(over + 1.2 * (_spectrum(rng, 0.6, 0.3, 3) + _spectrum(rng, 0.6, 3, 0.3)))


def _twill(rng: Rng) -> np.ndarray:
    n = int(rng.choice([20, 32, 48]))
    x, y = _axes()
    return _stretch(np.sin(2 * np.pi * n * (x + y)) + 2.0 * _spectrum(rng, 0.5) + _spectrum(rng, 1.5))


def _fur(rng: Rng) -> np.ndarray:
    strands = _spectrum(rng, 0.75, 3.0, 0.35)
    bend = (_spectrum(rng, 2.2) - 0.5) * 70
    return _stretch(_wrap_lookup(strands, bend, np.zeros_like(bend)) + 0.6 * _spectrum(rng, 1.8))


def _leather(rng: Rng) -> np.ndarray:
    first, second, _ = _cells(rng, 420)
    return _stretch(np.clip((second - first) / 0.015, 0, 1) + 0.5 * _spectrum(rng, 1.5))


def _pebbles(rng: Rng) -> np.ndarray:
    first, second, owner = _cells(rng, 130)
    return np.clip((second - first) / 0.02, 0, 1) * (0.4 + 0.6 * rng.random(130)[owner]) * (1 - 3 * first)


def _waves(rng: Rng) -> np.ndarray:
    ridge = 1 - np.abs(2 * _spectrum(rng, 1.9, 0.5, 1.6) - 1)
    return _stretch(ridge**2 + 0.3 * _spectrum(rng, 1.2, 0.5, 1.5))


def _crumple(rng: Rng) -> np.ndarray:
    _, _, owner = _cells(rng, 60)
    slopes = rng.standard_normal((60, 2))
    x, y = _axes()
    return _stretch(rng.random(60)[owner] + np.sin(9 * (slopes[owner, 0] * x + slopes[owner, 1] * y)) * 0.4)


def _stripes(rng: Rng) -> np.ndarray:
    n = int(rng.choice([4, 6, 8, 12]))
    edges = np.sort(rng.random(n))
    x, _ = _axes()
    band = np.searchsorted(edges, x[0]) % n
    if rng.random() < 0.5:
        band = np.floor(x[0] * 2 * n).astype(int) % 2 * (n - 1)
    tones = np.linspace(0, 1, n)[rng.permutation(n)] if rng.random() < 0.5 else np.linspace(0, 1, n)
    return np.broadcast_to(tones[band][None], (SIZE, SIZE)).astype(np.float32)


def _plaid(rng: Rng) -> np.ndarray:
    a = _stripes(rng)
    return 0.5 * a + 0.5 * _stripes(rng).T


def _checker(rng: Rng) -> np.ndarray:
    n = int(rng.choice([4, 8, 12]))
    x, y = _axes()
    return ((np.floor(x * n) + np.floor(y * n)) % 2) * 0.85 + 0.15 * _spectrum(rng, 1.2)


def _dots(rng: Rng) -> np.ndarray:
    n = int(rng.choice([6, 10, 16]))
    x, y = _axes()
    row = np.floor(y * n)
    distance = np.hypot((x * n + 0.5 * (row % 2)) % 1 - 0.5, y * n % 1 - 0.5)
    return np.clip((rng.uniform(0.2, 0.38) - distance) * 20 + 0.5, 0, 1)


def _zigzag(rng: Rng) -> np.ndarray:
    n = int(rng.choice([4, 6, 10]))
    x, y = _axes()
    return np.clip(np.sin(2 * np.pi * (n * y + 1.2 * np.abs((x * n) % 1 - 0.5))) * 4 + 0.5, 0, 1)


def _knit(rng: Rng) -> np.ndarray:
    n = int(rng.choice([16, 24, 32]))
    x, y = _axes()
    slope = np.abs((x * n) % 1 - 0.5)
    return _stretch(np.sin(2 * np.pi * (n * y + slope)) * (0.3 + slope) + 0.6 * _spectrum(rng, 0.8))


def _curtain(rng: Rng) -> np.ndarray:
    x, y = _axes()
    total = np.zeros((SIZE, SIZE), np.float32)
    for n in rng.choice(np.arange(3, 17), 5, replace=False):
        total = total + rng.random() * np.sin(2 * np.pi * (n * x + rng.random()) + 0.5 * np.sin(2 * np.pi * y))
    return _stretch(total)


def _shelf_rows(rng: Rng) -> np.ndarray:
    """Rows of upright things of random width, height and tone on dark shelves: books, jars, boxes."""
    canvas = np.full((SIZE, SIZE), 60, np.uint8)
    rows = int(rng.integers(3, 6))
    step = SIZE // rows
    for row in range(rows):
        bottom = (row + 1) * step - step // 12
        x = 0
        while x < SIZE:
            width = int(rng.uniform(0.06, 0.3) * step)
            height = int(rng.uniform(0.45, 0.85) * step)
            tone = int(rng.uniform(50, 255))
            cv2.rectangle(canvas, (x, bottom - height), (x + width, bottom), tone, -1)
            mark = bottom - int(height * rng.uniform(0.3, 0.8))
            cv2.rectangle(canvas, (x + 1, mark), (x + width - 1, mark + step // 14), int(rng.uniform(30, 255)), -1)
            x += width + int(rng.uniform(1, 0.05 * step + 2)) + (int(0.3 * step) if rng.random() < 0.1 else 0)
        cv2.rectangle(canvas, (0, bottom), (SIZE, bottom + step // 12), 170, -1)
    return canvas.astype(np.float32) / 255


def _facades(rng: Rng) -> np.ndarray:
    """A street of house fronts with windows."""
    canvas = np.full((SIZE, SIZE), 150, np.uint8)
    x = 0
    while x < SIZE:
        width = int(rng.uniform(0.12, 0.3) * SIZE)
        tone = int(rng.uniform(60, 220))
        cv2.rectangle(canvas, (x, 0), (x + width, SIZE), tone, -1)
        pitch = int(rng.uniform(22, 46))
        glass = int(np.clip(tone + rng.choice([-60, 60]), 0, 255))
        for wy in range(8, SIZE, pitch):
            for wx in range(x + 8, x + width - pitch // 2, pitch):
                lit = glass if rng.random() < 0.8 else 255
                cv2.rectangle(canvas, (wx, wy), (wx + pitch // 2, wy + int(pitch * 0.6)), lit, -1)
        x += width
    return canvas.astype(np.float32) / 255


def _print(rng: Rng) -> np.ndarray:
    """Lines of small print."""
    canvas = np.full((SIZE, SIZE), 235, np.uint8)
    for line in range(16, SIZE, 32):
        x = int(rng.integers(8, 40))
        while x < SIZE * rng.uniform(0.7, 1.0):
            word = int(rng.uniform(16, 70))
            for stroke in range(x, min(x + word, SIZE), 9):
                top = line + int(rng.integers(-4, 3))
                cv2.line(canvas, (stroke, top), (stroke + int(rng.integers(-2, 5)), line + 12), 40, 3, cv2.LINE_AA)
            x += word + 14
    return canvas.astype(np.float32) / 255


def _blots(rng: Rng) -> np.ndarray:
    n = int(rng.integers(3, 6))
    return np.floor(_spectrum(rng, 2.1) * n) / (n - 0.99)


MAKERS: dict[str, Callable[[Rng], np.ndarray]] = {
    "clouds": lambda r: _spectrum(r, 2.1),
    "mist": lambda r: _spectrum(r, 1.7),
    "plaster": lambda r: _spectrum(r, 1.2),
    "grain": lambda r: _spectrum(r, 0.6),
    "concrete": lambda r: _stretch(_spectrum(r, 1.8) + 0.5 * _spectrum(r, 0.4)),
    "fur": _fur,
    "wood": _wood,
    "planks": _planks,
    "marble": _marble,
    "tiles": lambda r: _floor_tiles(r),
    "bricks": lambda r: _grid(r, 6, 16, 0.008, 0.5, 0.6) * (0.75 + 0.25 * _spectrum(r, 0.9)),
    "weave": _weave,
    "twill": _twill,
    "leather": _leather,
    "pebbles": _pebbles,
    "leaves": lambda r: _scatter(r, 420, (0.03, 0.08), 2.4, 0.1),
    "petals": lambda r: _scatter(r, 90, (0.04, 0.1), 1.5, 0.5),
    "terrazzo": lambda r: _scatter(r, 260, (0.005, 0.03), 1.6, 0.8),
    "pile": lambda r: _scatter(r, 160, (0.05, 0.09), 1.05, 0.2) * (0.8 + 0.2 * _spectrum(r, 1.5)),
    "grass": lambda r: _stretch(_spectrum(r, 0.9, 2.5, 0.25) + 0.7 * _spectrum(r, 2.0)),
    "brushed": lambda r: _spectrum(r, 0.5, 0.02, 2.0),
    "waves": _waves,
    "crumple": _crumple,
    "stripes": _stripes,
    "plaid": _plaid,
    "checker": _checker,
    "dots": _dots,
    "zigzag": _zigzag,
    "knit": _knit,
    "curtain": _curtain,
    "shelf": _shelf_rows,
    "facades": _facades,
    "print": _print,
    "blots": _blots,
}


@lru_cache(maxsize=len(MAKERS) * VARIANTS)
def levels(kind: str, variant: int) -> tuple[np.ndarray, ...]:
    """A tile and its half-size levels down to 8 px, float32 0..255. KeyError for an unknown kind."""
    rng = np.random.default_rng([sum(kind.encode()) * 131 + len(kind), variant])
    tile = np.clip(MAKERS[kind](rng), 0, 1).astype(np.float32) * 255
    pyramid = [np.ascontiguousarray(np.broadcast_to(tile, (SIZE, SIZE)))]
    while pyramid[-1].shape[0] > 8:
        half = pyramid[-1].shape[0] // 2
        pyramid.append(cv2.resize(pyramid[-1], (half, half), interpolation=cv2.INTER_AREA))
    return tuple(pyramid)


def _level(kind: str, variant: int, step: float) -> np.ndarray:
    """The level for samples `step` periods apart."""
    pyramid = levels(kind, variant)
    wanted = int(np.floor(np.log2(max(step * SIZE, 1.0)) + 0.35))
    return pyramid[min(wanted, len(pyramid) - 1)]


def sample_aligned(kind: str, variant: int, u: np.ndarray, v: np.ndarray, turned: bool = False) -> np.ndarray:
    """Bilinear samples at u [w] x v [h] (periods) -> float32 [h, w], 0..255; `turned` swaps the tile's axes."""
    step = max(abs(float(u[-1] - u[0])) / max(len(u) - 1, 1), abs(float(v[-1] - v[0])) / max(len(v) - 1, 1))
    tile = _level(kind, variant, step)
    tile = tile.T if turned else tile
    size = tile.shape[0]
    rows, columns = v * size - 0.5, u * size - 0.5
    r0, c0 = np.floor(rows), np.floor(columns)
    fr = (rows - r0).astype(np.float32)[:, None]
    fc = (columns - c0).astype(np.float32)
    ri, ci = r0.astype(np.int64) % size, c0.astype(np.int64) % size
    band = tile.take(ci, 1) * (1 - fc) + tile.take((ci + 1) % size, 1) * fc if len(v) > size else None
    if band is not None:
        return band.take(ri, 0) * (1 - fr) + band.take((ri + 1) % size, 0) * fr
    band = tile.take(ri, 0) * (1 - fr) + tile.take((ri + 1) % size, 0) * fr
    return band.take(ci, 1) * (1 - fc) + band.take((ci + 1) % size, 1) * fc


def sample_warped(kind: str, variant: int, matrix: np.ndarray, size: tuple[int, int], step: float) -> np.ndarray:
    """Samples through a 3 x 3 matrix from pixel (x, y, 1) to periods -> float32 [h, w]; size is (width, height)."""
    tile = _level(kind, variant, step)
    n = tile.shape[0]
    to_texels = np.array([[n, 0, -0.5], [0, n, -0.5], [0, 0, 1.0]]) @ matrix
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(tile, to_texels, size, flags=flags, borderMode=cv2.BORDER_WRAP)
