"""Rasters over isotropic coordinates, and how paints, bodies and blurs reach their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from datapipe.worlds.materials import Paint
from datapipe.worlds.shapes import Body, Part
from datapipe.worlds.textures import sample_aligned

_SHIFT = 4
FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)


@dataclass(frozen=True)
class Grid:
    """A raster of width x height pixels whose top left corner is (x0, y0); sx, sy are pixels per unit."""

    x0: float
    y0: float
    sx: float
    sy: float
    width: int
    height: int

    def xs(self) -> np.ndarray:
        return (self.x0 + (np.arange(self.width) + 0.5) / self.sx).astype(np.float32)

    def ys(self) -> np.ndarray:
        return (self.y0 + (np.arange(self.height) + 0.5) / self.sy).astype(np.float32)

    def crop(self, bounds: tuple[float, float, float, float], pad: int = 1) -> tuple[Grid, slice, slice]:
        """The part that covers bounds (x0, y0, x1, y1), and its row and column slices; may be empty."""
        left = min(max(int(np.floor((bounds[0] - self.x0) * self.sx)) - pad, 0), self.width)
        right = min(max(int(np.ceil((bounds[2] - self.x0) * self.sx)) + pad, left), self.width)
        top = min(max(int(np.floor((bounds[1] - self.y0) * self.sy)) - pad, 0), self.height)
        bottom = min(max(int(np.ceil((bounds[3] - self.y0) * self.sy)) + pad, top), self.height)
        inner = Grid(self.x0 + left / self.sx, self.y0 + top / self.sy, self.sx, self.sy, right - left, bottom - top)
        return inner, slice(top, bottom), slice(left, right)

    def finer(self, factor: int) -> Grid:
        return Grid(self.x0, self.y0, self.sx * factor, self.sy * factor, self.width * factor, self.height * factor)

    def fixed(self, outline: np.ndarray) -> np.ndarray:
        """Outline as fixed-point pixels for fillPoly."""
        scale = (self.sx * 2**_SHIFT, self.sy * 2**_SHIFT)
        return ((outline - (self.x0, self.y0)) * scale - 2 ** (_SHIFT - 1)).astype(np.int32)

    def fill(self, outlines: Sequence[np.ndarray]) -> np.ndarray:
        """Antialiased even-odd coverage, uint8 [h, w]."""
        mask = np.zeros((self.height, self.width), np.uint8)
        cv2.fillPoly(mask, [self.fixed(o) for o in outlines], 255, cv2.LINE_AA, _SHIFT)
        return mask


_T = np.linspace(0, 2, 256, dtype=np.float32)[:, None]
_RAMP = np.concatenate([np.maximum(1 - _T, 0), 1 - np.abs(1 - _T), np.maximum(_T - 1, 0)], 1)


def ramp(paint: Paint) -> np.ndarray:
    """256 x 3 float32 colours over the texture value."""
    return _RAMP @ np.array((paint.low, paint.mid, paint.high), np.float32)


def texture(paint: Paint, grid: Grid, ox: float = 0.0, oy: float = 0.0) -> np.ndarray:
    """Unlit colours, float32 [h, w, 3] (or [1, 1, 3] without a texture); the texture is fixed to (ox, oy)."""
    if paint.tile is None:
        return np.array(paint.mid, np.float32).reshape(1, 1, 3)
    u = (grid.xs() - ox) / paint.scale + paint.offset[0]
    v = (grid.ys() - oy) / paint.scale + paint.offset[1]
    grey = sample_aligned(paint.tile, paint.variant, u, v, paint.turned)
    return ramp(paint)[grey.astype(np.uint8)]


def _turned_normal(mask: np.ndarray, grid: Grid, cx: float) -> np.ndarray:
    """Sideways position -1..1 on a body of revolution whose half width per row is read off the mask."""
    half = cv2.reduce(mask, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32F) / (510 * grid.sx) + 0.5 / grid.sx
    return np.minimum(np.maximum((grid.xs()[None] - cx) / half, -1), 1)


_SMALL, _PAD = 24, 8


def _smoothing(sigma: float, rows: int, columns: int, offset: int) -> np.ndarray:
    """Gaussian smoothing of `columns` samples onto `rows` samples that start `offset` earlier, as a matrix."""
    distance = np.arange(rows)[:, None] - offset - np.arange(columns)[None]
    return (np.exp(-0.5 * (distance / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))).astype(np.float32)


_WIDE = _smoothing(4.0, _SMALL, _SMALL, 0)
_NEAR = _smoothing(2.0, _SMALL + 2 * _PAD, _SMALL, _PAD)
_FINE = _smoothing(1.0, _SMALL, _SMALL + 2 * _PAD, -_PAD)
_SLOPE = (8 * np.gradient(_smoothing(1.0, _SMALL + 2, _SMALL + 2 * _PAD, 1 - _PAD), axis=0)[1:-1]).astype(np.float32)


def _relief(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slopes of an inflated surface over the mask, float32 [h, w]; computed small, so alike at every resolution."""
    small = cv2.resize(mask, (_SMALL, _SMALL), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    height = _NEAR @ small @ _NEAR.T
    height[_PAD:-_PAD, _PAD:-_PAD] += np.sqrt(_WIDE @ small @ _WIDE.T) * small
    size = (mask.shape[1], mask.shape[0])
    slope_x = cv2.resize(_FINE @ height @ _SLOPE.T, size, interpolation=cv2.INTER_LINEAR)
    return slope_x, cv2.resize(_SLOPE @ height @ _FINE.T, size, interpolation=cv2.INTER_LINEAR)


def shade(
    paint: Paint, mask: np.ndarray, grid: Grid, box: tuple[float, float, float, float]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Light factor and additive highlight (0..255) of a part over its grid."""
    lx, ly, lz = paint.light
    cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    if paint.shade == "linear":
        u = (grid.xs() - cx) / max(box[2] - cx, 1e-6)
        v = (grid.ys() - cy) / max(box[3] - cy, 1e-6)
        return (1 + (1 - paint.ambient) * (0.45 * lx * u[None] + 0.45 * ly * v[:, None])).astype(np.float32), None
    glow = None
    if paint.shade == "turned":
        u = _turned_normal(mask, grid, cx)
        facing = lx * u + max(lz, 0.3) * np.sqrt(1 - u * u)
        if paint.gloss:
            glow = 255 * paint.gloss * np.exp(-(((u - paint.gloss_at) / paint.gloss_width) ** 2))
    else:
        slope_x, slope_y = _relief(mask)
        length = np.sqrt(slope_x * slope_x + slope_y * slope_y + 1)
        facing = (lz - lx * slope_x - ly * slope_y) / length
        if paint.gloss:
            halfway = float(np.sqrt(lx * lx + ly * ly + (lz + 1) ** 2))
            peak = np.maximum((lz + 1 - 1.2 * (lx * slope_x + ly * slope_y)) / (length * halfway), 0)
            glow = 255 * paint.gloss * np.minimum(peak, 1) ** (1.5 / paint.gloss_width**1.3)
    return paint.ambient + (1 - paint.ambient) * 1.35 * np.maximum(facing, 0), glow


@lru_cache(maxsize=512)
def word(index: int) -> np.ndarray:
    """A printed word as a coverage tile, uint8 [h, w]; the same index is always the same word."""
    return lettered(*spelled(index))


BRANDS = 1_000_000  # words from this index on are names that can be said


def spelled(index: int) -> tuple[str, int, int]:
    """Text, font and stroke of a printed word."""
    rng = np.random.default_rng([77, index])
    if index >= BRANDS:
        return _brand(rng), FONTS[int(rng.integers(3))], int(rng.integers(7, 12))
    letters = "ABCDEFGHIKLMNOPRSTUVWYZ" if rng.random() < 0.6 else "abcdeghiklmnoprstuvwy"
    text = "".join(letters[i] for i in rng.integers(0, len(letters), int(rng.integers(2, 9))))
    text = str(rng.integers(1, 999)) if rng.random() < 0.12 else text.capitalize() if rng.random() < 0.3 else text
    return text, FONTS[int(rng.integers(len(FONTS)))], int(rng.integers(3, 11))


def _brand(rng: np.random.Generator) -> str:
    starts, vowels, ends = "BDFKLMNRSTVZ", "AEIOU", ("", "", "N", "R", "S", "X")
    syllables = [
        "".join((starts[rng.integers(12)], vowels[rng.integers(5)])) for _ in range(2 + int(rng.random() < 0.3))
    ]
    return "".join(syllables) + ends[int(rng.integers(6))]


def lettered(text: str, font: int, stroke: int) -> np.ndarray:
    """A line of text as a coverage tile, uint8 [h, w], cut to its ink; capitals are about 65 px high."""
    (width, height), base = cv2.getTextSize(text, font, 3.0, stroke)
    tile = np.zeros((height + base + 16, width + 16), np.uint8)
    cv2.putText(tile, text, (8, height + 8), font, 3.0, 255, stroke, cv2.LINE_AA)
    rows, columns = np.flatnonzero(tile.any(1)), np.flatnonzero(tile.any(0))
    return np.ascontiguousarray(tile[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def text_box(part: Part) -> tuple[float, float, float, float]:
    """Left, top, width and height of a part's letters; they keep their proportion roughly."""
    assert part.text is not None
    letters = word(part.text)
    x0, y0, x1, y1 = part.box
    width, height = max(x1 - x0, 1e-6), max(y1 - y0, 1e-6)
    fit = min(width * letters.shape[0] / letters.shape[1], height) / height
    height *= max(fit, 0.5)
    return x0, (y0 + y1) / 2 - height / 2, width, height


def _coverage(part: Part, grid: Grid) -> np.ndarray:
    if part.text is None:
        return grid.fill((part.outline, *part.holes))
    letters = word(part.text)
    x0, y0, width, height = text_box(part)
    scale = np.array([[width * grid.sx / letters.shape[1], 0], [0, height * grid.sy / letters.shape[0]]])
    shrink = 1 / max(scale[0, 0], scale[1, 1], 1e-6)
    if shrink > 1.3:
        small = (max(1, round(letters.shape[1] / shrink)), max(1, round(letters.shape[0] / shrink)))
        letters = cv2.resize(letters, small, interpolation=cv2.INTER_AREA)
        scale = np.diag([width * grid.sx / letters.shape[1], height * grid.sy / letters.shape[0]])
    move = ((x0 - grid.x0) * grid.sx, (y0 - grid.y0) * grid.sy)
    matrix = np.array([[scale[0, 0], 0, move[0]], [0, scale[1, 1], move[1]]])
    return cv2.warpAffine(letters, matrix, (grid.width, grid.height), flags=cv2.INTER_LINEAR)


def _colour(
    part: Part, mask: np.ndarray, grid: Grid, box: tuple[float, float, float, float], behind: np.ndarray | None
) -> np.ndarray:
    """Lit colours of a part, uint8 [h, w, 3]."""
    paint = part.paint
    colour = texture(paint, grid, (box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    if paint.shade != "none":
        factor, glow = shade(paint, mask, grid, box)
        colour = colour * factor.astype(np.float32)[..., None]
        if glow is not None:
            colour += glow.astype(np.float32)[..., None]
    if paint.glass and behind is not None:
        colour = colour * np.float32(1 - paint.glass) + behind * np.float32(paint.glass)
    if colour.shape[:2] != mask.shape:
        colour = np.broadcast_to(colour, (*mask.shape, 3))
    return cv2.convertScaleAbs(np.ascontiguousarray(colour, np.float32))


_TINY = 130  # pixels; a part below this shows neither texture nor relief


def paint_part(
    canvas: np.ndarray, alpha: np.ndarray | None, part: Part, grid: Grid, first: bool, behind: np.ndarray | None
) -> None:
    """Draw a part into canvas (uint8 [h, w, 3]) and join its coverage to alpha; `first` floods its whole box."""
    x0, y0, x1, y1 = part.box
    paint = part.paint
    lit = 1.0 if paint.shade == "none" else paint.ambient + (1 - paint.ambient) * 1.2 * max(paint.light[2], 0.3)
    tiny = (x1 - x0) * (y1 - y0) * grid.sx * grid.sy < _TINY
    simple = tiny or (paint.shade == "none" and paint.tile is None and not paint.glass)
    if simple and part.text is None and not first:
        outlines = [grid.fixed(outline) for outline in (part.outline, *part.holes)]
        cv2.fillPoly(canvas, outlines, [c * lit for c in paint.mid], cv2.LINE_AA, _SHIFT)
        if alpha is not None:
            cv2.fillPoly(alpha, outlines, 255, cv2.LINE_AA, _SHIFT)
        return
    inner, rows, columns = grid.crop((x0, y0, x1, y1))
    if inner.width < 1 or inner.height < 1:
        return
    mask = _coverage(part, inner)
    colour = _colour(part, mask, inner, (x0, y0, x1, y1), None if behind is None else behind[rows, columns])
    target = canvas[rows, columns]
    if first:
        target[:] = colour
    else:
        share = cv2.merge((mask, mask, mask)).astype(np.float32) * np.float32(1 / 255)
        target[:] = cv2.convertScaleAbs(target + (colour.astype(np.float32) - target) * share)
    if alpha is not None:
        np.maximum(alpha[rows, columns], mask, out=alpha[rows, columns])


def draw_body(body: Body, grid: Grid, behind: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Colours uint8 [h, w, 3] (straight, not premultiplied) and coverage uint8 [h, w] of an upright body."""
    canvas = np.empty((grid.height, grid.width, 3), np.uint8)
    canvas[:] = np.array(body.parts[0].paint.mid, np.float32).astype(np.uint8)
    alpha = np.zeros((grid.height, grid.width), np.uint8)
    for index, part in enumerate(body.parts):
        paint_part(canvas, alpha, part, grid, index == 0, behind)
    return canvas, alpha


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur; a wide one is computed on a smaller picture."""
    if sigma < 0.3:
        return image
    if sigma < 5:
        return cv2.GaussianBlur(image, (0, 0), sigma)
    shrink = sigma / 2.5
    h, w = image.shape[:2]
    small = cv2.resize(image, (max(4, round(w / shrink)), max(4, round(h / shrink))), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 2.4)
    return cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR)
