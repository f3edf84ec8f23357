"""What of the scene goes along with the product: where the two must not come apart.

Scene and product are two layers, and between them lies whatever the depths say. Where the depths are wrong that shows:
a product glides over its own shadow, a strip opens under its foot, a leg that the mask missed is torn off. So the photo
itself is asked where both are one. A backdrop on which nothing stands or runs shows no depth: all of it goes along.
Elsewhere what is near to such a part of the product's outline does

- where the ground is touched: below the outline the photo is darker beside it than farther out, or the scene is about
  as near as the product already;
- where the outline is no edge in the picture: the mask is probably wrong there, and to stretch is less ugly than to
  tear.

The scene is stretched in between. A clear edge before what is far keeps its parallax.

Legend: h w field grid, H W the photo's window with `_SHORT` pixels on its short side, P points on the outline.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from engine.media.layers import Layers

_SHORT = 256  # pixels of the short side: a hundredth is 2.5 of them, a cell of the fields 5 to 8
_SOLID = 128  # of 255: alpha from which a pixel is the product's
_FAINT = 12  # alpha that is still background
_CHROMA = 2.0  # a level of chroma is seen as two of luma are
_BLUR = 1.0  # pixels: grain is no edge
# Gradient, levels a pixel, that 20 and 5 of 1000 pixels of a backdrop exceed: of a sweep with a soft shadow 0.8 and
# 2.5, of a wall and a floor in one grey 1.6 and 3.4 (only their edge shows), of a table out of focus 3.6 and 7.6.
_SEAMLESS, _FURNISHED, _STEEPEST = (1.3, 2.8), (1.8, 3.4), (0.98, 0.995)
_AWAY = 0.09  # of the short side: shadows nearer to the product than this are no furniture
# Of the short side: how far from the outline its two sides are looked at, close by or over a wider stretch.
_BESIDE = (0.008, 0.012, 0.016), (0.008, 0.014, 0.02, 0.026, 0.032)
_ASLANT = np.deg2rad([-40.0, 0.0, 40.0])
_SAME, _OTHER = 4.0, 10.0  # levels between them: up to these they are one thing, from these on there is an edge
_SHADE, _OPEN = (0.012, 0.02), (0.06, 0.08)  # of the short side: where a shadow is dark, and where it has ended
_CLOSE = 2.4  # pixels beside a dark product that may be dark by it: in its corners nothing else is seen
_DIM, _DARK = 6.0, 16.0  # levels by which the ground is darker there: is it a shadow
_BELOW = 0.3, 0.7  # how far the outline faces down: up to here it is a side, from here on what may stand
_MOSTLY = 0.4, 0.65  # of its lower side and of one beside it, with a shadow: does the product lie there
_AT_FOOT, _APART = 0.12, 0.3  # off the product's nearness, directly under it
_SMOOTH = 0.01  # of the short side: along the outline
_ALONE, _MANY = 0.3, 0.55  # of the outline near there: what one point says in a corner is nothing
_WHOLE = 0.04  # of the short side: up to so far from the outline all goes along; a cell of the fields is 2 to 4
# And so far from there it fades: much nearer than the shifts between the two (12 of 100 at most), and it would fold.
_FADE, _FADE_OF_GAP, _MOST_FADE = 0.09, 0.12, 0.16
_LEVELS = 8
_ROW = 8192  # points that are looked up together: OpenCV takes fewer than 32,767
_NO_MAP: Any = None  # the first map holds x and y


def goes_along(layers: Layers, nearness_hw: np.ndarray) -> np.ndarray:
    """How far what is behind the product goes along with it [h, w]: 0 as far away as it seems, 1 in its plane."""
    photo, alpha, window = _seen(layers)
    solid = alpha >= _SOLID
    none = np.zeros_like(nearness_hw, np.float32)
    if not solid[window].any() or solid[window].all():
        return none
    if layers.plain:
        return none + 1
    outline = _Outline.of(photo, solid)
    shaded_P = _shaded(outline)
    flat = max(_seamless(photo[window], alpha[window]), _lying(outline, shaded_P))
    if flat == 1.0:
        return none + 1
    near = _on_canvas(nearness_hw, solid.shape, window)
    shaded_P = shaded_P * _smoothstep(outline.down, *_BELOW)
    along = _spread(outline, np.maximum.reduce([_alike(outline), shaded_P, _stands(outline, near)]), near)
    along = np.maximum(along, np.float32(flat))[window]
    return cv2.resize(along, nearness_hw.shape[::-1], interpolation=cv2.INTER_AREA)


def _seen(layers: Layers) -> tuple[np.ndarray, np.ndarray, tuple[slice, slice]]:
    """Photo of the canvas, float32 YUV [H, W, 3] with chroma as it is seen, alpha [H, W], and where the window is."""
    scale = _SHORT / min(layers.size)
    (width, height), (x, y) = (tuple(round(value * scale) for value in pair) for pair in (layers.size, layers.origin))
    rows, columns = (round(side * scale) for side in layers.alpha.shape)
    size = max(x + width, columns), max(y + height, rows)
    photo, alpha = (cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (layers.photo, layers.alpha))
    seen = photo.astype(np.float32) * np.array([1, _CHROMA, _CHROMA], np.float32)
    return cv2.GaussianBlur(seen, (0, 0), _BLUR), alpha, np.s_[y : y + height, x : x + width]


def _on_canvas(values_hw: np.ndarray, shape: tuple[int, ...], window: tuple[slice, slice]) -> np.ndarray:
    """What is known of the window, on the canvas [H, W]; beyond the window as at its border."""
    rows, columns = ((part.start, part.stop) for part in window)
    inside = cv2.resize(
        values_hw.astype(np.float32), (columns[1] - columns[0], rows[1] - rows[0]), interpolation=cv2.INTER_LINEAR
    )
    pads = rows[0], shape[0] - rows[1], columns[0], shape[1] - columns[1]
    return cv2.copyMakeBorder(inside, *pads, cv2.BORDER_REPLICATE)


def _seamless(photo: np.ndarray, alpha: np.ndarray) -> float:
    """How far the backdrop is one on which nothing is: 1 for a sweep of paper, 0 for a room."""
    reach = 2 * round(_AWAY * _SHORT) + 1
    free = cv2.dilate((alpha > _FAINT).astype(np.uint8), np.ones((reach, reach), np.uint8)) == 0
    if free.mean() < 0.1:  # too little of it to tell
        return 0.0
    steps = [cv2.Sobel(photo, cv2.CV_32F, *axes, scale=1 / 8) for axes in ((1, 0), (0, 1))]
    steep = np.quantile(np.hypot(*steps).max(-1)[free], _STEEPEST)
    return float(min(1 - _smoothstep(steep, np.array(_SEAMLESS), np.array(_FURNISHED))))


class _Outline:
    """The product's outline in a photo: its pixels, and what lies beside them."""

    def __init__(self, photo: np.ndarray, solid: np.ndarray, at: np.ndarray, outward: np.ndarray) -> None:
        self.photo, self.solid, self.at, self.outward = photo, solid, at, outward

    @classmethod
    def of(cls, photo: np.ndarray, solid: np.ndarray) -> _Outline:
        """The window's own border is none."""
        mask = solid.astype(np.uint8)
        rim = solid & (cv2.erode(mask, np.ones((3, 3), np.uint8)) == 0)
        soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), _SMOOTH * _SHORT, borderType=cv2.BORDER_REPLICATE)
        y, x = np.nonzero(rim)
        slope = [cv2.Sobel(soft, cv2.CV_32F, *axes)[y, x] for axes in ((1, 0), (0, 1))]
        outward = (-np.stack(slope, -1) / (np.hypot(*slope)[:, None] + 1e-6)).astype(np.float32)
        return cls(photo, solid, np.stack([x, y], -1).astype(np.float32) + 0.5 * outward, outward)

    def turned(self, angle: float) -> _Outline:
        """The same outline, looked at aslant."""
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], np.float32)
        return _Outline(self.photo, self.solid, self.at, self.outward @ turn)

    def beside(self, image: np.ndarray, way: float) -> np.ndarray:
        """What `image` shows so far outside the outline [P, ...], `way` in short sides; inside where it is negative."""
        place = (self.at + self.outward * (way * _SHORT)).astype(np.float32)
        rows = [place[start : start + _ROW][None] for start in range(0, len(place), _ROW)]  # of a net there are many
        seen = [cv2.remap(image, row, _NO_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0] for row in rows]
        return np.concatenate(seen)

    def mean(self, image: np.ndarray, ways: tuple[float, ...], sign: int = 1) -> np.ndarray:
        return np.asarray(np.mean([self.beside(image, sign * way) for way in ways], 0))

    def is_free(self, ways: tuple[float, ...], away: float = 0.5) -> np.ndarray:
        """Whether all of that is inside the canvas, and `away` pixels from the product [P]."""
        free = np.ones(len(self.at), bool)
        distance = cv2.distanceTransform((~self.solid).astype(np.uint8), cv2.DIST_L2, 5)
        for way in ways:
            place = self.at + self.outward * (way * _SHORT)
            free &= ((place >= 0) & (place < self.solid.shape[::-1])).all(-1)
            free &= self.beside(distance, way) > away
        return free

    @property
    def down(self) -> np.ndarray:
        return np.asarray(self.outward[:, 1])


