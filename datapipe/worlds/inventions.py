"""Nameless things: a few shapes grown out of each other, often alike left and right, each part with a paint of its own.

The catalogue's bodies are known by heart after a while; a thing that has never been seen is known only by how it stands
before its ground.
"""

from __future__ import annotations

import numpy as np

from datapipe.worlds.materials import Paint, lit, sample_colour, sample_finish
from datapipe.worlds.shapes import Body, Kit, Part, Points, arc, band, ellipse, fourier, moved, rotated, rounded

Rng = np.random.Generator
INKS = ((12.0, 12.0, 14.0), (40.0, 38.0, 40.0), (235.0, 235.0, 232.0), (252.0, 252.0, 250.0))


def make_invention(kit: Kit) -> Body:
    """A random body of one to seven limbs on a trunk, with marks on them."""
    rng = kit.rng
    mirrored = kit.chance(0.6)
    paints = [_paint(kit) for _ in range(int(rng.integers(1, 5)))]
    trunk = _shape(rng, 0.0 if mirrored else float(rng.normal(0, 0.2)), 0.0, kit.uniform(0.4, 1.0))
    shapes: list[tuple[Points, tuple[Points, ...]]] = [(trunk, ())]
    for _ in range(int(rng.choice([0, 0, 1, 1, 2, 3, 4, 6]))):
        shapes += _limb(kit, shapes, mirrored)
    if kit.chance(0.5):
        shapes = shapes[1:] + shapes[:1] if kit.chance(0.5) else shapes[::-1]
    parts = [Part(outline, paints[int(rng.integers(len(paints)))], holes) for outline, holes in shapes]
    for _ in range(int(rng.choice([0, 0, 1, 2, 4]))):
        parts.append(_mark(kit, shapes))
    return Body("thing", tuple(parts), kit.uniform(0.3, 1.0))


def _paint(kit: Kit) -> Paint:
    if kit.chance(0.35):  # black rubber and white enamel are what most machines are made of
        return kit.solid(INKS[int(kit.rng.integers(len(INKS)))], gloss=kit.uniform(0, 0.8))
    colour = sample_colour(kit.rng)[1]
    return sample_finish(kit.rng, colour if kit.chance(0.5) else lit(kit.main_rgb, kit.uniform(0.3, 1.6)), kit.light)


def _shape(rng: Rng, x: float, y: float, size: float) -> Points:
    tall = float(np.exp(rng.normal(0, 0.45)))
    a, b = size / tall**0.5, size * tall**0.5
    pick = int(rng.integers(4))
    if pick == 0:
        points = ellipse(0, 0, a, b)
    elif pick == 1:
        points = rounded(-a, -b, a, b, float(rng.uniform(0.02, 1)) * min(a, b))
    elif pick == 2:
        points = fourier(rng, 4, 0.5) * (a, b)
    else:  # wider at one end
        top = float(rng.uniform(0.3, 1.0))
        points = np.array([[-a * top, -b], [a * top, -b], [a, b], [-a, b]])
    angle = 0.0 if rng.random() < 0.5 else float(rng.normal(0, 0.5))
    return moved(rotated(points, angle), x, y)


def _limb(
    kit: Kit, shapes: list[tuple[Points, tuple[Points, ...]]], mirrored: bool
) -> list[tuple[Points, tuple[Points, ...]]]:
    """A part whose middle, or whose beginning, lies on one that is there."""
    rng = kit.rng
    outline = shapes[int(rng.integers(len(shapes)))][0]
    x, y = (outline[int(rng.integers(len(outline)))] * kit.uniform(0.6, 1.0)).tolist()
    pick = rng.random()
    holes: tuple[Points, ...] = ()
    if pick < 0.3:  # a strut, a leg, a strap
        end = np.array([x, y]) + rng.normal(0, 0.6, 2)
        bend = (np.array([x, y]) + end) / 2 + rng.normal(0, 0.15, 2)
        t = np.linspace(0, 1, 9)[:, None]
        line = (1 - t) ** 2 * np.array([x, y]) + 2 * t * (1 - t) * bend + t**2 * end
        limb = band(line, kit.uniform(0.03, 0.16))
    elif pick < 0.42:  # a wheel, a handle
        radius = kit.uniform(0.2, 0.5)
        limb = arc(x, y, radius, radius, 0, 360, 40)
        holes = (arc(x, y, radius * 0.7, radius * 0.7, 0, 360, 40),) if kit.chance(0.5) else ()
    else:
        limb = _shape(rng, x, y, kit.uniform(0.15, 0.6))
    made: list[tuple[Points, tuple[Points, ...]]] = [(limb, holes)]
    if mirrored:
        made.append((limb * (-1, 1), tuple(hole * (-1, 1) for hole in holes)))
    return made


def _mark(kit: Kit, shapes: list[tuple[Points, tuple[Points, ...]]]) -> Part:
    """A window, a lamp, a label: a small shape well inside of one that is there."""
    outline = shapes[int(kit.rng.integers(len(shapes)))][0]
    centre, reach = outline.mean(0), np.ptp(outline, axis=0).min()
    at = centre + kit.rng.normal(0, 0.08, 2) * np.ptp(outline, axis=0)
    return Part(_shape(kit.rng, at[0], at[1], float(reach) * kit.uniform(0.05, 0.25)), _paint(kit))
