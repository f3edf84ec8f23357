"""Outlines, and the parts that a body is drawn from. Local coordinates: y down, a body is about 2 high."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from datapipe.worlds.materials import Paint, Rgb, flat, lit, mix, sample_colour, sample_finish

Rng = np.random.Generator
Points = np.ndarray  # [N, 2] float


@dataclass(frozen=True)
class Part:
    """A filled outline; holes are cut by the even-odd rule. With `text` the outline is only the box of the letters."""

    outline: Points
    paint: Paint
    holes: tuple[Points, ...] = ()
    text: int | None = None  # which word of the printed bank

    @cached_property
    def box(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 of the outline."""
        return (*self.outline.min(0).tolist(), *self.outline.max(0).tolist())


@dataclass(frozen=True)
class Body:
    """A thing to draw. `bulge`: depth profile of the turned body, 1 = cylinder, 0.3 = flat box."""

    noun: str
    parts: tuple[Part, ...]
    bulge: float
    cut_below: bool = False  # continues below the picture (a person's shoulders)

    def bounds(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 over all parts."""
        left, top, right, bottom = zip(*(part.box for part in self.parts), strict=True)
        return min(left), min(top), max(right), max(bottom)

    def placed(self, scale: float, x: float, y: float) -> Body:
        """Scaled about the origin, then moved. Textures keep their length relative to the body."""
        move = np.array([x, y])
        parts = tuple(
            Part(
                p.outline * scale + move,
                replace(p.paint, scale=p.paint.scale * scale) if p.paint.tile else p.paint,
                tuple(h * scale + move for h in p.holes),
                p.text,
            )
            for p in self.parts
        )
        return replace(self, parts=parts)


class Kit:
    """What one body's parts share: random source, light, colours and finishes."""

    def __init__(self, rng: Rng, light: tuple[float, float, float], main: Rgb | None = None) -> None:
        self.rng, self.light = rng, light
        self.name, colour = sample_colour(rng)
        self.main_rgb = main or colour
        self.named = main is None
        self.accent_rgb = (
            sample_colour(rng)[1] if rng.random() < 0.6 else lit(self.main_rgb, float(rng.uniform(0.4, 1.5)))
        )
        dark = sum(self.main_rgb) < 330
        self.ink_rgb: Rgb = (245.0, 244.0, 240.0) if dark else (25.0, 25.0, 30.0)
        self.main = sample_finish(rng, self.main_rgb, light)
        self.accent = sample_finish(rng, self.accent_rgb, light) if rng.random() < 0.5 else self.solid(self.accent_rgb)
        self.ink = flat(self.ink_rgb)

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * float(self.rng.random())

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def solid(self, colour: Rgb, shade: str = "relief", gloss: float = 0.0) -> Paint:
        return Paint(colour, colour, colour, shade=shade, light=self.light, ambient=0.55, gloss=gloss)

    def round(self, paint: Paint) -> Paint:
        """The same surface on a turned body."""
        return replace(paint, shade="turned")

    def label(self, x0: float, y0: float, x1: float, y1: float, shade: str = "turned") -> list[Part]:
        """A printed label: sometimes a panel, then lettering, a logo and small print."""
        parts = []
        ink, panel = self.ink_rgb, self.main_rgb
        if self.chance(0.65):
            panel = sample_colour(self.rng)[1] if self.chance(0.6) else (242.0, 240.0, 234.0)
            ink = (245.0, 244.0, 240.0) if sum(panel) < 330 else (28.0, 26.0, 32.0)
            if self.chance(0.3):
                ink = self.accent_rgb
            paint = Paint(panel, panel, panel, shade=shade, light=self.light, ambient=0.6)
            parts.append(Part(rectangle(x0, y0, x1, y1), paint))
        width, height = x1 - x0, y1 - y0
        cx = (x0 + x1) / 2
        if self.chance(0.8):
            top = y0 + height * self.uniform(0.1, 0.5)
            tall = min(height * self.uniform(0.15, 0.4), width * 0.6)
            wide = width * self.uniform(0.3, 0.44)
            word = int(self.rng.integers(400))
            parts.append(Part(rectangle(cx - wide, top, cx + wide, top + tall), flat(ink), text=word))
        if self.chance(0.5):
            radius = min(width, height) * self.uniform(0.1, 0.2)
            colour = self.accent_rgb if self.chance(0.5) else mix(ink, panel, 0.2)
            y = y0 + height * self.uniform(0.2, 0.75)
            parts.append(Part(logo(self.rng, cx, y, radius), flat(colour)))
        for line in range(int(self.rng.integers(0, 4))):
            y = y1 - height * (0.08 + 0.07 * line)
            half = width * self.uniform(0.15, 0.4)
            parts.append(
                Part(
                    rectangle(cx - half, y - height * 0.012, cx + half, y + height * 0.012), flat(mix(ink, panel, 0.35))
                )
            )
        return parts


def rectangle(x0: float, y0: float, x1: float, y1: float) -> Points:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], float)


