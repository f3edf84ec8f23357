"""Products a shelf holds: packages and vessels. Each maker returns a Body about 2 high."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from datapipe.worlds.materials import Paint, flat, lit, toned
from datapipe.worlds.shapes import (
    Body,
    Kit,
    Part,
    ellipse,
    polygon,
    rectangle,
    rounded,
    smooth,
    turned,
)


def bottle(k: Kit) -> Body:
    r, neck = k.uniform(0.24, 0.5), k.uniform(0.08, 0.15)
    shoulder, top = k.uniform(-0.55, 0.0), k.uniform(-0.9, -0.75)
    square = k.chance(0.35)
    waist = r * k.uniform(0.8, 1.02)
    side = [
        (top, neck),
        (shoulder - (0.06 if square else 0.3), neck * 1.1),
        (shoulder, r),
        (0.3, waist),
        (0.9, r),
        (1.0, r * 0.93),
    ]
    wide = k.uniform(1.0, 1.5)
    cap = Part(rounded(-neck * wide, -1, neck * wide, top + 0.03, 0.04), k.round(k.accent))
    parts = [Part(turned(*side), k.round(k.main)), cap]
    if k.chance(0.25):
        parts.append(Part(rectangle(-neck * 1.15, top + 0.02, neck * 1.15, top + 0.07), k.ink))
    low = shoulder + k.uniform(0.1, 0.25)
    return Body("bottle", (*parts, *k.label(-waist * 0.98, low, waist * 0.98, k.uniform(low + 0.3, 0.85))), 1.0)


def perfume(k: Kit) -> Body:
    r, top = k.uniform(0.5, 0.85), k.uniform(-0.5, -0.3)
    glass = replace(k.main, glass=max(k.main.glass, k.uniform(0, 0.6)), gloss=0.7)
    liquid = toned(k.accent_rgb, 0.7, 1.0, 1.2, shade="relief", light=k.light, glass=0.3)
    n = k.uniform(0.1, 0.3)
    return Body(
        "perfume",
        (
            Part(rounded(-r, top, r, 1, k.uniform(0.03, 0.4)), glass),
            Part(rounded(-r * 0.86, k.uniform(top + 0.15, 0.2), r * 0.86, 0.88, 0.1), liquid),
            Part(rectangle(-n * 0.8, top - 0.12, n * 0.8, top), k.solid((190, 190, 190), "turned", 0.6)),
            Part(rounded(-n * 1.2, -1, n * 1.2, top - 0.1, 0.05), k.round(k.accent)),
            *k.label(-r * 0.5, 0.1, r * 0.5, 0.6, "none"),
        ),
        k.uniform(0.35, 0.8),
    )


def jar(k: Kit) -> Body:
    r, lid = k.uniform(0.7, 1.25), k.uniform(-0.7, -0.5)
    body = turned((lid, r * 0.85), (lid + 0.12, r), (0.85, r), (1.0, r * 0.9))
    cover = Part(rounded(-r * 0.92, -1, r * 0.92, lid + 0.02, 0.06), k.round(k.accent))
    return Body("jar", (Part(body, k.round(k.main)), cover, *k.label(-r * 0.95, lid + 0.25, r * 0.95, 0.8)), 1.0)


def can(k: Kit) -> Body:
    r = k.uniform(0.42, 0.65)
    body = turned((-0.97, r * 0.86), (-0.88, r), (0.9, r), (0.98, r * 0.86))
    rim = k.solid((195, 198, 202), "turned", 0.5)
    parts = [Part(body, k.round(k.main)), Part(ellipse(0, -0.96, r * 0.86, r * 0.1), rim)]
    parts.append(Part(rectangle(-r * 0.86, 0.94, r * 0.86, 1.0), rim))
    return Body("can", (*parts, *k.label(-r, -0.6, r, 0.7)), 1.0)


def tube(k: Kit) -> Body:
    r, t = k.uniform(0.32, 0.5), k.uniform(0.6, 0.75)
    body = smooth((-r, -1), (r, -1), (r, -0.8), (r * 0.85, t), (-r * 0.85, t), (-r, -0.8))
    cap = Part(rounded(-r * 0.6, t, r * 0.6, 1, 0.05), k.round(k.accent))
    seam = Part(rectangle(-r, -1, r, -0.9), k.solid(lit(k.main_rgb, 0.8)))
    return Body("tube", (Part(body, k.round(k.main)), cap, seam, *k.label(-r * 0.85, -0.7, r * 0.85, 0.4)), 0.7)


def box(k: Kit) -> Body:
    """Two or three visible faces, seen from a corner."""
    w, d = k.uniform(0.5, 1.1), k.uniform(0.15, 0.6)
    side = 1 if k.chance(0.5) else -1
    lift, top = k.uniform(0.02, 0.12), k.uniform(0.0, 0.2)
    x0, x1 = -w / 2 * side, w / 2 * side
    front = polygon((x0, -1 + top), (x1, -1 + top), (x1, 1), (x0, 1))
    flank = polygon((x1, -1 + top), (x1 + d * side, -1 + top - lift), (x1 + d * side, 1 - lift * 2), (x1, 1))
    face = replace(k.main, shade="linear")
    dark = replace(face, mid=lit(face.mid, 0.6), low=lit(face.low, 0.6), high=lit(face.high, 0.6))
    parts = [Part(front, face), Part(flank, dark)]
    if top > 0.05:
        roof = polygon(
            (x0, -1 + top), (x1, -1 + top), (x1 + d * side, -1 + top - lift), (x0 + d * side, -1 + top - lift)
        )
        pale = replace(face, mid=lit(face.mid, 1.25), low=lit(face.low, 1.25), high=lit(face.high, 1.25))
        parts.append(Part(roof, pale))
    return Body(
        "box", (*parts, *k.label(min(x0, x1) + 0.04, -0.7 + top, max(x0, x1) - 0.04, 0.9, "none")), k.uniform(0.3, 0.6)
    )


def carton(k: Kit) -> Body:
    w, t = k.uniform(0.4, 0.6), -0.6
    face = replace(k.main, shade="linear")
    gable = Part(polygon((-w, t), (w, t), (w * 0.8, -0.88), (-w * 0.8, -0.88)), k.solid(lit(k.main_rgb, 0.8), "linear"))
    parts = [Part(rectangle(-w, t, w, 1), face), gable, Part(rectangle(-w * 0.8, -1, w * 0.8, -0.87), face)]
    parts.append(Part(ellipse(w * 0.2, -0.74, 0.11, 0.09), k.accent))
    return Body("carton", (*parts, *k.label(-w * 0.95, t + 0.1, w * 0.95, 0.9, "none")), 0.6)


def cup(k: Kit) -> Body:
    r, foot = k.uniform(0.7, 1.1), k.uniform(0.45, 1.0)
    side = 1 if k.chance(0.5) else -1
    h = k.uniform(0.3, 0.5)
    ring = ellipse(side * r * 0.95, 0.0, h, k.uniform(0.4, 0.62))
    hole = (ring - ring.mean(0)) * k.uniform(0.55, 0.72) + ring.mean(0)
    open_ = k.uniform(0.08, 0.24)
    body = turned((-1 + open_, r), (-0.1, r * (0.7 + 0.3 * foot)), (0.8, r * foot * 0.95), (1.0, r * foot * 0.7))
    brew = Part(
        ellipse(0, -1 + open_ * 1.1, r * 0.88, open_ * 0.75),
        flat((70, 42, 26) if k.chance(0.6) else lit(k.accent_rgb, 0.8)),
    )
    rim = Part(ellipse(0, -1 + open_, r, open_), k.solid(lit(k.main_rgb, 0.75), "linear"))
    parts = [Part(ring, k.main, (hole,)), Part(body, k.round(k.main)), rim, brew]
    if k.chance(0.4):
        parts.insert(0, Part(ellipse(0, 1.0, r * 1.5, 0.12), k.solid(lit(k.main_rgb, 0.9))))
    return Body("cup", (*parts, *(k.label(-r * 0.6, -0.5, r * 0.6, 0.6, "none") if k.chance(0.4) else ())), 1.0)


def glass(k: Kit) -> Body:
    r, stem, t = k.uniform(0.4, 0.6), k.chance(0.6), k.uniform(-0.4, 0.1)
    clear = Paint(
        (225, 232, 236),
        (230, 236, 240),
        (240, 244, 248),
        shade="turned",
        light=k.light,
        ambient=0.7,
        gloss=0.8,
        glass=0.65,
    )
    drink = toned(k.main_rgb, 0.8, 1.0, 1.1, shade="turned", light=k.light, glass=0.15, gloss=0.4)
    if not stem:
        body, fill = turned((-1, r), (1, r * 0.75)), turned((t, r * 0.84), (0.92, r * 0.68))
        return Body("glass", (Part(body, clear), Part(fill, drink)), 1.0)
    bowl = turned(
        (-1, r * 0.8), (-0.5, r), (0.0, r * 0.7), (0.2, 0.04), (0.85, 0.035), (0.95, r * 0.7), (1.0, r * 0.72)
    )
    fill = turned((min(t, -0.2), r * 0.9), (-0.05, r * 0.66), (0.12, 0.1))
    return Body("glass", (Part(bowl, clear), Part(fill, drink)), 1.0)


GOODS: tuple[Callable[[Kit], Body], ...] = (
    bottle, bottle, bottle, perfume, jar, can, tube, box, box, carton, cup, cup, glass,
)  # fmt: skip
