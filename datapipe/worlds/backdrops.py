"""Surroundings: walls, rooms, streets, nature and plain studios, each with its floor and its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from datapipe.worlds.materials import Paint, Rgb, flat, lit, mix, sample_colour, sample_rgb, textured
from datapipe.worlds.shapes import Part, Points, arc, ellipse, fourier, polygon, rectangle, rounded

Rng = np.random.Generator
Light = tuple[float, float, float]


@dataclass(frozen=True)
class View:
    """A backdrop and the floor that goes with it. softness: blur radius at infinite distance, isotropic units."""

    style: str
    place: str
    paint: Paint
    floor: bool
    floor_paint: Paint
    decor: tuple[Part, ...] = ()
    bokeh: tuple[tuple[float, float, float, Rgb, float], ...] = ()
    glows: tuple[tuple[float, float, float, float, Rgb, float], ...] = ()
    slope: tuple[float, float] = (0.0, 0.0)
    slope_rgb: Rgb = (0.0, 0.0, 0.0)
    softness: float = 0.0
    table: bool = False


def sample_view(rng: Rng, light: Light, reach: float) -> View:
    """A random backdrop whose decoration reaches from -reach to reach in x and y."""
    view = VIEWS[int(rng.integers(len(VIEWS)))](rng, reach)
    view = replace(view, softness=float(rng.uniform(0.01, 0.09)) if rng.random() < 0.5 else view.softness)
    if view.slope == (0.0, 0.0) and rng.random() < 0.5:
        tone = lit(view.paint.mid, float(rng.choice([0.35, 0.6, 1.3])))
        view = replace(view, slope=(float(-light[0] * 0.3), float(rng.uniform(-0.2, 0.3))), slope_rgb=tone)
    return view


def _tile(rng: Rng, colour: Rgb, kinds: tuple[str, ...], scale: float, contrast: float) -> Paint:
    kind = kinds[int(rng.integers(len(kinds)))]
    return textured(
        rng, flat(colour), kind, scale * float(rng.uniform(0.7, 1.5)), contrast * float(rng.uniform(0.6, 1.3))
    )


def _soft_colour(rng: Rng) -> Rgb:
    """A colour as walls have it: often pale or greyed."""
    colour = sample_colour(rng)[1]
    pick = rng.random()
    if pick < 0.4:
        return mix(colour, (235.0, 232.0, 228.0), float(rng.uniform(0.4, 0.85)))
    return mix(colour, (90.0, 90.0, 92.0), float(rng.uniform(0.2, 0.7))) if pick < 0.65 else colour


WOOD: tuple[Rgb, ...] = ((176, 128, 82), (120, 78, 48), (212, 176, 130), (80, 55, 40), (150, 140, 128), (225, 205, 178))


def _floor_paint(rng: Rng, colour: Rgb | None = None) -> Paint:
    pick = rng.random()
    if pick < 0.35:
        wood = WOOD[int(rng.integers(len(WOOD)))]
        return _tile(rng, lit(wood, float(rng.uniform(0.7, 1.15))), ("planks", "planks", "wood"), 1.6, 0.5)
    if pick < 0.5:
        return _tile(rng, colour or _soft_colour(rng), ("tiles", "checker", "bricks"), 2.2, 0.4)
    if pick < 0.65:
        return _tile(
            rng, mix(_soft_colour(rng), (225.0, 222.0, 218.0), 0.5), ("marble", "terrazzo", "concrete"), 1.8, 0.45
        )
    if pick < 0.8:
        return _tile(
            rng,
            colour or _soft_colour(rng),
            ("plaster", "concrete", "weave", "knit", "leather", "fur", "grain"),
            1.2,
            0.35,
        )
    return flat(colour or _soft_colour(rng))


def plain(rng: Rng, reach: float) -> View:
    colour = _soft_colour(rng) if rng.random() < 0.7 else sample_rgb(rng, "white")
    other = lit(colour, float(rng.uniform(0.3, 1.4)))
    slope = (float(rng.normal(0, 0.2)), float(rng.normal(0, 0.3)))
    floor = bool(rng.random() < 0.25)
    return View(
        "plain",
        "background",
        flat(colour),
        floor,
        flat(lit(colour, float(rng.uniform(0.8, 1.15)))),
        slope=slope,
        slope_rgb=other,
    )


def studio(rng: Rng, reach: float) -> View:
    colour = _soft_colour(rng)
    glow = (
        float(rng.normal(0, 0.2)),
        float(rng.uniform(-0.4, 0.3)),
        float(rng.uniform(0.5, 1.1)),
        float(rng.uniform(0.4, 0.9)),
    )
    glows = ((*glow, mix(colour, (255.0, 255.0, 255.0), 0.6), float(rng.uniform(0.2, 0.8))),)
    dark = lit(colour, float(rng.uniform(0.15, 0.8)))
    decor: list[Part] = []
    if rng.random() < 0.4:
        shape = mix(colour, sample_colour(rng)[1], 0.5)
        radius = float(rng.uniform(0.5, 0.9))
        decor.append(Part(ellipse(float(rng.normal(0, 0.2)), float(rng.uniform(-0.3, 0.2)), radius), flat(shape)))
    return View(
        "studio", "studio", flat(dark), bool(rng.random() < 0.5), flat(lit(dark, 1.15)), tuple(decor), glows=glows
    )


def wall(rng: Rng, reach: float) -> View:
    kinds = (
        "plaster",
        "concrete",
        "bricks",
        "tiles",
        "planks",
        "marble",
        "wood",
        "curtain",
        "stripes",
        "mist",
        "weave",
        "crumple",
    )
    paint = _tile(rng, _soft_colour(rng), kinds, 1.6, 0.4)
    return View("tabletop", "wall", paint, bool(rng.random() < 0.8), _floor_paint(rng), table=True)


def room(rng: Rng, reach: float) -> View:
    """A wall with a window, pictures, a corner or a shelf."""
    colour = _soft_colour(rng)
    decor: list[Part] = []
    if rng.random() < 0.3:
        x = float(rng.uniform(-0.8, 0.8))
        decor.append(Part(rectangle(x, -reach, reach, reach), flat(lit(colour, float(rng.choice([0.75, 1.2]))))))
    if rng.random() < 0.5:
        decor += _window(rng, float(rng.uniform(-0.9, 0.9)))
    for _ in range(int(rng.integers(0, 4))):
        decor += _picture(rng, float(rng.uniform(-1.2, 1.2)), float(rng.uniform(-0.9, -0.1)))
    if rng.random() < 0.3:
        y = float(rng.uniform(-0.7, -0.1))
        decor.append(Part(rectangle(-reach, y, reach, y + 0.04), flat(WOOD[int(rng.integers(6))])))
        for x in np.arange(-reach, reach, 0.16):
            if rng.random() < 0.6:
                tall = float(rng.uniform(0.1, 0.32))
                decor.append(Part(rounded(float(x), y - tall, float(x) + 0.12, y, 0.03), flat(sample_colour(rng)[1])))
    paint = (
        flat(colour) if rng.random() < 0.5 else _tile(rng, colour, ("plaster", "stripes", "mist", "dots"), 1.5, 0.15)
    )
    return View(
        "room", "room", paint, bool(rng.random() < 0.75), _floor_paint(rng), tuple(decor), softness=0.03, table=True
    )


def _window(rng: Rng, x: float) -> list[Part]:
    w, top, low = float(rng.uniform(0.25, 0.6)), float(rng.uniform(-1.2, -0.7)), float(rng.uniform(-0.2, 0.3))
    sky = mix((190.0, 215.0, 240.0), (255.0, 252.0, 240.0), float(rng.random()))
    frame = flat((240, 238, 232) if rng.random() < 0.6 else (60, 50, 44))
    outside = _tile(rng, sky, ("clouds", "leaves", "facades", "mist"), 1.0, 0.35)
    parts = [
        Part(rectangle(x - w - 0.05, top - 0.05, x + w + 0.05, low + 0.05), frame),
        Part(rectangle(x - w, top, x + w, low), outside),
    ]
    parts.append(Part(rectangle(x - 0.02, top, x + 0.02, low), frame))
    parts.append(Part(rectangle(x - w, (top + low) / 2 - 0.02, x + w, (top + low) / 2 + 0.02), frame))
    if rng.random() < 0.5:
        cloth = _tile(rng, _soft_colour(rng), ("curtain",), 0.9, 0.5)
        parts.append(Part(rectangle(x - w - 0.3, top - 0.1, x - w + 0.1, 1.6), cloth))
        parts.append(Part(rectangle(x + w - 0.1, top - 0.1, x + w + 0.3, 1.6), cloth))
    return parts


def _picture(rng: Rng, x: float, y: float) -> list[Part]:
    w, h = float(rng.uniform(0.1, 0.3)), float(rng.uniform(0.1, 0.3))
    art = _tile(rng, sample_colour(rng)[1], ("blots", "clouds", "petals", "print", "waves"), 0.5, 0.6)
    return [Part(rectangle(x - w, y - h, x + w, y + h), flat((235, 232, 225) if rng.random() < 0.5 else (35, 32, 30))),
            Part(rectangle(x - w * 0.85, y - h * 0.85, x + w * 0.85, y + h * 0.85), art)]  # fmt: skip


def shelves(rng: Rng, reach: float) -> View:
    paint = _tile(rng, _soft_colour(rng), ("shelf",), 2.0, 0.7)
    paint = replace(paint, turned=False, high=mix(paint.high, sample_colour(rng)[1], 0.5))
    return View("room", "shop", paint, bool(rng.random() < 0.6), _floor_paint(rng), softness=0.05, table=True)


def night(rng: Rng, reach: float) -> View:
    """City lights out of focus."""
    base = mix(sample_colour(rng)[1], (15.0, 16.0, 26.0), float(rng.uniform(0.5, 0.9)))
    lights = []
    for _ in range(int(rng.integers(8, 26))):
        colour = mix(sample_colour(rng)[1], (255.0, 225.0, 170.0), 0.5)
        x, y = rng.uniform(-reach, reach, 2)
        lights.append((float(x), float(y), float(rng.uniform(0.04, 0.2)), colour, float(rng.uniform(0.15, 0.75))))
    paint = _tile(rng, base, ("mist", "clouds", "facades"), 2.0, 0.5)
    return View(
        "street",
        "city lights",
        paint,
        bool(rng.random() < 0.45),
        _floor_paint(rng),
        bokeh=tuple(lights),
        softness=0.12,
        table=True,
    )


def city(rng: Rng, reach: float) -> View:
    sky = mix((150.0, 190.0, 230.0), (250.0, 205.0, 160.0), float(rng.random()))
    decor = []
    x = -reach
    while x < reach:
        w, top = float(rng.uniform(0.15, 0.5)), float(rng.uniform(-0.9, 0.0))
        colour = mix(_soft_colour(rng), sky, 0.3)
        decor.append(
            Part(
                rectangle(x, top, x + w, reach),
                _tile(rng, colour, ("facades", "facades", "concrete", "bricks"), 0.9, 0.4),
            )
        )
        x += w
    view = View(
        "street",
        "city",
        _tile(rng, sky, ("clouds",), 2.5, 0.3),
        bool(rng.random() < 0.7),
        _floor_paint(rng),
        tuple(decor),
        softness=0.03,
    )
    return view


def hills(rng: Rng, reach: float) -> View:
    """Sky, and two or three ridges before it."""
    sky = mix((120.0, 175.0, 235.0), sample_colour(rng)[1], 0.25)
    decor = []
    xs = np.linspace(-reach, reach, 60)
    land = lit(sample_rgb(rng, ("green", "brown", "beige", "blue", "gray")[int(rng.integers(5))]), 0.8)
    count = int(rng.integers(1, 4))
    kinds = ("leaves", "grass", "concrete", "plaster", "waves")
    for index in range(count):
        level = -0.35 + 0.25 * index + float(rng.uniform(-0.1, 0.1))
        ridge = level + sum(
            float(rng.normal()) * 0.12 / k * np.sin(k * xs * 1.7 + rng.uniform(0, 6)) for k in (1, 2, 4, 7)
        )
        outline: Points = np.concatenate([np.stack([xs, ridge], 1), [[reach, reach], [-reach, reach]]])
        decor.append(Part(outline, _tile(rng, mix(sky, land, (index + 1.0) / count), kinds, 1.0, 0.35)))
    ground = (
        _tile(rng, land, ("grass", "leaves", "pebbles", "plaster", "waves", "concrete"), 1.2, 0.5)
        if rng.random() < 0.8
        else None
    )
    air = _tile(rng, sky, ("clouds", "mist"), 2.5, 0.4)
    haze = mix(sky, (255.0, 240.0, 220.0), 0.7)
    floor = bool(rng.random() < 0.7)
    floor_paint = ground or _floor_paint(rng)
    return View("outdoor", "landscape", air, floor, floor_paint, tuple(decor), slope=(0.0, 0.5), slope_rgb=haze)


def greenery(rng: Rng, reach: float) -> View:
    colour = sample_rgb(rng, "green") if rng.random() < 0.75 else sample_colour(rng)[1]
    paint = _tile(
        rng, lit(colour, float(rng.uniform(0.5, 1.1))), ("leaves", "grass", "petals", "pile", "clouds"), 1.6, 0.8
    )
    decor = []
    for _ in range(int(rng.integers(0, 6))):
        x, w = float(rng.uniform(-reach, reach)), float(rng.uniform(0.03, 0.14))
        bark = lit(sample_rgb(rng, "brown"), 0.8)
        decor.append(
            Part(
                polygon((x - w, -reach), (x + w, -reach), (x + w * 1.3, reach), (x - w * 1.3, reach)),
                _tile(rng, bark, ("wood", "plaster"), 0.5, 0.5),
            )
        )
    spots = [
        (float(x), float(y), float(rng.uniform(0.04, 0.15)), (255.0, 250.0, 200.0), float(rng.uniform(0.1, 0.5)))
        for x, y in rng.uniform(-1.3, 1.3, (int(rng.integers(0, 10)), 2))
    ]
    return View(
        "outdoor",
        "garden",
        paint,
        bool(rng.random() < 0.55),
        _floor_paint(rng),
        tuple(decor),
        tuple(spots),
        softness=0.06,
        table=True,
    )


def water(rng: Rng, reach: float) -> View:
    colour = mix((60.0, 140.0, 180.0), sample_colour(rng)[1], 0.3)
    sky = mix((180.0, 210.0, 240.0), (255.0, 190.0, 140.0), float(rng.random()))
    shore = (
        _tile(rng, (215.0, 190.0, 150.0), ("plaster", "grain", "pebbles"), 1.0, 0.3)
        if rng.random() < 0.6
        else _tile(rng, colour, ("waves",), 1.5, 0.5)
    )
    decor = [
        Part(rectangle(-reach, float(rng.uniform(-0.2, 0.1)), reach, reach), _tile(rng, colour, ("waves",), 1.2, 0.5))
    ]
    if rng.random() < 0.5:
        decor.insert(
            0,
            Part(
                ellipse(float(rng.uniform(-1, 1)), float(rng.uniform(-0.8, 0.0)), float(rng.uniform(0.08, 0.3))),
                flat((255, 240, 200)),
            ),
        )
    return View(
        "outdoor", "beach", _tile(rng, sky, ("clouds", "mist"), 2.5, 0.3), bool(rng.random() < 0.7), shore, tuple(decor)
    )


def shapes(rng: Rng, reach: float) -> View:
    """A set of big flat forms: circles, arches, blobs, bands."""
    base = sample_colour(rng)[1] if rng.random() < 0.5 else _soft_colour(rng)
    decor = []
    for _ in range(int(rng.integers(1, 7))):
        x, y, r = float(rng.uniform(-1.2, 1.2)), float(rng.uniform(-1, 1)), float(rng.uniform(0.15, 0.8))
        colour = mix(base, sample_colour(rng)[1], float(rng.uniform(0.2, 1)))
        pick = int(rng.integers(5))
        outline = (
            ellipse(x, y, r) if pick == 0
            else rounded(x - r * 0.6, y - r, x + r * 0.6, reach, r * 0.6) if pick == 1
            else fourier(rng, 4, 0.3) * r + (x, y) if pick == 2
            else polygon((x - r, -reach), (x, -reach), (x + r, reach), (x, reach)) if pick == 3
            else np.concatenate([arc(x, y, r, r, 0, 360, 40), arc(x, y, r * 0.7, r * 0.7, 360, 0, 40)])
        )  # fmt: skip
        decor.append(
            Part(
                outline,
                flat(colour)
                if rng.random() < 0.7
                else _tile(rng, colour, ("stripes", "plaster", "dots", "marble"), 1.0, 0.4),
            )
        )
    return View(
        "abstract",
        "set",
        flat(base),
        bool(rng.random() < 0.5),
        flat(lit(base, float(rng.uniform(0.6, 1.2)))),
        tuple(decor),
    )


def pattern(rng: Rng, reach: float) -> View:
    kinds = (
        "stripes",
        "dots",
        "zigzag",
        "checker",
        "plaid",
        "petals",
        "terrazzo",
        "blots",
        "waves",
        "knit",
        "leather",
        "pebbles",
        "pile",
        "print",
    )
    paint = _tile(rng, sample_colour(rng)[1], kinds, 1.5, 0.5)
    if rng.random() < 0.5:
        paint = replace(paint, high=sample_colour(rng)[1])
    return View("abstract", "pattern", paint, bool(rng.random() < 0.5), _floor_paint(rng), table=True)


VIEWS: tuple[Callable[[Rng, float], View], ...] = (
    plain, plain, studio, studio, wall, wall, wall, room, room, shelves, night, city, hills, greenery, water, shapes,
    pattern,
)  # fmt: skip
