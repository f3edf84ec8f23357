"""Plants, food, letters, toys and shapes without a name. Each maker returns a Body about 2 high."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from datapipe.worlds.materials import flat, lit, textured
from datapipe.worlds.shapes import (
    Body,
    Kit,
    Part,
    arc,
    band,
    ellipse,
    fourier,
    moved,
    polygon,
    rectangle,
    rotated,
    rounded,
    smooth,
    star,
    turned,
)  # fmt: skip


def plant(k: Kit) -> Body:
    r, rim = k.uniform(0.35, 0.55), k.uniform(0.15, 0.4)
    pot = turned((rim, r), (rim + 0.1, r * 0.95), (1.0, r * 0.7))
    green = (int(k.uniform(30, 110)), int(k.uniform(90, 170)), int(k.uniform(30, 90)))
    bloom = k.chance(0.35)
    parts = []
    for _ in range(int(k.uniform(5, 14))):
        angle, length = k.uniform(-1.1, 1.1), k.uniform(0.7, 1.3)
        leaf = smooth((0, 0), (0.14, -0.45), (0, -1), (-0.14, -0.45), steps=4) * (k.uniform(0.6, 1.4), length)
        parts.append(Part(moved(rotated(leaf, angle), 0, rim + 0.05), k.solid(lit(green, k.uniform(0.6, 1.35)))))
        if bloom and len(parts) % 2:
            tip = rotated(np.array([[0.0, -length]]), angle)[0] + (0, rim + 0.05)
            parts.append(Part(star(float(tip[0]), float(tip[1]), 0.22, 6, 0.6), k.solid(k.accent_rgb)))
    return Body("plant", (*parts, Part(pot, k.round(k.main))), 0.8)


def flower(k: Kit) -> Body:
    count, r = int(k.uniform(5, 12)), k.uniform(0.2, 0.32)
    stem = Part(band(np.array([[0.05, 1.0], [0.08, 0.3], [0.0, -0.4]]), 0.06), k.solid((70, 130, 60)))
    leaf = Part(smooth((0.06, 0.7), (0.4, 0.3), (0.5, 0.2), (0.3, 0.6)), k.solid((80, 145, 70)))
    petals = []
    for i in range(count):
        petal = smooth((0, 0), (r, -0.3), (0, -0.6), (-r, -0.3), steps=4)
        petals.append(
            Part(moved(rotated(petal, 2 * np.pi * i / count), 0, -0.4), k.solid(lit(k.main_rgb, k.uniform(0.8, 1.15))))
        )
    return Body("flower", (stem, leaf, *petals, Part(ellipse(0, -0.4, 0.17), k.solid((225, 180, 60)))), 0.4)


def fruit(k: Kit) -> Body:
    kind = int(k.uniform(0, 3))
    paint = replace(k.solid(k.main_rgb, "relief", 0.5), ambient=0.4)
    paint = textured(k.rng, paint, "plaster", 1.5, 0.25)
    if kind == 2:
        return Body(
            "orange",
            (Part(ellipse(0, 0, 1), textured(k.rng, k.solid((240, 150, 40), "relief", 0.3), "leather", 0.8, 0.2)),),
            1.0,
        )
    apple = smooth(
        (0, -0.7),
        (0.5, -0.88),
        (1.0, -0.3),
        (0.7, 0.7),
        (0.25, 1),
        (0, 0.92),
        (-0.25, 1),
        (-0.7, 0.7),
        (-1, -0.3),
        (-0.5, -0.88),
    )
    pear = smooth(
        (0, -0.85),
        (0.3, -0.7),
        (0.45, -0.1),
        (0.75, 0.4),
        (0.5, 0.95),
        (0, 1),
        (-0.5, 0.95),
        (-0.75, 0.4),
        (-0.45, -0.1),
        (-0.3, -0.7),
    )
    stem = Part(band(np.array([[0, -0.6], [0.03, -0.8], [0.12, -1.0]]), 0.07), k.solid((92, 66, 40)))
    leaf = Part(smooth((0.1, -0.85), (0.35, -1.0), (0.6, -0.92), (0.35, -0.8)), k.solid((90, 150, 60)))
    return Body("pear" if kind else "apple", (Part(pear if kind else apple, paint), stem, leaf), 1.0)


def burger(k: Kit) -> Body:
    bun = k.solid((214, 148, 76), "relief", 0.2)
    parts = [
        Part(rounded(-1.15, 0.5, 1.15, 1.0, 0.25), bun),
        Part(rounded(-1.2, 0.2, 1.2, 0.58, 0.18), textured(k.rng, k.solid((94, 56, 34)), "grain", 0.8, 0.5)),
    ]
    parts.append(Part(polygon((-1.1, 0.1), (1.1, 0.1), (0.6, 0.45), (0.2, 0.2), (-0.5, 0.5)), k.solid((250, 196, 60))))
    wave = np.linspace(-1.3, 1.3, 16)
    lettuce = np.concatenate(
        [np.stack([wave, 0.08 + 0.08 * np.sin(wave * 11)], 1), np.stack([wave[::-1], -0.12 + 0 * wave], 1)]
    )
    parts += [
        Part(lettuce, k.solid((110, 170, 60))),
        Part(smooth((-1.2, -0.1), (-1.0, -0.75), (0, -1.0), (1.0, -0.75), (1.2, -0.1), (0, -0.02)), bun),
    ]
    parts += [
        Part(ellipse(k.uniform(-0.8, 0.8), k.uniform(-0.85, -0.4), 0.05, 0.03), flat((250, 236, 200))) for _ in range(9)
    ]
    return Body("burger", tuple(parts), 1.0)


def cake(k: Kit) -> Body:
    r, t = k.uniform(0.8, 1.2), -0.3
    parts = [
        Part(ellipse(0, 0.98, r * 1.25, 0.1), k.solid((235, 235, 238))),
        Part(rounded(-r, t, r, 1.0, 0.08), k.round(replace(k.main, glass=0.0))),
    ]
    drip = np.linspace(-r, r, 24)
    edge = np.concatenate(
        [np.stack([drip, t + 0.18 + 0.12 * np.sin(drip * 9 + k.uniform(0, 6))], 1), [[r, t - 0.02], [-r, t - 0.02]]]
    )
    parts += [
        Part(ellipse(0, t, r, r * 0.16), k.solid(k.accent_rgb, "linear")),
        Part(edge, k.solid(k.accent_rgb, "turned")),
    ]
    for i in range(int(k.uniform(1, 6))):
        x = (i - 2) * 0.25 * r
        parts += [
            Part(rectangle(x - 0.035, t - 0.45, x + 0.035, t), k.solid(k.main_rgb)),
            Part(ellipse(x, t - 0.55, 0.05, 0.1), flat((255, 210, 100))),
        ]
    return Body("cake", tuple(parts), 1.0)


def icecream(k: Kit) -> Body:
    cone = Part(
        polygon((-0.42, 0.0), (0.42, 0.0), (0.02, 1.0), (-0.02, 1.0)),
        textured(k.rng, k.solid((214, 160, 96), "turned"), "checker", 0.8, 0.35),
    )
    scoops = [
        Part(fourier(k.rng, 3, 0.08) * 0.45 + (0, -0.12), k.main),
        Part(fourier(k.rng, 3, 0.08) * 0.4 + (0, -0.6), k.accent),
    ]
    return Body("ice cream", (cone, *scoops[: 1 + int(k.chance(0.6))]), 0.9)


def guitar(k: Kit) -> Body:
    body = smooth(
        (0, 0.02), (0.34, 0.08), (0.26, 0.4), (0.46, 0.75), (0, 1.0), (-0.46, 0.75), (-0.26, 0.4), (-0.34, 0.08)
    )
    wood = k.main if k.chance(0.5) else textured(k.rng, k.solid((176, 112, 60), "relief", 0.4), "wood", 1.0, 0.4)
    parts = [
        Part(body, wood),
        Part(rectangle(-0.05, -0.85, 0.05, 0.4), k.solid((60, 40, 28))),
        Part(rounded(-0.09, -1, 0.09, -0.8, 0.03), k.accent),
    ]
    parts += [
        Part(ellipse(0, 0.42, 0.13), flat((20, 16, 14))),
        Part(rectangle(-0.14, 0.72, 0.14, 0.77), flat((30, 22, 18))),
    ]
    return Body("guitar", tuple(parts), 0.35)


def shirt(k: Kit) -> Body:
    cut = smooth(
        (-0.3, -0.95),
        (-0.15, -0.85),
        (0.15, -0.85),
        (0.3, -0.95),
        (0.75, -0.8),
        (1.15, -0.2),
        (0.85, -0.02),
        (0.65, -0.3),
        (0.66, 0.95),
        (-0.66, 0.95),
        (-0.65, -0.3),
        (-0.85, -0.02),
        (-1.15, -0.2),
        (-0.75, -0.8),
    )
    collar = Part(band(arc(0, -0.98, 0.3, 0.2, 10, 170, 12), 0.07), k.accent)
    print_ = k.label(-0.45, -0.5, 0.45, 0.4, "none")
    return Body("shirt", (Part(cut, replace(k.main, glass=0.0)), collar, *print_), 0.35)


def umbrella(k: Kit) -> Body:
    count = int(k.uniform(4, 8))
    xs = np.linspace(-1.2, 1.2, count + 1)
    parts = [
        Part(rectangle(-0.025, -0.9, 0.025, 0.9), k.solid((70, 56, 46))),
        Part(band(arc(0.13, 0.86, 0.14, 0.13, 0, 180, 10), 0.05), k.solid((70, 56, 46))),
    ]
    for i in range(count):
        rib = smooth(
            (0, -1),
            (xs[i] * 0.75, -0.7),
            (xs[i], 0.0),
            ((xs[i] + xs[i + 1]) / 2, -0.12),
            (xs[i + 1], 0.0),
            (xs[i + 1] * 0.75, -0.7),
            steps=4,
        )
        parts.append(Part(rib, k.main if i % 2 else k.accent))
    return Body("umbrella", tuple(parts), 0.8)


def lettering(k: Kit) -> Body:
    """Words alone, or on a sign."""
    parts = []
    w = k.uniform(1.3, 2.6)
    if k.chance(0.7):
        parts.append(Part(rounded(-w, -1, w, 1, k.uniform(0, 0.9)), k.main))
    rows = 1 if k.chance(0.6) else 2
    ink = k.ink if parts else k.solid(k.main_rgb, "relief", 0.3)
    for row in range(rows):
        y0, y1 = -0.8 + 1.7 * row / rows, -0.8 + 1.7 * (row + 0.9) / rows
        parts.append(Part(rectangle(-w * 0.85, y0, w * 0.85, y1), ink, text=int(k.rng.integers(400))))
    return Body("sign", tuple(parts), 0.25)


def ball(k: Kit) -> Body:
    parts = [Part(ellipse(0, 0, 1), replace(k.main, gloss=k.uniform(0, 0.7)))]
    if k.chance(0.6):
        parts.append(
            Part(smooth((-0.95, -0.2), (0, -0.4), (0.95, -0.2), (0.98, 0.15), (0, 0.05), (-0.98, 0.15)), k.accent)
        )
    return Body("ball", tuple(parts), 1.0)


def blob(k: Kit) -> Body:
    parts = [Part(fourier(k.rng, int(k.uniform(2, 9)), k.uniform(0.15, 0.7)) * (k.uniform(0.6, 1.3), 1), k.main)]
    for _ in range(int(k.uniform(0, 4))):
        small = fourier(k.rng, 4, 0.3) * k.uniform(0.1, 0.4) + (k.uniform(-0.5, 0.5), k.uniform(-0.5, 0.5))
        parts.append(Part(small, k.accent if k.chance(0.5) else k.ink))
    return Body("sculpture", tuple(parts), k.uniform(0.3, 1.0))


def assembly(k: Kit) -> Body:
    """A random union of primitives: machines, toys, sculptures."""
    parts = []
    mirror = k.chance(0.6)
    for index in range(int(k.uniform(2, 7))):
        x, y, r = (0.0, 0.0, 0.6) if index == 0 else (k.uniform(-0.7, 0.7), k.uniform(-0.8, 0.8), k.uniform(0.12, 0.5))
        pick = int(k.uniform(0, 5))
        outline: np.ndarray = (
            ellipse(x, y, r, r * k.uniform(0.4, 1.2)) if pick == 0
            else rounded(x - r, y - r * 0.6, x + r, y + r * 0.6, k.uniform(0, 0.3)) if pick == 1
            else polygon((x - r, y + r), (x + r, y + r), (x + k.uniform(-r, r), y - r)) if pick == 2
            else moved(turned((y - r, r * k.uniform(0.2, 1)), (y, r), (y + r, r * k.uniform(0.2, 1))), x, 0)
            if pick == 3
            else band(np.array([[x, y], [k.uniform(-1, 1), k.uniform(-1, 1)]]), k.uniform(0.04, 0.2))
        )  # fmt: skip
        paint = (k.main, k.accent, k.solid(lit(k.main_rgb, k.uniform(0.5, 1.4)), gloss=0.4), k.ink)[
            int(k.uniform(0, 3.4))
        ]
        parts.append(Part(outline, paint))
        if mirror and index:
            parts.append(Part(outline * (-1, 1), paint))
    return Body("object", tuple(parts), k.uniform(0.3, 1.0))


def robot(k: Kit) -> Body:
    steel, eye = replace(k.main, glass=0.0), flat((250, 230, 120) if k.chance(0.5) else (90, 220, 240))
    parts = [Part(rounded(s * 0.25 - 0.13, 0.5, s * 0.25 + 0.13, 1.0, 0.05), k.accent) for s in (-1, 1)]
    parts += [Part(rounded(s * 0.68 - 0.1, -0.2, s * 0.68 + 0.1, 0.5, 0.1), k.accent) for s in (-1, 1)]
    parts += [
        Part(rounded(-0.55, -0.25, 0.55, 0.6, 0.1), steel),
        Part(rounded(-0.45, -0.9, 0.45, -0.3, 0.12), steel),
        Part(rectangle(-0.02, -1, 0.02, -0.88), k.ink),
    ]
    parts += [Part(ellipse(s * 0.2, -0.62, 0.11), eye) for s in (-1, 1)] + [
        Part(rectangle(-0.2, -0.45, 0.2, -0.39), k.ink)
    ]
    return Body("robot", (*parts, *k.label(-0.35, -0.1, 0.35, 0.45, "none")), 0.6)


THINGS: tuple[Callable[[Kit], Body], ...] = (
    plant, flower, fruit, burger, cake, icecream, guitar, shirt, umbrella, lettering, lettering, ball, blob, blob, blob,
    assembly, assembly, robot,
)  # fmt: skip
