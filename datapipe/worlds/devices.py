"""Devices, jewellery, furniture and things of the house. Each maker returns a Body about 2 high."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from datapipe.worlds.materials import Paint, flat, lit, mix, toned
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
    star,
    turned,
)


def phone(k: Kit) -> Body:
    w, c = k.uniform(0.44, 0.56), k.uniform(0.05, 0.16)
    screen = toned(k.accent_rgb, 0.3, 0.8, 1.3, tile=("clouds", "blots", "waves")[int(k.uniform(0, 3))], scale=2.5)
    parts = [Part(rounded(-w, -1, w, 1, c), k.solid(mix(k.main_rgb, (20, 20, 24), 0.6), "relief", 0.3))]
    if k.chance(0.7):
        parts.append(Part(rounded(-w * 0.93, -0.95, w * 0.93, 0.95, c * 0.8), screen))
        for i in range(int(k.uniform(0, 13))):
            x, y = -w * 0.66 + (i % 4) * w * 0.44, -0.6 + (i // 4) * 0.3
            parts.append(
                Part(
                    rounded(x - 0.08, y - 0.08, x + 0.08, y + 0.08, 0.03),
                    flat(lit(k.accent_rgb, 0.4 + 0.2 * (i * 7 % 9))),
                )
            )
    else:
        parts[0] = Part(parts[0].outline, k.main)
        for y in (-0.78, -0.55):
            parts.append(Part(ellipse(-w * 0.5, y, 0.09), flat((18, 18, 22))))
            parts.append(Part(ellipse(-w * 0.5, y, 0.045), flat((60, 66, 90))))
        parts += k.label(-0.25, 0.0, 0.25, 0.3, "none")[1:]
    return Body("phone", tuple(parts), 0.3)


def screen(k: Kit) -> Body:
    w = k.uniform(1.2, 1.5)
    kind = ("clouds", "waves", "facades", "leaves", "print")[int(k.uniform(0, 5))]
    show = toned(k.accent_rgb, 0.3, 0.8, 1.4, tile=kind, scale=2.5)
    parts = [
        Part(rounded(-w, -1, w, 0.6, 0.06), flat((24, 24, 28))),
        Part(rectangle(-w * 0.95, -0.94, w * 0.95, 0.52), show),
    ]
    base = k.solid(mix(k.main_rgb, (150, 150, 155), 0.5), "linear")
    if k.chance(0.5):
        parts += [Part(polygon((-w, 0.6), (w, 0.6), (w * 1.25, 1), (-w * 1.25, 1)), base)]
        parts += [Part(polygon((-w * 0.9, 0.66), (w * 0.9, 0.66), (w, 0.84), (-w, 0.84)), flat((40, 40, 44)))]
        return Body("laptop", tuple(parts), 0.4)
    parts += [Part(rectangle(-0.1, 0.6, 0.1, 0.95), base), Part(rounded(-0.5, 0.92, 0.5, 1, 0.04), base)]
    return Body("monitor", tuple(parts), 0.3)


def watch(k: Kit) -> Body:
    r = k.uniform(0.42, 0.6)
    w = r * k.uniform(0.5, 0.75)
    dial = mix(k.accent_rgb, (240, 240, 240), 0.5) if k.chance(0.5) else (25, 26, 32)
    hand = flat((230, 230, 230) if sum(dial) < 300 else (20, 20, 20))
    a, b = k.uniform(0, 360), k.uniform(0, 360)
    strap = replace(k.main, shade="turned")
    case = rounded(-r, -r, r, r, r * 0.3) if k.chance(0.25) else ellipse(0, 0, r)
    metal = k.solid((205, 205, 210) if k.chance(0.6) else (212, 175, 95), "relief", 0.7)
    parts = [
        Part(turned((-1, w * 0.85), (-0.2, w), (0.2, w), (1, w * 0.8)), strap),
        Part(case, metal),
        Part(case * 0.84, flat(dial)),
        Part(rectangle(r, -0.06, r + 0.07, 0.06), metal),
    ]
    for i in range(12):
        x, y = np.cos(i * np.pi / 6) * r * 0.7, np.sin(i * np.pi / 6) * r * 0.7
        parts.append(Part(ellipse(x, y, 0.025), hand))
    for angle, length in ((a, 0.65), (b, 0.45)):
        tip = np.array([[0, 0], [np.cos(angle) * r * length, np.sin(angle) * r * length]])
        parts.append(Part(band(tip, 0.035), hand))
    return Body("watch", tuple(parts), 0.4)


def ring(k: Kit) -> Body:
    thick = k.uniform(0.55, 0.85)
    gem = k.chance(0.6)
    gold = k.solid((216, 178, 96) if k.chance(0.5) else k.main_rgb, "relief", 0.9)
    hoop = ellipse(0, 0.15, 0.85)
    parts = [Part(hoop, gold if gem else k.main, ((hoop - (0, 0.15)) * thick + (0, 0.15),))]
    if gem:
        parts.append(
            Part(
                polygon((-0.3, -0.85), (0.3, -0.85), (0.42, -0.68), (0, -0.35), (-0.42, -0.68)),
                k.solid(k.main_rgb, "relief", 0.9),
            )
        )
        parts.append(Part(polygon((-0.2, -0.68), (0.2, -0.68), (0, -0.38)), flat(lit(k.main_rgb, 1.4))))
        parts.append(Part(polygon((-0.3, -0.85), (-0.2, -0.68), (-0.42, -0.68)), flat(lit(k.main_rgb, 0.6))))
    return Body("ring", tuple(parts), 0.5)


def bag(k: Kit) -> Body:
    top, low = k.uniform(0.55, 0.95), k.uniform(0.8, 1.1)
    y = k.uniform(-0.5, -0.2)
    handle = band(arc(0, y + 0.08, top * k.uniform(0.4, 0.65), 1.08 + y, 180, 360), k.uniform(0.05, 0.12))
    body = smooth(
        (-top, y), (0, y - 0.03), (top, y), (low * 0.98, 0.5), (low, 0.95), (0, 1.0), (-low, 0.95), (-low * 0.98, 0.5)
    )
    parts = [Part(handle, k.accent), Part(body, k.main)]
    if k.chance(0.6):
        parts.append(
            Part(
                smooth((-top * 0.98, y), (top * 0.98, y), (top * 0.9, 0.2), (0, 0.38), (-top * 0.9, 0.2)),
                k.solid(lit(k.main_rgb, 0.8)),
            )
        )
        parts.append(Part(rounded(-0.09, 0.2, 0.09, 0.4, 0.03), k.solid((212, 180, 100), "relief", 0.8)))
    else:
        parts += k.label(-top * 0.6, 0.1, top * 0.6, 0.7, "none")
    return Body("bag", tuple(parts), 0.5)


def lamp(k: Kit) -> Body:
    a, b, y = k.uniform(0.25, 0.5), k.uniform(0.5, 0.8), k.uniform(-0.4, 0.0)
    glow = Paint((255, 225, 170), (255, 238, 200), (255, 250, 235), shade="linear", light=(0, -0.2, 0.9), ambient=0.9)
    shade = glow if k.chance(0.5) else replace(k.main, shade="turned")
    stem = (
        turned((y, 0.04), (0.3, k.uniform(0.04, 0.25)), (0.7, k.uniform(0.05, 0.3)), (0.9, 0.05))
        if k.chance(0.5)
        else rectangle(-0.03, y, 0.03, 0.95)
    )
    parts = [
        Part(stem, k.round(k.accent)),
        Part(turned((0.9, 0.15), (1.0, 0.4)), k.round(k.accent)),
        Part(turned((-1, a), (y, b)), shade),
    ]
    return Body("lamp", tuple(parts), 1.0)


def chair(k: Kit) -> Body:
    w = k.uniform(0.5, 0.75)
    seat = k.uniform(0.1, 0.25)
    leg = k.solid(mix(k.accent_rgb, (110, 80, 50), 0.5), "linear")
    back = rounded(-w * 0.9, -1, w * 0.9, seat, k.uniform(0.05, 0.5))
    parts = []
    if k.chance(0.45):
        parts += [Part(back, k.main), Part(rounded(-w * 1.2, -0.25, -w * 0.85, 0.8, 0.15), k.main)]
        parts += [
            Part(rounded(w * 0.85, -0.25, w * 1.2, 0.8, 0.15), k.main),
            Part(rounded(-w, seat - 0.1, w, 0.75, 0.12), k.main),
        ]
        parts += [Part(rectangle(x - 0.05, 0.74, x + 0.05, 1), leg) for x in (-w, w)]
        return Body("armchair", tuple(parts), 0.7)
    slats = (
        tuple(rectangle(x - 0.12, -0.85, x + 0.12, seat - 0.15) for x in (-w * 0.5, w * 0.0, w * 0.5))
        if k.chance(0.4)
        else ()
    )
    parts.append(Part(back, k.main, slats))
    parts += [
        Part(polygon((x - 0.05, seat), (x + 0.05, seat), (x * 1.12 + 0.04, 1), (x * 1.12 - 0.04, 1)), leg)
        for x in (-w * 0.85, w * 0.85)
    ]
    parts += [
        Part(polygon((x - 0.04, seat), (x + 0.04, seat), (x + 0.03, 0.85), (x - 0.03, 0.85)), leg)
        for x in (-w * 0.5, w * 0.5)
    ]
    parts.append(Part(rounded(-w, seat - 0.08, w, seat + 0.12, 0.08), k.main))
    return Body("chair", tuple(parts), 0.7)


def camera(k: Kit) -> Body:
    w, r = k.uniform(1.1, 1.5), k.uniform(0.5, 0.68)
    dark = k.solid((30, 30, 34), "relief", 0.3)
    parts = [
        Part(rounded(-0.35, -1, 0.45, -0.5, 0.1), dark),
        Part(rounded(-w, -0.72, w, 1, 0.15), k.main if k.chance(0.5) else dark),
        Part(rectangle(-w, -0.72, w, -0.4), k.solid((170, 172, 176), "linear", 0.4)),
        Part(ellipse(0, 0.18, r), k.solid((45, 45, 50), "relief", 0.5)),
        Part(ellipse(0, 0.18, r * 0.72), flat((12, 12, 16))),
        Part(ellipse(-r * 0.1, 0.1, r * 0.4), flat((40, 50, 90))),
        Part(ellipse(-r * 0.25, -0.05, r * 0.1), flat((220, 225, 240))),
        Part(rounded(-w * 0.85, -0.82, -w * 0.55, -0.7, 0.03), dark),
    ]
    return Body("camera", tuple(parts), 0.6)


def headphones(k: Kit) -> Body:
    w = k.uniform(0.7, 0.85)
    pad = k.uniform(0.2, 0.3)
    parts = [Part(band(arc(0, 0.1, w, 1.05, 180, 360), k.uniform(0.1, 0.2)), k.main)]
    for s in (-1, 1):
        parts.append(Part(rounded(s * w - pad * 0.9, 0.0, s * w + pad * 0.9, 1, 0.22), k.accent))
        parts.append(
            Part(rounded(s * (w - pad * 0.9) - 0.1, 0.05, s * (w - pad * 0.9) + 0.1, 0.95, 0.1), k.solid((28, 28, 32)))
        )
    return Body("headphones", tuple(parts), 0.6)


def lipstick(k: Kit) -> Body:
    r = k.uniform(0.2, 0.3)
    stick = polygon((-r * 0.62, 0.0), (-r * 0.62, -0.65), (r * 0.1, -0.98), (r * 0.62, -0.85), (r * 0.62, 0.0))
    case = k.solid((212, 180, 110) if k.chance(0.5) else (40, 40, 44), "turned", 0.8)
    parts = [Part(stick, k.solid(k.main_rgb, "turned", 0.6)), Part(rectangle(-r * 0.75, -0.3, r * 0.75, 0.3), case)]
    return Body("lipstick", (*parts, Part(rounded(-r, 0.2, r, 1, 0.03), k.round(k.accent))), 1.0)


def book(k: Kit) -> Body:
    w = k.uniform(0.6, 0.8)
    cover = replace(k.main, shade="linear", gloss=0.0)
    pages = Part(
        polygon((w, -0.96), (w + 0.12, -0.9), (w + 0.12, 0.94), (w, 1)),
        Paint((170, 165, 150), (225, 220, 205), (245, 242, 232), tile="stripes", scale=0.1),
    )
    art = Part(star(0, 0.3, 0.35, int(k.uniform(4, 12)), 0.6), k.accent)
    return Body(
        "book", (pages, Part(rectangle(-w, -1, w, 1), cover), art, *k.label(-w * 0.9, -0.9, w * 0.9, -0.1, "none")), 0.3
    )


def vase(k: Kit) -> Body:
    n, r = k.uniform(0.12, 0.35), k.uniform(0.4, 0.8)
    side = turned((-0.98, n * 1.3), (-0.75, n), (k.uniform(-0.2, 0.4), r), (0.8, r * 0.6), (1.0, r * 0.45))
    return Body(
        "vase",
        (Part(side, k.round(k.main)), Part(ellipse(0, -0.98, n * 1.25, n * 0.25), flat(lit(k.main_rgb, 0.35)))),
        1.0,
    )


def candle(k: Kit) -> Body:
    r = k.uniform(0.5, 0.9)
    flame = smooth((0, -1), (0.08, -0.75), (0.0, -0.62), (-0.08, -0.75))
    wax = Paint((230, 215, 190), (244, 232, 210), (255, 248, 235), shade="turned", light=k.light, ambient=0.7)
    parts = [Part(rounded(-r, -0.5, r, 1, 0.06), k.round(k.main)), Part(ellipse(0, -0.5, r, r * 0.13), wax)]
    parts += [Part(rectangle(-0.015, -0.68, 0.015, -0.48), k.ink), Part(flame, flat((255, 205, 90)))]
    return Body("candle", (*parts, *k.label(-r * 0.7, -0.1, r * 0.7, 0.7)), 1.0)


def bulb(k: Kit) -> Body:
    lens = smooth((-0.62, -0.4), (0, -1), (0.62, -0.4), (0.28, 0.35), (0.26, 0.5), (-0.26, 0.5), (-0.28, 0.35))
    clear = replace(k.solid(mix(k.main_rgb, (255, 240, 200), 0.6), "relief", 0.8), glass=0.35)
    return Body(
        "bulb",
        (Part(lens, clear), Part(rounded(-0.26, 0.5, 0.26, 1, 0.1), k.solid((150, 150, 152), "turned", 0.7))),
        1.0,
    )


DEVICES: tuple[Callable[[Kit], Body], ...] = (
    phone, screen, watch, ring, bag, lamp, chair, camera, headphones, lipstick, book, vase, candle, bulb,
)  # fmt: skip
