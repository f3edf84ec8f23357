"""Living and other things: people, animals, plants, food, wear, vehicles, letters and shapes without a name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from datapipe.worlds.materials import SKINS, Paint, Rgb, flat, lit, mix, textured
from datapipe.worlds.shapes import (
    Body, Kit, Part, arc, band, ellipse, fourier, logo, polygon, rectangle, rotated, rounded, smooth, star, turned,
)  # fmt: skip


def _skin(k: Kit) -> Rgb:
    a, b = SKINS[int(k.uniform(0, 6))], SKINS[int(k.uniform(0, 6))]
    return mix(a, b, k.uniform(0, 0.5))


def _hair(k: Kit) -> Paint:
    colour = ((28, 22, 20), (62, 40, 26), (120, 78, 42), (205, 165, 100), (150, 62, 30), (170, 168, 165))[int(k.uniform(0, 6))]
    return textured(k.rng, k.solid(colour), "fur", k.uniform(0.6, 1.2), 0.5)


def _face(k: Kit, skin: Rgb, x: float, y: float, w: float, h: float) -> list[Part]:
    """Eyes, brows, nose, mouth and sometimes glasses or a beard on a head of half size w x h."""
    turn = k.uniform(-0.25, 0.25) * w
    dark, lips = flat(lit(skin, 0.35)), flat(mix(lit(skin, 0.7), (190, 40, 50), k.uniform(0.1, 0.6)))
    shadow = flat(lit(skin, 0.8))
    parts = []
    if k.chance(0.15):
        beard = smooth((-w * 0.9, h * 0.15), (0, h * 0.35), (w * 0.9, h * 0.15), (w * 0.7, h * 0.75), (0, h * 1.08), (-w * 0.7, h * 0.75))
        parts.append(Part(beard + (x, y), _hair(k)))
    gap, eye = w * k.uniform(0.36, 0.44), w * k.uniform(0.12, 0.19)
    open_ = k.uniform(0.45, 0.75)
    for s in (-1, 1):
        cx, cy = x + turn + s * gap, y - h * 0.02
        parts.append(Part(ellipse(cx, cy, eye * 1.5, eye * 1.15), shadow))
        parts.append(Part(ellipse(cx, cy, eye * 1.15, eye * open_), flat((246, 243, 238))))
        parts.append(Part(ellipse(cx, cy, eye * 0.52), flat((40, 30, 24) if k.chance(0.7) else (70, 110, 140))))
        parts.append(Part(band(arc(cx, cy + h * 0.02, eye * 1.5, h * 0.2, 215, 325, 7), h * 0.04), dark))
    nose = smooth((0, -h * 0.02), (w * 0.14, h * 0.27), (0, h * 0.32), (-w * 0.14, h * 0.27))
    parts.append(Part(nose + (x + turn * 1.3, y), k.solid(lit(skin, 0.92))))
    smile = k.uniform(-0.02, 0.12) * h
    mouth = smooth((-w * 0.34, 0), (0, smile * 0.8), (w * 0.34, 0), (w * 0.15, smile + h * 0.07), (-w * 0.15, smile + h * 0.07))
    parts.append(Part(mouth + (x + turn, y + h * 0.52), lips))
    if smile > 0.06 * h:
        parts.append(Part(mouth * (0.7, 0.5) + (x + turn, y + h * 0.54), flat((245, 242, 238))))
    if k.chance(0.18):
        for s in (-1, 1):
            rim = ellipse(x + turn + s * gap, y, w * 0.34, h * 0.2)
            dark_lens = k.chance(0.4)
            parts.append(Part(rim, flat((20, 20, 24)), () if dark_lens else ((rim - rim.mean(0)) * 0.84 + rim.mean(0),)))
        parts.append(Part(rectangle(x + turn - gap * 0.3, y - 0.02, x + turn + gap * 0.3, y + 0.02), flat((20, 20, 24))))
    return parts


def person(k: Kit) -> Body:
    """Head and shoulders, cut by the lower edge of the picture."""
    skin = _skin(k)
    w, h = k.uniform(0.34, 0.42), k.uniform(0.46, 0.54)
    y = -0.45
    wide = k.uniform(0.75, 1.05)
    cloth = replace(k.main, glass=0.0)
    flesh = k.solid(skin)
    flesh = textured(k.rng, flesh, "plaster", 1.0, 0.1) if k.chance(0.5) else flesh
    shoulders = smooth((-0.2, 0.22), (0.2, 0.22), (wide * 0.8, 0.42), (wide, 0.8), (wide * 1.1, 3.6), (-wide * 1.1, 3.6), (-wide, 0.8), (-wide * 0.8, 0.42))
    hair = _hair(k)
    style = int(k.uniform(0, 4))
    back = []
    if style == 1:
        low = k.uniform(0.2, 0.8)
        back = [Part(smooth((0, y - h * 1.2), (w * 1.3, y - h * 0.4), (w * 1.35, low), (0, low - 0.1), (-w * 1.35, low), (-w * 1.3, y - h * 0.4)), hair)]
    elif style == 2:
        back = [Part(fourier(k.rng, 6, 0.2) * (w * 1.45, h * 1.15) + (0, y - h * 0.25), hair)]
    fringe = k.uniform(-0.75, -0.35)
    side = k.uniform(-0.5, 0.5) * w
    top = smooth((-w * 1.06, y - h * 0.1), (-w * 0.95, y - h * 0.8), (0, y - h * 1.16), (w * 0.95, y - h * 0.8), (w * 1.06, y - h * 0.1), (w * 0.8, y + h * (fringe + 0.2)), (side, y + h * fringe), (-w * 0.8, y + h * (fringe + 0.2)))
    head = smooth((0, y - h), (w * 0.85, y - h * 0.6), (w, y), (w * 0.75, y + h * 0.6), (0, y + h * 1.05), (-w * 0.75, y + h * 0.6), (-w, y), (-w * 0.85, y - h * 0.6))
    neck = Part(polygon((-w * 0.55, y), (w * 0.55, y), (w * 0.62, 0.32), (0, 0.5), (-w * 0.62, 0.32)), k.solid(lit(skin, 0.78)))
    ears = [Part(ellipse(s * w, y + h * 0.08, w * 0.14, h * 0.2), flesh) for s in (-1, 1)]
    crown = [Part(top, hair)] if style < 3 else []
    if k.chance(0.15):
        crown = [Part(smooth((-w * 1.1, y - h * 0.45), (-w, y - h), (0, y - h * 1.35), (w, y - h), (w * 1.1, y - h * 0.45), (0, y - h * 0.6)), k.accent)]
    parts = (*back, Part(shoulders, cloth), neck, *ears, Part(head, flesh), *_face(k, skin, 0, y, w, h), *crown)
    return Body("person", parts, 0.7, cut_below=True)


def figure(k: Kit) -> Body:
    """A standing person, whole."""
    skin = _skin(k)
    flesh, hair = k.solid(skin), _hair(k)
    w, lean = k.uniform(0.2, 0.28), k.uniform(-0.12, 0.12)
    legs = replace(k.accent, glass=0.0)
    parts = []
    for s in (-1, 1):
        foot = s * w * k.uniform(0.5, 1.1)
        parts.append(Part(smooth((s * 0.02, 0.1), (s * w, 0.1), (foot + s * 0.07, 0.9), (foot - s * 0.07, 0.9)), legs))
        parts.append(Part(rounded(foot - 0.1, 0.9, foot + 0.12, 1.0, 0.05), flat(k.ink_rgb)))
        hand = (s * k.uniform(w, w * 2.4), k.uniform(-0.3, 0.25))
        arm = np.array([(s * w * 0.95, -0.5), (s * w * 1.4, -0.15), hand])
        parts.append(Part(band(arm, 0.12), k.solid(lit(k.main_rgb, 0.85))))
        parts.append(Part(ellipse(*hand, 0.06), flesh))
    body = smooth((-w * 0.5, -0.62), (w * 0.5, -0.62), (w, -0.5), (w * 0.85, 0.2), (-w * 0.85, 0.2), (-w, -0.5))
    parts += [Part(rectangle(-0.06, -0.7, 0.06, -0.58), flesh), Part(body, replace(k.main, glass=0.0)), Part(ellipse(lean, -0.82, 0.13, 0.17), flesh)]
    parts.append(Part(smooth((lean - 0.14, -0.82), (lean - 0.1, -0.97), (lean, -1.0), (lean + 0.1, -0.97), (lean + 0.14, -0.82), (lean, -0.9)), hair))
    if k.chance(0.4):
        parts.append(Part(logo(k.rng, 0, -0.3, 0.08), k.ink))
    return Body("figure", tuple(parts), 0.6)


FURS: tuple[Rgb, ...] = ((205, 140, 75), (60, 52, 48), (165, 155, 145), (238, 232, 222), (120, 82, 55), (225, 190, 140))


def _coat(k: Kit) -> Paint:
    colour = FURS[int(k.uniform(0, 6))]
    kind = "fur" if k.chance(0.7) else ("stripes", "blots", "grain")[int(k.uniform(0, 3))]
    return textured(k.rng, k.solid(colour), kind, k.uniform(0.5, 1.2), k.uniform(0.3, 0.7))


def _animal_face(k: Kit, coat: Paint, x: float, y: float, r: float, snout: float) -> list[Part]:
    eye = flat((30, 24, 20) if k.chance(0.5) else (190, 160, 60))
    parts = []
    for s in (-1, 1):
        parts.append(Part(ellipse(x + s * r * 0.42, y - r * 0.08, r * 0.17, r * 0.19), eye))
        parts.append(Part(ellipse(x + s * r * 0.42, y - r * 0.08, r * 0.09, r * 0.15), flat((10, 10, 10))))
        parts.append(Part(ellipse(x + s * r * 0.42 - r * 0.05, y - r * 0.14, r * 0.045), flat((250, 250, 250))))
    parts.append(Part(ellipse(x, y + r * 0.42, r * snout, r * snout * 0.75), k.solid(mix(coat.mid, (245, 240, 232), 0.6))))
    parts.append(Part(smooth((x - r * 0.14, y + r * 0.24), (x + r * 0.14, y + r * 0.24), (x, y + r * 0.4)), flat((40, 28, 28) if k.chance(0.6) else (210, 130, 130))))
    parts.append(Part(band(arc(x, y + r * 0.42, r * 0.2, r * 0.2, 20, 160, 8), r * 0.04), flat((50, 36, 34))))
    return parts


def cat(k: Kit) -> Body:
    coat = _coat(k)
    lean, r = k.uniform(-0.15, 0.15), k.uniform(0.36, 0.44)
    side = 1 if k.chance(0.5) else -1
    tail = band(np.stack([side * (0.4 + np.linspace(0, 0.5, 14) ** 0.7), 0.85 - 0.9 * np.linspace(0, 1, 14) ** 2], 1), 0.13)
    trunk = smooth((lean - 0.2, -0.3), (lean + 0.2, -0.3), (0.42, 0.3), (0.55, 0.8), (0.42, 1.0), (-0.42, 1.0), (-0.55, 0.8), (-0.42, 0.3))
    ears = [Part(polygon((lean + s * r * 0.95, -0.65), (lean + s * r * 0.85, -1.0), (lean + s * r * 0.25, -0.85)), coat) for s in (-1, 1)]
    inner = [Part(polygon((lean + s * r * 0.85, -0.7), (lean + s * r * 0.78, -0.93), (lean + s * r * 0.4, -0.82)), flat((215, 150, 145))) for s in (-1, 1)]
    chest = Part(ellipse(lean * 0.5, 0.25, 0.2, 0.4), textured(k.rng, k.solid(mix(coat.mid, (245, 240, 235), 0.6)), "fur", 0.8, 0.3))
    paws = [Part(ellipse(s * 0.2, 0.95, 0.15, 0.09), k.solid(mix(coat.mid, (245, 240, 235), 0.4))) for s in (-1, 1)]
    head = Part(smooth((lean, -0.9), (lean + r * 0.9, -0.7), (lean + r, -0.4), (lean, -0.12), (lean - r, -0.4), (lean - r * 0.9, -0.7)), coat)
    parts = [Part(tail, coat), Part(trunk, coat), *([chest] if k.chance(0.6) else []), *paws, *ears, *inner, head, *_animal_face(k, coat, lean, -0.52, r, 0.42)]
    return Body("cat", tuple(parts), 0.75)


def dog(k: Kit) -> Body:
    """Standing, seen from the side."""
    coat = _coat(k)
    s = 1 if k.chance(0.5) else -1
    legs = [Part(rounded(x - 0.1, 0.2, x + 0.1, 1.0, 0.08), coat) for x in (-0.75, -0.5, 0.45, 0.7)]
    far = [replace(leg, paint=k.solid(lit(coat.mid, 0.7))) for leg in legs[1::2]]
    trunk = smooth((-0.9, -0.3), (0, -0.35), (0.8, -0.4), (0.9, 0.2), (0.1, 0.4), (-0.85, 0.3))
    head = smooth((0.6, -0.8), (0.95, -0.98), (1.2, -0.75), (1.55, -0.6), (1.55, -0.42), (1.15, -0.38), (0.8, -0.2), (0.55, -0.3))
    ear = smooth((0.75, -0.9), (0.95, -0.85), (0.88, -0.4), (0.7, -0.45))
    tail = band(arc(-0.95, -0.75, 0.3, 0.5, 90, 200, 12), 0.1)
    parts = [*far, Part(tail, coat), *legs[::2], Part(trunk, coat), Part(head, coat), Part(ear, k.solid(lit(coat.mid, 0.6)))]
    parts += [Part(ellipse(1.1, -0.72, 0.05), flat((15, 12, 10))), Part(ellipse(1.54, -0.55, 0.07), flat((20, 18, 18)))]
    if k.chance(0.5):
        parts.append(Part(polygon((0.62, -0.3), (0.85, -0.2), (0.82, -0.1), (0.58, -0.2)), k.accent))
    return Body("dog", tuple(replace(p, outline=p.outline * (s, 1)) for p in parts), 0.6)


def bear(k: Kit) -> Body:
    """A stuffed toy."""
    coat = _coat(k)
    pale = k.solid(mix(coat.mid, (245, 230, 205), 0.5))
    parts = [Part(ellipse(s * 0.42, 0.8, 0.27, 0.2), coat) for s in (-1, 1)] + [Part(ellipse(s * 0.52, 0.2, 0.17, 0.34, s * -0.6), coat) for s in (-1, 1)]
    parts += [Part(ellipse(s * 0.36, -0.85, 0.17), coat) for s in (-1, 1)] + [Part(ellipse(s * 0.36, -0.85, 0.1), pale) for s in (-1, 1)]
    parts += [Part(ellipse(0, 0.4, 0.48, 0.5), coat), Part(ellipse(0, 0.45, 0.3, 0.34), pale), Part(ellipse(0, -0.5, 0.47, 0.43), coat)]
    return Body("bear", (*parts, *_animal_face(k, coat, 0, -0.5, 0.45, 0.4)), 0.8)


def bird(k: Kit) -> Body:
    s = 1 if k.chance(0.5) else -1
    wing = replace(k.accent, shade="relief")
    parts = [
        Part(polygon((-0.5, 0.2), (-1.2, 0.65), (-1.0, 0.8), (-0.4, 0.5)), wing),
        Part(smooth((-0.6, 0.3), (-0.2, -0.3), (0.25, -0.9), (0.6, -0.95), (0.75, -0.6), (0.6, 0.1), (0.2, 0.6), (-0.3, 0.65)), k.main),
        Part(smooth((-0.8, 0.4), (-0.3, -0.1), (0.2, 0.0), (0.1, 0.4), (-0.4, 0.5)), wing),
        Part(polygon((0.72, -0.8), (1.1, -0.65), (0.72, -0.55)), flat((240, 170, 50))),
        Part(ellipse(0.52, -0.72, 0.07), flat((15, 15, 18))),
        Part(rectangle(-0.02, 0.55, 0.03, 1), flat((200, 130, 60))),
        Part(rectangle(0.18, 0.55, 0.23, 1), flat((200, 130, 60))),
    ]
    return Body("bird", tuple(replace(p, outline=p.outline * (s, 1)) for p in parts), 0.6)


def shoe(k: Kit) -> Body:
    """A sneaker from the side."""
    s = 1 if k.chance(0.5) else -1
    high = k.uniform(-1.0, -0.6)
    upper = smooth((-1.45, 0.6), (-1.5, 0.0), (-1.35, high), (-0.9, high + 0.12), (-0.6, high), (-0.35, -0.35), (0.3, -0.05), (1.1, 0.15), (1.55, 0.45), (1.5, 0.65))
    sole = smooth((-1.55, 0.55), (0, 0.6), (1.1, 0.5), (1.65, 0.5), (1.6, 0.85), (1.2, 1.0), (-1.3, 1.0), (-1.58, 0.9))
    parts = [Part(upper, replace(k.main, shade="relief", glass=0.0)), Part(smooth((1.0, 0.12), (1.55, 0.45), (1.5, 0.62), (0.9, 0.62)), k.accent)]
    parts.append(Part(smooth((-1.35, high + 0.1), (-1.1, high + 0.15), (-1.1, 0.55), (-1.5, 0.5), (-1.5, 0)), k.accent))
    parts.append(Part(sole, k.solid((240, 238, 232) if k.chance(0.7) else k.accent_rgb)))
    swoosh = int(k.uniform(0, 3))
    if swoosh == 0:
        parts.append(Part(smooth((-0.8, 0.35), (-0.3, 0.3), (0.6, -0.02), (-0.3, 0.45)), k.ink))
    elif swoosh == 1:
        parts += [Part(polygon((x, 0.55), (x + 0.13, 0.55), (x + 0.35, -0.1), (x + 0.22, -0.12)), k.ink) for x in (-0.6, -0.3, 0.0)]
    for i in range(int(k.uniform(3, 6))):
        x, y = -0.25 + i * 0.18, -0.32 + i * 0.09
        parts.append(Part(band(np.array([[x - 0.2, y + 0.16], [x + 0.03, y - 0.03]]), 0.06), flat((245, 245, 242))))
    parts.append(Part(ellipse(-0.95, high + 0.14, 0.38, 0.07), flat(lit(k.main_rgb, 0.3))))
    return Body("shoe", tuple(replace(p, outline=p.outline * (s, 1)) for p in parts), 0.5)


def heel(k: Kit) -> Body:
    s = 1 if k.chance(0.5) else -1
    upper = smooth((-0.95, -0.9), (-0.75, -1.0), (-0.5, -0.5), (0.2, 0.45), (0.8, 0.6), (1.3, 0.85), (1.25, 1.0), (0.6, 0.98), (0.0, 0.7), (-0.6, 0.0), (-0.9, -0.35))
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
    shell = smooth((-1.0, 0.3), (-0.9, -0.6), (-0.1, -1.0), (0.8, -0.7), (1.05, 0.1), (0.95, 0.9), (0.4, 1.0), (-0.6, 0.9))
    visor = smooth((0.15, -0.35), (1.0, -0.35), (1.08, 0.2), (0.3, 0.3))
    parts = [Part(shell, replace(k.main, gloss=0.7)), Part(visor, Paint((20, 22, 30), (40, 44, 60), (60, 66, 90), shade="relief", light=k.light, gloss=0.8))]
    parts.append(Part(smooth((-0.95, -0.1), (-0.3, -0.5), (0.3, -0.75), (0.5, -0.68), (-0.2, -0.2), (-0.92, 0.2)), k.accent))
    return Body("helmet", tuple(replace(p, outline=p.outline * (s, 1)) for p in parts), 0.9)


def spectacles(k: Kit) -> Body:
    r, frame = k.uniform(0.75, 0.95), k.solid(k.main_rgb, "relief", 0.5)
    parts = []
    tinted = k.chance(0.5)
    lens = Paint(*[lit(k.accent_rgb, f) for f in (0.15, 0.3, 0.6)], shade="relief", light=k.light, gloss=0.5, glass=0.1)
    for s in (-1, 1):
        outer = ellipse(s * 1.1, 0, r, r * k.uniform(0.8, 1.0)) if k.chance(0.7) else rounded(s * 1.1 - r, -0.7, s * 1.1 + r, 0.7, 0.3)
        inner = (outer - outer.mean(0)) * 0.86 + outer.mean(0)
        parts.append(Part(outer, frame, () if tinted else (inner,)))
        if tinted:
            parts.append(Part(inner, lens))
        parts.append(Part(polygon((s * (1.1 + r * 0.9), -0.3), (s * (1.35 + r), -0.45), (s * (1.35 + r), -0.3), (s * (1.1 + r * 0.9), -0.1)), frame))
    parts.append(Part(band(arc(0, 0.05, 0.35, 0.3, 200, 340, 9), 0.13), frame))
    return Body("glasses", tuple(parts), 0.3)


def car(k: Kit) -> Body:
    s = 1 if k.chance(0.5) else -1
    roof = k.uniform(0.7, 1.1)
    shell = smooth((-2.0, 0.65), (-2.0, 0.0), (-1.5, -0.2), (-roof, -0.9), (roof * 0.6, -0.95), (1.2, -0.2), (1.9, 0.0), (2.1, 0.3), (2.05, 0.68), steps=4)
    pane = smooth((-1.15, -0.2), (-roof * 0.85, -0.75), (roof * 0.5, -0.8), (0.95, -0.2), steps=4)
    parts = [Part(shell, replace(k.main, glass=0.0, gloss=0.5)), Part(pane, Paint((40, 48, 56), (70, 84, 96), (120, 136, 150), shade="linear", light=k.light))]
    parts.append(Part(rectangle(-0.15, -0.82, -0.05, -0.2), k.solid(lit(k.main_rgb, 0.8))))
    for x in (-1.2, 1.25):
        parts += [Part(ellipse(x, 0.6, 0.42), flat((22, 22, 24))), Part(ellipse(x, 0.6, 0.25), k.solid((190, 192, 196), "relief", 0.5))]
    parts += [Part(ellipse(1.95, 0.2, 0.13, 0.1), flat((255, 248, 215))), Part(rounded(-2.02, 0.05, -1.9, 0.3, 0.03), flat((200, 30, 30)))]
    return Body("car", tuple(replace(p, outline=p.outline * (s, 1)) for p in parts), 0.6)


def rocket(k: Kit) -> Body:
    r, low = k.uniform(0.26, 0.4), 0.6
    fin = smooth((r * 0.9, 0.2), (r * 2.1, 0.55), (r * 2.0, 0.85), (r * 0.8, low))
    hull = turned((-1, 0.01), (-0.7, r * 0.65), (-0.2, r), (0.3, r), (low, r * 0.7))
    tip = turned((-1, 0.01), (-0.85, r * 0.4), (-0.68, r * 0.68))
    flame = smooth((-r * 0.5, low), (r * 0.5, low), (r * 0.35, 0.8), (0, 1.0), (-r * 0.35, 0.8))
    parts = [Part(flame, Paint((255, 120, 30), (255, 180, 60), (255, 240, 160), tile="mist", scale=0.5))] if k.chance(0.6) else []
    parts += [Part(fin, k.accent), Part(fin * (-1, 1), k.accent), Part(hull, k.round(k.main)), Part(tip, k.round(k.accent))]
    parts += [Part(ellipse(0, -0.25, r * 0.45), k.solid((190, 192, 198))), Part(ellipse(0, -0.25, r * 0.33), flat((70, 130, 180)))]
    return Body("rocket", tuple(parts), 0.9)


def plant(k: Kit) -> Body:
    r, rim = k.uniform(0.35, 0.55), k.uniform(0.15, 0.4)
    pot = turned((rim, r), (rim + 0.1, r * 0.95), (1.0, r * 0.7))
    green = (int(k.uniform(30, 110)), int(k.uniform(90, 170)), int(k.uniform(30, 90)))
    bloom = k.chance(0.35)
    parts = []
    for _ in range(int(k.uniform(5, 14))):
        angle, length = k.uniform(-1.1, 1.1), k.uniform(0.7, 1.3)
        leaf = smooth((0, 0), (0.14, -0.45), (0, -1), (-0.14, -0.45), steps=4) * (k.uniform(0.6, 1.4), length)
        parts.append(Part(rotated(leaf, angle) + (0, rim + 0.05), k.solid(lit(green, k.uniform(0.6, 1.35)))))
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
        petals.append(Part(rotated(petal, 2 * np.pi * i / count) + (0, -0.4), k.solid(lit(k.main_rgb, k.uniform(0.8, 1.15)))))
    return Body("flower", (stem, leaf, *petals, Part(ellipse(0, -0.4, 0.17), k.solid((225, 180, 60)))), 0.4)


def fruit(k: Kit) -> Body:
    kind = int(k.uniform(0, 3))
    paint = replace(k.solid(k.main_rgb, "relief", 0.5), ambient=0.4)
    paint = textured(k.rng, paint, "plaster", 1.5, 0.25)
    if kind == 2:
        return Body("orange", (Part(ellipse(0, 0, 1), textured(k.rng, k.solid((240, 150, 40), "relief", 0.3), "leather", 0.8, 0.2)),), 1.0)
    apple = smooth((0, -0.7), (0.5, -0.88), (1.0, -0.3), (0.7, 0.7), (0.25, 1), (0, 0.92), (-0.25, 1), (-0.7, 0.7), (-1, -0.3), (-0.5, -0.88))
    pear = smooth((0, -0.85), (0.3, -0.7), (0.45, -0.1), (0.75, 0.4), (0.5, 0.95), (0, 1), (-0.5, 0.95), (-0.75, 0.4), (-0.45, -0.1), (-0.3, -0.7))
    stem = Part(band(np.array([[0, -0.6], [0.03, -0.8], [0.12, -1.0]]), 0.07), k.solid((92, 66, 40)))
    leaf = Part(smooth((0.1, -0.85), (0.35, -1.0), (0.6, -0.92), (0.35, -0.8)), k.solid((90, 150, 60)))
    return Body("pear" if kind else "apple", (Part(pear if kind else apple, paint), stem, leaf), 1.0)


def burger(k: Kit) -> Body:
    bun = k.solid((214, 148, 76), "relief", 0.2)
    parts = [Part(rounded(-1.15, 0.5, 1.15, 1.0, 0.25), bun), Part(rounded(-1.2, 0.2, 1.2, 0.58, 0.18), textured(k.rng, k.solid((94, 56, 34)), "grain", 0.8, 0.5))]
    parts.append(Part(polygon((-1.1, 0.1), (1.1, 0.1), (0.6, 0.45), (0.2, 0.2), (-0.5, 0.5)), k.solid((250, 196, 60))))
    wave = np.linspace(-1.3, 1.3, 16)
    lettuce = np.concatenate([np.stack([wave, 0.08 + 0.08 * np.sin(wave * 11)], 1), np.stack([wave[::-1], -0.12 + 0 * wave], 1)])
    parts += [Part(lettuce, k.solid((110, 170, 60))), Part(smooth((-1.2, -0.1), (-1.0, -0.75), (0, -1.0), (1.0, -0.75), (1.2, -0.1), (0, -0.02)), bun)]
    parts += [Part(ellipse(k.uniform(-0.8, 0.8), k.uniform(-0.85, -0.4), 0.05, 0.03), flat((250, 236, 200))) for _ in range(9)]
    return Body("burger", tuple(parts), 1.0)


def cake(k: Kit) -> Body:
    r, t = k.uniform(0.8, 1.2), -0.3
    parts = [Part(ellipse(0, 0.98, r * 1.25, 0.1), k.solid((235, 235, 238))), Part(rounded(-r, t, r, 1.0, 0.08), k.round(replace(k.main, glass=0.0)))]
    drip = np.linspace(-r, r, 24)
    edge = np.concatenate([np.stack([drip, t + 0.18 + 0.12 * np.sin(drip * 9 + k.uniform(0, 6))], 1), [[r, t - 0.02], [-r, t - 0.02]]])
    parts += [Part(ellipse(0, t, r, r * 0.16), k.solid(k.accent_rgb, "linear")), Part(edge, k.solid(k.accent_rgb, "turned"))]
    for i in range(int(k.uniform(1, 6))):
        x = (i - 2) * 0.25 * r
        parts += [Part(rectangle(x - 0.035, t - 0.45, x + 0.035, t), k.solid(k.main_rgb)), Part(ellipse(x, t - 0.55, 0.05, 0.1), flat((255, 210, 100)))]
    return Body("cake", tuple(parts), 1.0)


def icecream(k: Kit) -> Body:
    cone = Part(polygon((-0.42, 0.0), (0.42, 0.0), (0.02, 1.0), (-0.02, 1.0)), textured(k.rng, k.solid((214, 160, 96), "turned"), "checker", 0.8, 0.35))
    scoops = [Part(fourier(k.rng, 3, 0.08) * 0.45 + (0, -0.12), k.main), Part(fourier(k.rng, 3, 0.08) * 0.4 + (0, -0.6), k.accent)]
    return Body("ice cream", (cone, *scoops[: 1 + int(k.chance(0.6))]), 0.9)


def guitar(k: Kit) -> Body:
    body = smooth((0, 0.02), (0.34, 0.08), (0.26, 0.4), (0.46, 0.75), (0, 1.0), (-0.46, 0.75), (-0.26, 0.4), (-0.34, 0.08))
    wood = k.main if k.chance(0.5) else textured(k.rng, k.solid((176, 112, 60), "relief", 0.4), "wood", 1.0, 0.4)
    parts = [Part(body, wood), Part(rectangle(-0.05, -0.85, 0.05, 0.4), k.solid((60, 40, 28))), Part(rounded(-0.09, -1, 0.09, -0.8, 0.03), k.accent)]
    parts += [Part(ellipse(0, 0.42, 0.13), flat((20, 16, 14))), Part(rectangle(-0.14, 0.72, 0.14, 0.77), flat((30, 22, 18)))]
    return Body("guitar", tuple(parts), 0.35)


def shirt(k: Kit) -> Body:
    cut = smooth((-0.3, -0.95), (-0.15, -0.85), (0.15, -0.85), (0.3, -0.95), (0.75, -0.8), (1.15, -0.2), (0.85, -0.02), (0.65, -0.3), (0.66, 0.95), (-0.66, 0.95), (-0.65, -0.3), (-0.85, -0.02), (-1.15, -0.2), (-0.75, -0.8))
    collar = Part(band(arc(0, -0.98, 0.3, 0.2, 10, 170, 12), 0.07), k.accent)
    print_ = k.label(-0.45, -0.5, 0.45, 0.4, "none")
    return Body("shirt", (Part(cut, replace(k.main, glass=0.0)), collar, *print_), 0.35)


def umbrella(k: Kit) -> Body:
    count = int(k.uniform(4, 8))
    xs = np.linspace(-1.2, 1.2, count + 1)
    parts = [Part(rectangle(-0.025, -0.9, 0.025, 0.9), k.solid((70, 56, 46))), Part(band(arc(0.13, 0.86, 0.14, 0.13, 0, 180, 10), 0.05), k.solid((70, 56, 46)))]
    for i in range(count):
        rib = smooth((0, -1), (xs[i] * 0.75, -0.7), (xs[i], 0.0), ((xs[i] + xs[i + 1]) / 2, -0.12), (xs[i + 1], 0.0), (xs[i + 1] * 0.75, -0.7), steps=4)
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
        parts.append(Part(smooth((-0.95, -0.2), (0, -0.4), (0.95, -0.2), (0.98, 0.15), (0, 0.05), (-0.98, 0.15)), k.accent))
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
        outline = (
            ellipse(x, y, r, r * k.uniform(0.4, 1.2)) if pick == 0
            else rounded(x - r, y - r * 0.6, x + r, y + r * 0.6, k.uniform(0, 0.3)) if pick == 1
            else polygon((x - r, y + r), (x + r, y + r), (x + k.uniform(-r, r), y - r)) if pick == 2
            else turned((y - r, r * k.uniform(0.2, 1)), (y, r), (y + r, r * k.uniform(0.2, 1))) + (x, 0) if pick == 3
            else band(np.array([[x, y], [k.uniform(-1, 1), k.uniform(-1, 1)]]), k.uniform(0.04, 0.2))
        )  # fmt: skip
        paint = (k.main, k.accent, k.solid(lit(k.main_rgb, k.uniform(0.5, 1.4)), gloss=0.4), k.ink)[int(k.uniform(0, 3.4))]
        parts.append(Part(outline, paint))
        if mirror and index:
            parts.append(Part(outline * (-1, 1), paint))
    return Body("object", tuple(parts), k.uniform(0.3, 1.0))


def robot(k: Kit) -> Body:
    steel, eye = replace(k.main, glass=0.0), flat((250, 230, 120) if k.chance(0.5) else (90, 220, 240))
    parts = [Part(rounded(s * 0.25 - 0.13, 0.5, s * 0.25 + 0.13, 1.0, 0.05), k.accent) for s in (-1, 1)]
    parts += [Part(rounded(s * 0.68 - 0.1, -0.2, s * 0.68 + 0.1, 0.5, 0.1), k.accent) for s in (-1, 1)]
    parts += [Part(rounded(-0.55, -0.25, 0.55, 0.6, 0.1), steel), Part(rounded(-0.45, -0.9, 0.45, -0.3, 0.12), steel), Part(rectangle(-0.02, -1, 0.02, -0.88), k.ink)]
    parts += [Part(ellipse(s * 0.2, -0.62, 0.11), eye) for s in (-1, 1)] + [Part(rectangle(-0.2, -0.45, 0.2, -0.39), k.ink)]
    return Body("robot", (*parts, *k.label(-0.35, -0.1, 0.35, 0.45, "none")), 0.6)


THINGS: tuple[Callable[[Kit], Body], ...] = (
    person, person, person, person, figure, figure, cat, cat, dog, bear, bird, shoe, shoe, heel, hat, helmet, spectacles, car, rocket, rocket,
    plant, flower, fruit, burger, cake, icecream, guitar, shirt, umbrella, lettering, ball, blob, blob, blob, assembly, assembly, robot,
)  # fmt: skip