def _alike(outline: _Outline) -> np.ndarray:
    """Where both sides of the outline look alike [P], close to it or farther in and out: a leg may have a grain. At the
    corners of its end they do so along the leg, so it is looked aslant too.
    """
    off_P, solid = np.full(len(outline.at), 255.0), outline.solid.astype(np.float32)
    for way in (outline.turned(angle) for angle in _ASLANT):
        for ways in _BESIDE:
            off = np.abs(way.mean(way.photo, ways) - way.mean(way.photo, ways, -1)).max(-1)
            inside = np.min([way.beside(solid, -far) for far in ways], 0) > 0.5  # beyond a wire is the ground again
            told = way.is_free(_BESIDE[0]) & inside
            off_P = np.where(told, np.minimum(off_P, off), off_P)
    return np.asarray(1 - _smoothstep(off_P, _SAME, _OTHER))


def _shaded(outline: _Outline) -> np.ndarray:
    """Where a shadow seems to touch the outline [P]: darker than by the ground's texture, and not above the product."""
    luma = outline.photo[..., 0]
    darker = outline.mean(luma, _OPEN) - outline.mean(luma, _SHADE)
    free = outline.is_free(_SHADE, _CLOSE) & outline.is_free(_OPEN) & (outline.down > -0.5)
    if not free.any():
        return np.zeros(len(free))
    texture = float(np.abs(outline.beside(luma, _OPEN[0]) - outline.beside(luma, _OPEN[1]))[free].mean())
    return np.asarray(free * _smoothstep(darker - texture, _DIM, _DARK))