def polygon(*points: tuple[float, float]) -> Points:
    return np.array(points, float)


_ANGLE = np.linspace(0, 2 * np.pi, 40, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLE), np.sin(_ANGLE)], 1)


def ellipse(cx: float, cy: float, a: float, b: float | None = None, angle: float = 0.0) -> Points:
    points = _CIRCLE * (a, a if b is None else b)
    return (rotated(points, angle) if angle else points) + (cx, cy)


def rounded(x0: float, y0: float, x1: float, y1: float, radius: float) -> Points:
    """Rectangle with round corners."""
    radius = min(radius, abs(x1 - x0) / 2, abs(y1 - y0) / 2)
    corner = _CIRCLE.reshape(4, 10, 2) * radius
    centres = np.array(
        [[x1 - radius, y1 - radius], [x0 + radius, y1 - radius], [x0 + radius, y0 + radius], [x1 - radius, y0 + radius]]
    )
    return (corner + centres[:, None]).reshape(-1, 2)


def moved(points: Points, x: float, y: float) -> Points:
    return np.add(points, (x, y))


def rotated(points: Points, angle: float, cx: float = 0.0, cy: float = 0.0) -> Points:
    c, s = np.cos(angle), np.sin(angle)
    return (points - (cx, cy)) @ np.array([[c, s], [-s, c]]) + (cx, cy)


def _basis(steps: int) -> np.ndarray:
    t = np.linspace(0, 1, steps, endpoint=False)
    return 0.5 * np.stack([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2], 1)


_STEPS = {n: _basis(n) for n in (4, 6, 8)}


def smooth(*points: tuple[float, float], steps: int = 6) -> Points:
    """Closed Catmull-Rom curve through the points."""
    p = np.asarray(points, float)
    index = np.arange(len(p))
    quads = np.stack([p[index - 1], p, p[(index + 1) % len(p)], p[(index + 2) % len(p)]], 1)
    return np.einsum("sk,nkd->nsd", _STEPS[steps], quads).reshape(-1, 2)


def turned(*profile: tuple[float, float], steps: int = 6) -> Points:
    """Body of revolution from (y, half width) pairs, top to bottom, smoothed along the side; ends stay flat."""
    p = np.asarray(profile, float)
    padded = np.concatenate([p[:1], p, p[-1:]])
    quads = np.stack([padded[i : i + len(p) - 1] for i in range(4)], 1)
    side = np.concatenate([np.einsum("sk,nkd->nsd", _STEPS[steps], quads).reshape(-1, 2), p[-1:]])
    side[:, 0] = np.interp(np.arange(len(side)) / steps, np.arange(len(p)), p[:, 0])  # a curve in y would overshoot
    right = np.stack([side[:, 1], side[:, 0]], 1)
    return np.concatenate([right, (right * (-1, 1))[::-1]])


def band(points: Points, width: float) -> Points:
    """An open line as a strip of this width (thin parts: straps, stems, cables)."""
    along = np.gradient(points, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], 1) / np.maximum(np.hypot(*along.T), 1e-9)[:, None]
    return np.concatenate([points + normal * width / 2, (points - normal * width / 2)[::-1]])


def arc(cx: float, cy: float, a: float, b: float, start: float, end: float, count: int = 20) -> Points:
    """Points of an ellipse arc, angles in degrees clockwise from +x."""
    t = np.radians(np.linspace(start, end, count))
    return np.stack([cx + a * np.cos(t), cy + b * np.sin(t)], 1)


def star(cx: float, cy: float, radius: float, tips: int = 5, inner: float = 0.45) -> Points:
    t = np.arange(2 * tips) * np.pi / tips - np.pi / 2
    r = np.where(np.arange(2 * tips) % 2, inner, 1.0) * radius
    return np.stack([cx + r * np.cos(t), cy + r * np.sin(t)], 1)


def fourier(rng: Rng, waves: int, roughness: float) -> Points:
    """A smooth random blob of radius about 1."""
    t = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    radius = np.ones_like(t)
    for k in range(2, 2 + waves):
        radius += roughness / k * rng.normal() * np.cos(k * t + rng.uniform(0, 2 * np.pi))
    radius = np.maximum(radius, 0.25)
    return np.stack([radius * np.cos(t), radius * np.sin(t)], 1)


def logo(rng: Rng, cx: float, cy: float, radius: float) -> Points:
    pick = int(rng.integers(6))
    if pick == 0:
        return ellipse(cx, cy, radius)
    if pick == 1:
        return star(cx, cy, radius, int(rng.integers(4, 9)))
    if pick == 2:
        return polygon((cx, cy - radius), (cx + radius, cy + radius), (cx - radius, cy + radius))
    if pick == 3:
        return rotated(rectangle(cx - radius, cy - radius, cx + radius, cy + radius), np.pi / 4, cx, cy)
    if pick == 4:
        return fourier(rng, 4, 0.5) * radius + (cx, cy)
    return rounded(cx - radius * 1.4, cy - radius * 0.6, cx + radius * 1.4, cy + radius * 0.6, radius * 0.4)
