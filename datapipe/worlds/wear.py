"""Wear and vehicles. Each maker returns a Body about 2 high."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from datapipe.worlds.materials import Paint, flat, lit, toned
from datapipe.worlds.shapes import (
    Body,
    Kit,
    Part,
    arc,
    band,
    ellipse,
    polygon,
    rectangle,
    rounded,
    smooth,
    turned,
)  # fmt: skip


def shoe(k: Kit) -> Body:
    """A sneaker from the side."""
    s = 1 if k.chance(0.5) else -1
    high = k.uniform(-1.0, -0.6)
    upper = smooth(
        (-1.45, 0.6),
        (-1.5, 0.0),
        (-1.35, high),
        (-0.9, high + 0.12),
        (-0.6, high),
        (-0.35, -0.35),
        (0.3, -0.05),
        (1.1, 0.15),
        (1.55, 0.45),
        (1.5, 0.65),
    )
    sole = smooth((-1.55, 0.55), (0, 0.6), (1.1, 0.5), (1.65, 0.5), (1.6, 0.85), (1.2, 1.0), (-1.3, 1.0), (-1.58, 0.9))
    parts = [
        Part(upper, replace(k.main, shade="relief", glass=0.0)),
        Part(smooth((1.0, 0.12), (1.55, 0.45), (1.5, 0.62), (0.9, 0.62)), k.accent),
    ]
    parts.append(Part(smooth((-1.35, high + 0.1), (-1.1, high + 0.15), (-1.1, 0.55), (-1.5, 0.5), (-1.5, 0)), k.accent))
    parts.append(Part(sole, k.solid((240, 238, 232) if k.chance(0.7) else k.accent_rgb)))
    swoosh = int(k.uniform(0, 3))
    if swoosh == 0:
        parts.append(Part(smooth((-0.8, 0.35), (-0.3, 0.3), (0.6, -0.02), (-0.3, 0.45)), k.ink))
    elif swoosh == 1:
        parts += [
            Part(polygon((x, 0.55), (x + 0.13, 0.55), (x + 0.35, -0.1), (x + 0.22, -0.12)), k.ink)
            for x in (-0.6, -0.3, 0.0)
        ]
    for i in range(int(k.uniform(3, 6))):
        x, y = -0.25 + i * 0.18, -0.32 + i * 0.09
        parts.append(Part(band(np.array([[x - 0.2, y + 0.16], [x + 0.03, y - 0.03]]), 0.06), flat((245, 245, 242))))
    parts.append(Part(ellipse(-0.95, high + 0.14, 0.38, 0.07), flat(lit(k.main_rgb, 0.3))))
    return Body("shoe", tuple(replace(p, outline=p.outline * (s, 1)) for p in parts), 0.5)


def heel(k: Kit) -> Body:
    s = 1 if k.chance(0.5) else -1
    upper = smooth(
        (-0.95, -0.9),
        (-0.75, -1.0),
        (-0.5, -0.5),
        (0.2, 0.45),
        (0.8, 0.6),
        (1.3, 0.85),
        (1.25, 1.0),
        (0.6, 0.98),
        (0.0, 0.7),
        (-0.6, 0.0),
        (-0.9, -0.35),
    )
    spike = polygon((-0.95, -0.5), (-0.6, -0.1), (-0.82, 1.0), (-0.92, 1.0))
    parts = (Part(spike, k.accent), Part(upper, replace(k.main, gloss=0.6, glass=0.0)))
    return Body("shoe", tuple(replace(p, outline=p.outline * (s, 1)) for p in parts), 0.5)


def hat(k: Kit) -> Body:
    brim = Part(smooth((-1.6, 0.7), (0, 0.45), (1.6, 0.7), (0, 1.0)), k.main)
    crown = smooth((-0.85, 0.75), (-0.8, -0.6), (-0.4, -1), (0, -0.85), (0.4, -1), (0.8, -0.6), (0.85, 0.75), (0, 0.88))
    ribbon = smooth((-0.87, 0.7), (-0.85, 0.35), (0, 0.5), (0.85, 0.35), (0.87, 0.7), (0, 0.87))
    return Body("hat", (brim, Part(crown, k.main), Part(ribbon, k.accent)), 0.8)


def helmet(k: Kit) -> Body:
    s = 1 if k.chance(0.5) else -1
    shell = smooth(
        (-1.0, 0.3), (-0.9, -0.6), (-0.1, -1.0), (0.8, -0.7), (1.05, 0.1), (0.95, 0.9), (0.4, 1.0), (-0.6, 0.9)
    )
    visor = smooth((0.15, -0.35), (1.0, -0.35), (1.08, 0.2), (0.3, 0.3))
    parts = [
        Part(shell, replace(k.main, gloss=0.7)),
        Part(visor, Paint((20, 22, 30), (40, 44, 60), (60, 66, 90), shade="relief", light=k.light, gloss=0.8)),
    ]
    parts.append(
        Part(smooth((-0.95, -0.1), (-0.3, -0.5), (0.3, -0.75), (0.5, -0.68), (-0.2, -0.2), (-0.92, 0.2)), k.accent)
    )
    return Body("helmet", tuple(replace(p, outline=p.outline * (s, 1)) for p in parts), 0.9)


def spectacles(k: Kit) -> Body:
    r, frame = k.uniform(0.75, 0.95), k.solid(k.main_rgb, "relief", 0.5)
    parts = []
    tinted = k.chance(0.5)
    lens = toned(k.accent_rgb, 0.15, 0.3, 0.6, shade="relief", light=k.light, gloss=0.5, glass=0.1)
    for s in (-1, 1):
        outer = (
            ellipse(s * 1.1, 0, r, r * k.uniform(0.8, 1.0))
            if k.chance(0.7)
            else rounded(s * 1.1 - r, -0.7, s * 1.1 + r, 0.7, 0.3)
        )
        inner = (outer - outer.mean(0)) * 0.86 + outer.mean(0)
        parts.append(Part(outer, frame, () if tinted else (inner,)))
        if tinted:
            parts.append(Part(inner, lens))
        parts.append(
            Part(
                polygon(
                    (s * (1.1 + r * 0.9), -0.3),
                    (s * (1.35 + r), -0.45),
                    (s * (1.35 + r), -0.3),
                    (s * (1.1 + r * 0.9), -0.1),
                ),
                frame,
            )
        )
    parts.append(Part(band(arc(0, 0.05, 0.35, 0.3, 200, 340, 9), 0.13), frame))
    return Body("glasses", tuple(parts), 0.3)


def car(k: Kit) -> Body:
    s = 1 if k.chance(0.5) else -1
    roof = k.uniform(0.7, 1.1)
    shell = smooth(
        (-2.0, 0.65),
        (-2.0, 0.0),
        (-1.5, -0.2),
        (-roof, -0.9),
        (roof * 0.6, -0.95),
        (1.2, -0.2),
        (1.9, 0.0),
        (2.1, 0.3),
        (2.05, 0.68),
        steps=4,
    )
    pane = smooth((-1.15, -0.2), (-roof * 0.85, -0.75), (roof * 0.5, -0.8), (0.95, -0.2), steps=4)
    parts = [
        Part(shell, replace(k.main, glass=0.0, gloss=0.5)),
        Part(pane, Paint((40, 48, 56), (70, 84, 96), (120, 136, 150), shade="linear", light=k.light)),
    ]
    parts.append(Part(rectangle(-0.15, -0.82, -0.05, -0.2), k.solid(lit(k.main_rgb, 0.8))))
    for x in (-1.2, 1.25):
        parts += [
            Part(ellipse(x, 0.6, 0.42), flat((22, 22, 24))),
            Part(ellipse(x, 0.6, 0.25), k.solid((190, 192, 196), "relief", 0.5)),
        ]
    parts += [
        Part(ellipse(1.95, 0.2, 0.13, 0.1), flat((255, 248, 215))),
        Part(rounded(-2.02, 0.05, -1.9, 0.3, 0.03), flat((200, 30, 30))),
    ]
    return Body("car", tuple(replace(p, outline=p.outline * (s, 1)) for p in parts), 0.6)


def rocket(k: Kit) -> Body:
    r, low = k.uniform(0.26, 0.4), 0.6
    fin = smooth((r * 0.9, 0.2), (r * 2.1, 0.55), (r * 2.0, 0.85), (r * 0.8, low))
    hull = turned((-1, 0.01), (-0.7, r * 0.65), (-0.2, r), (0.3, r), (low, r * 0.7))
    tip = turned((-1, 0.01), (-0.85, r * 0.4), (-0.68, r * 0.68))
    flame = smooth((-r * 0.5, low), (r * 0.5, low), (r * 0.35, 0.8), (0, 1.0), (-r * 0.35, 0.8))
    parts = (
        [Part(flame, Paint((255, 120, 30), (255, 180, 60), (255, 240, 160), tile="mist", scale=0.5))]
        if k.chance(0.6)
        else []
    )
    parts += [
        Part(fin, k.accent),
        Part(fin * (-1, 1), k.accent),
        Part(hull, k.round(k.main)),
        Part(tip, k.round(k.accent)),
    ]
    parts += [
        Part(ellipse(0, -0.25, r * 0.45), k.solid((190, 192, 198))),
        Part(ellipse(0, -0.25, r * 0.33), flat((70, 130, 180))),
    ]
    return Body("rocket", tuple(parts), 0.9)


WEAR: tuple[Callable[[Kit], Body], ...] = (shoe, shoe, shoe, heel, hat, helmet, spectacles, car, rocket, rocket)