def _lying(outline: _Outline, shaded_P: np.ndarray) -> float:
    """Whether the product lies on what is behind it, 0..1: its shadow is below it and all along a side. Below alone it
    is a standing one's, and a side's alone may be a dark thing farther off.
    """
    below, beside = outline.down > _BELOW[1], np.abs(outline.down) < _BELOW[0]
    left, right = beside & (outline.outward[:, 0] < 0), beside & (outline.outward[:, 0] > 0)
    foot, *sides = (float(shaded_P[part].mean()) if part.any() else 0.0 for part in (below, left, right))
    is_cut = not below.any()  # by the photo's border, which nothing is seen beyond
    return float(_smoothstep(min(1.0 if is_cut else foot, max(sides)), *_MOSTLY))


def _stands(outline: _Outline, near: np.ndarray) -> np.ndarray:
    """Where the ground right under the product is about as near as that [P]: as near as that, or a strip opens."""
    off = np.abs(outline.beside(near, _SHADE[-1]) - 1)
    return np.asarray((1 - _smoothstep(off, _AT_FOOT, _APART)) * _smoothstep(outline.down, 0.1, 0.5))


def _spread(outline: _Outline, told_P: np.ndarray, near: np.ndarray) -> np.ndarray:
    """What the outline's points say, smoothed along it, and spread to what is near to them [H, W]."""
    x, y = (np.clip(np.rint(outline.at[:, n]).astype(int), 0, near.shape[1 - n] - 1) for n in (0, 1))
    told, rim = np.zeros((2, *near.shape), np.float32)
    told[y, x], rim[y, x] = told_P, 1
    told, mass = (cv2.GaussianBlur(image, (0, 0), _SMOOTH * _SHORT) for image in (told, rim))
    told = np.where(rim > 0, _smoothstep(told / np.maximum(mass, 1e-6), _ALONE, _MANY), 0)
    gap = float((np.abs(near - 1) * told).sum() / max(told.sum(), 1e-6))
    fade = min(_FADE + _FADE_OF_GAP * gap, _MOST_FADE)
    along = np.zeros(near.shape, np.float32)
    for level in (np.arange(_LEVELS) + 1) / _LEVELS:
        holds = told >= level - 0.5 / _LEVELS
        if holds.any():
            away = cv2.distanceTransform((~holds).astype(np.uint8), cv2.DIST_L2, 5) / _SHORT
            along = np.maximum(along, level * (1 - _smoothstep(away, _WHOLE, _WHOLE + fade)))
    return along.astype(np.float32)


def _smoothstep(value: Any, low: Any, high: Any) -> Any:
    share = np.clip((value - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)
