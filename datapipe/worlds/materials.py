"""Colours and paints: what a surface looks like, independent of resolution."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Rgb = tuple[float, float, float]

# name: hue range in degrees, saturation range, value range
COLOURS: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "red": ((-12, 10), (0.65, 1.0), (0.45, 0.95)),
    "orange": ((16, 34), (0.7, 1.0), (0.7, 1.0)),
    "yellow": ((42, 58), (0.6, 1.0), (0.8, 1.0)),
    "green": ((85, 150), (0.35, 0.9), (0.25, 0.8)),
    "teal": ((165, 190), (0.4, 0.9), (0.3, 0.8)),
    "blue": ((200, 240), (0.45, 0.95), (0.3, 0.95)),
    "purple": ((258, 290), (0.3, 0.8), (0.3, 0.85)),
    "pink": ((318, 350), (0.25, 0.65), (0.8, 1.0)),
    "brown": ((14, 34), (0.4, 0.75), (0.2, 0.55)),
    "beige": ((25, 48), (0.12, 0.35), (0.75, 0.95)),
    "black": ((0, 360), (0.0, 0.25), (0.03, 0.16)),
    "gray": ((0, 360), (0.0, 0.1), (0.3, 0.65)),
    "silver": ((190, 230), (0.0, 0.08), (0.65, 0.82)),
    "gold": ((38, 48), (0.45, 0.7), (0.65, 0.9)),
    "white": ((0, 360), (0.0, 0.06), (0.88, 1.0)),
}
NAMES = tuple(COLOURS)
SKINS: tuple[Rgb, ...] = ((241, 204, 178), (224, 172, 135), (198, 134, 96), (141, 85, 54), (92, 58, 40), (60, 38, 28))


@dataclass(frozen=True)
class Paint:
    """A ramp of three colours over a texture, and how light falls on it. Colours 0..255, lengths isotropic."""

    low: Rgb
    mid: Rgb
    high: Rgb
    tile: str | None = None
    variant: int = 0
    scale: float = 1.0  # length of one texture period
    turned: bool = False  # texture axes swapped
    offset: tuple[float, float] = (0.0, 0.0)
    shade: str = "none"  # none | linear | turned | sphere | relief
    light: tuple[float, float, float] = (-0.5, -0.5, 0.7)
    ambient: float = 0.5
    gloss: float = 0.0
    gloss_at: float = -0.4
    gloss_width: float = 0.12
    glass: float = 0.0  # share of the background that shines through


def flat(colour: Rgb) -> Paint:
    return Paint(colour, colour, colour)


def toned(colour: Rgb, low: float, mid: float, high: float, **more: Any) -> Paint:
    """A paint whose ramp is this colour at three brightnesses; `more` are fields of Paint."""
    return Paint(lit(colour, low), lit(colour, mid), lit(colour, high), **more)


def name_of(colour: Rgb) -> str:
    """The colour word nearest to a colour."""
    h, s, v = colorsys.rgb_to_hsv(*(min(c, 255.0) / 255 for c in colour))
    if v < 0.2:
        return "black"
    if s < 0.13:
        return "white" if v > 0.82 else "gray"
    degrees = h * 360
    if degrees < 12 or degrees > 350:
        return "red" if s > 0.5 else "pink"
    if degrees < 50 and s < 0.4:
        return "beige"
    if degrees < 40:
        return "brown" if v < 0.62 else "orange"
    for limit, word in ((70, "yellow"), (158, "green"), (195, "teal"), (250, "blue"), (300, "purple")):
        if degrees < limit:
            return word
    return "pink"


def mix(a: Rgb, b: Rgb, share: float) -> Rgb:
    return tuple(x + (y - x) * share for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


def lit(colour: Rgb, factor: float) -> Rgb:
    return tuple(min(255.0, c * factor) for c in colour)  # type: ignore[return-value]


def sample_rgb(rng: np.random.Generator, name: str) -> Rgb:
    (h0, h1), (s0, s1), (v0, v1) = COLOURS[name]
    h, s, v = rng.random(3)
    r, g, b = colorsys.hsv_to_rgb((h0 + h * (h1 - h0)) / 360 % 1, s0 + s * (s1 - s0), v0 + v * (v1 - v0))
    return r * 255, g * 255, b * 255


def sample_colour(rng: np.random.Generator) -> tuple[str, Rgb]:
    name = NAMES[int(rng.integers(len(NAMES)))]
    return name, sample_rgb(rng, name)


def textured(rng: np.random.Generator, paint: Paint, tile: str, scale: float, contrast: float) -> Paint:
    """The paint with a texture; contrast 0..1 spreads its ramp around the middle colour."""
    dark, bright = lit(paint.mid, 1 - 0.75 * contrast), mix(paint.mid, (255.0, 255.0, 255.0), 0.55 * contrast)
    x, y, v = rng.random(3)
    return replace(
        paint,
        low=dark,
        high=bright,
        tile=tile,
        scale=scale,
        offset=(x, y),
        variant=int(v * 4),
        turned=bool(v * 8 % 1 > 0.5),
    )


FINISHES = (
    "plain",
    "plain",
    "glossy",
    "glossy",
    "matte",
    "metal",
    "noisy",
    "wood",
    "fabric",
    "pattern",
    "pattern",
    "glass",
    "stone",
)


def sample_finish(rng: np.random.Generator, colour: Rgb, light: tuple[float, float, float]) -> Paint:
    """A random product surface in this colour: plastic, metal, wood, cloth, glass, stone or a printed pattern."""
    finish = FINISHES[int(rng.integers(len(FINISHES)))]
    a, b, c, d = rng.random(4)
    paint = Paint(colour, colour, colour, shade="relief", light=light, ambient=0.3 + 0.5 * a)
    if finish == "plain":
        return paint
    if finish == "glossy":
        return replace(paint, gloss=0.3 + 0.6 * b, gloss_at=-0.7 + 1.4 * c, gloss_width=0.05 + 0.2 * d)
    if finish == "matte":
        return replace(paint, ambient=0.75)
    if finish == "metal":
        paint = textured(rng, paint, "brushed", 0.5 + b, 0.25 * c)
        return replace(paint, ambient=0.15 + 0.2 * a, gloss=0.7, gloss_at=-0.6 + 1.2 * d, gloss_width=0.15 + 0.2 * c)
    if finish == "noisy":
        kind = ("plaster", "concrete", "grain", "leather", "fur", "crumple")[int(b * 6)]
        return textured(rng, paint, kind, 0.4 + 1.2 * c, 0.25 + 0.5 * d)
    if finish == "wood":
        return textured(rng, paint, ("wood", "wood", "planks")[int(b * 3)], 0.6 + c, 0.3 + 0.4 * d)
    if finish == "fabric":
        return textured(rng, paint, ("weave", "twill", "knit", "plaid")[int(b * 4)], 0.4 + 0.8 * c, 0.3 + 0.4 * d)
    if finish == "stone":
        return textured(rng, paint, ("marble", "terrazzo", "pebbles")[int(b * 3)], 0.8 + c, 0.4 + 0.4 * d)
    if finish == "glass":
        return replace(
            paint, glass=0.2 + 0.55 * b, ambient=0.6, gloss=0.8, gloss_at=-0.7 + 0.5 * c, gloss_width=0.04 + 0.1 * d
        )
    kind = ("stripes", "dots", "zigzag", "checker", "blots", "plaid", "petals", "leaves", "print")[int(b * 9)]
    other = sample_colour(rng)[1]
    return replace(textured(rng, paint, kind, 0.5 + 1.5 * c, 0.5), low=colour, mid=mix(colour, other, 0.5), high=other)
