"""People and animals. Each maker returns a Body about 2 high."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from datapipe.worlds.materials import SKINS, Paint, Rgb, flat, lit, mix, textured
from datapipe.worlds.shapes import (
    Body,
    Kit,
    Part,
    arc,
    band,
    ellipse,
    fourier,
    logo,
    moved,
    polygon,
    rectangle,
    rounded,
    smooth,
)  # fmt: skip


def sample_skin(k: Kit) -> Rgb:
    a, b = SKINS[int(k.uniform(0, 6))], SKINS[int(k.uniform(0, 6))]
    return mix(a, b, k.uniform(0, 0.5))


def sample_hair(k: Kit) -> Paint:
    colour = ((28, 22, 20), (62, 40, 26), (120, 78, 42), (205, 165, 100), (150, 62, 30), (170, 168, 165))[
        int(k.uniform(0, 6))
    ]
    return textured(k.rng, k.solid(colour), "fur", k.uniform(0.6, 1.2), 0.5)


def _face(k: Kit, skin: Rgb, x: float, y: float, w: float, h: float) -> list[Part]:
    """Eyes, brows, nose, mouth and sometimes glasses or a beard on a head of half size w x h."""
    turn = k.uniform(-0.25, 0.25) * w
    dark, lips = flat(lit(skin, 0.35)), flat(mix(lit(skin, 0.7), (190, 40, 50), k.uniform(0.1, 0.6)))
    shadow = flat(lit(skin, 0.8))
    parts = []
    if k.chance(0.15):
        beard = smooth(
            (-w * 0.9, h * 0.15),
            (0, h * 0.35),
            (w * 0.9, h * 0.15),
            (w * 0.7, h * 0.75),
            (0, h * 1.08),
            (-w * 0.7, h * 0.75),
        )
        parts.append(Part(moved(beard, x, y), sample_hair(k)))
    gap, eye = w * k.uniform(0.36, 0.44), w * k.uniform(0.12, 0.19)
    open_ = k.uniform(0.45, 0.75)
    for s in (-1, 1):
        cx, cy = x + turn + s * gap, y - h * 0.02
        parts.append(Part(ellipse(cx, cy, eye * 1.5, eye * 1.15), shadow))
        parts.append(Part(ellipse(cx, cy, eye * 1.15, eye * open_), flat((246, 243, 238))))
        parts.append(Part(ellipse(cx, cy, eye * 0.52), flat((40, 30, 24) if k.chance(0.7) else (70, 110, 140))))
        parts.append(Part(band(arc(cx, cy + h * 0.02, eye * 1.5, h * 0.2, 215, 325, 7), h * 0.04), dark))
    nose = smooth((0, -h * 0.02), (w * 0.14, h * 0.27), (0, h * 0.32), (-w * 0.14, h * 0.27))
    parts.append(Part(moved(nose, x + turn * 1.3, y), k.solid(lit(skin, 0.92))))
    smile = k.uniform(-0.02, 0.12) * h
    mouth = smooth(
        (-w * 0.34, 0), (0, smile * 0.8), (w * 0.34, 0), (w * 0.15, smile + h * 0.07), (-w * 0.15, smile + h * 0.07)
    )
    parts.append(Part(moved(mouth, x + turn, y + h * 0.52), lips))
    if smile > 0.06 * h:
        parts.append(Part(mouth * (0.7, 0.5) + (x + turn, y + h * 0.54), flat((245, 242, 238))))
    if k.chance(0.18):
        for s in (-1, 1):
            rim = ellipse(x + turn + s * gap, y, w * 0.34, h * 0.2)
            dark_lens = k.chance(0.4)
            parts.append(
                Part(rim, flat((20, 20, 24)), () if dark_lens else ((rim - rim.mean(0)) * 0.84 + rim.mean(0),))
            )
        parts.append(
            Part(rectangle(x + turn - gap * 0.3, y - 0.02, x + turn + gap * 0.3, y + 0.02), flat((20, 20, 24)))
        )
    return parts


def person(k: Kit) -> Body:
    """Head and shoulders, cut by the lower edge of the picture."""
    skin = sample_skin(k)
    w, h = k.uniform(0.34, 0.42), k.uniform(0.46, 0.54)
    y = -0.45
    wide = k.uniform(0.75, 1.05)
    cloth = replace(k.main, glass=0.0)
    flesh = k.solid(skin)
    flesh = textured(k.rng, flesh, "plaster", 1.0, 0.1) if k.chance(0.5) else flesh
    shoulders = smooth(
        (-0.2, 0.22),
        (0.2, 0.22),
        (wide * 0.8, 0.42),
        (wide, 0.8),
        (wide * 1.1, 3.6),
        (-wide * 1.1, 3.6),
        (-wide, 0.8),
        (-wide * 0.8, 0.42),
    )
    hair = sample_hair(k)
    style = int(k.uniform(0, 4))
    back = []
    if style == 1:
        low = k.uniform(0.2, 0.8)
        back = [
            Part(
                smooth(
                    (0, y - h * 1.2),
                    (w * 1.3, y - h * 0.4),
                    (w * 1.35, low),
                    (0, low - 0.1),
                    (-w * 1.35, low),
                    (-w * 1.3, y - h * 0.4),
                ),
                hair,
            )
        ]
    elif style == 2:
        back = [Part(fourier(k.rng, 6, 0.2) * (w * 1.45, h * 1.15) + (0, y - h * 0.25), hair)]
    fringe = k.uniform(-0.75, -0.35)
    side = k.uniform(-0.5, 0.5) * w
    top = smooth(
        (-w * 1.06, y - h * 0.1),
        (-w * 0.95, y - h * 0.8),
        (0, y - h * 1.16),
        (w * 0.95, y - h * 0.8),
        (w * 1.06, y - h * 0.1),
        (w * 0.8, y + h * (fringe + 0.2)),
        (side, y + h * fringe),
        (-w * 0.8, y + h * (fringe + 0.2)),
    )
    head = smooth(
        (0, y - h),
        (w * 0.85, y - h * 0.6),
        (w, y),
        (w * 0.75, y + h * 0.6),
        (0, y + h * 1.05),
        (-w * 0.75, y + h * 0.6),
        (-w, y),
        (-w * 0.85, y - h * 0.6),
    )
    neck = Part(
        polygon((-w * 0.55, y), (w * 0.55, y), (w * 0.62, 0.32), (0, 0.5), (-w * 0.62, 0.32)), k.solid(lit(skin, 0.78))
    )
    ears = [Part(ellipse(s * w, y + h * 0.08, w * 0.14, h * 0.2), flesh) for s in (-1, 1)]
    crown = [Part(top, hair)] if style < 3 else []
    if k.chance(0.15):
        crown = [
            Part(
                smooth(
                    (-w * 1.1, y - h * 0.45),
                    (-w, y - h),
                    (0, y - h * 1.35),
                    (w, y - h),
                    (w * 1.1, y - h * 0.45),
                    (0, y - h * 0.6),
                ),
                k.accent,
            )
        ]
    parts = (*back, Part(shoulders, cloth), neck, *ears, Part(head, flesh), *_face(k, skin, 0, y, w, h), *crown)
    return Body("person", parts, 0.7, cut_below=True)


def figure(k: Kit) -> Body:
    """A standing person, whole."""
    skin = sample_skin(k)
    flesh, hair = k.solid(skin), sample_hair(k)
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
    parts += [
        Part(rectangle(-0.06, -0.7, 0.06, -0.58), flesh),
        Part(body, replace(k.main, glass=0.0)),
        Part(ellipse(lean, -0.82, 0.13, 0.17), flesh),
    ]
    parts.append(
        Part(
            smooth(
                (lean - 0.14, -0.82),
                (lean - 0.1, -0.97),
                (lean, -1.0),
                (lean + 0.1, -0.97),
                (lean + 0.14, -0.82),
                (lean, -0.9),
            ),
            hair,
        )
    )
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
    parts.append(
        Part(ellipse(x, y + r * 0.42, r * snout, r * snout * 0.75), k.solid(mix(coat.mid, (245, 240, 232), 0.6)))
    )
    parts.append(
        Part(
            smooth((x - r * 0.14, y + r * 0.24), (x + r * 0.14, y + r * 0.24), (x, y + r * 0.4)),
            flat((40, 28, 28) if k.chance(0.6) else (210, 130, 130)),
        )
    )
    parts.append(Part(band(arc(x, y + r * 0.42, r * 0.2, r * 0.2, 20, 160, 8), r * 0.04), flat((50, 36, 34))))
    return parts


def cat(k: Kit) -> Body:
    coat = _coat(k)
    lean, r = k.uniform(-0.15, 0.15), k.uniform(0.36, 0.44)
    side = 1 if k.chance(0.5) else -1
    tail = band(
        np.stack([side * (0.4 + np.linspace(0, 0.5, 14) ** 0.7), 0.85 - 0.9 * np.linspace(0, 1, 14) ** 2], 1), 0.13
    )
    trunk = smooth(
        (lean - 0.2, -0.3),
        (lean + 0.2, -0.3),
        (0.42, 0.3),
        (0.55, 0.8),
        (0.42, 1.0),
        (-0.42, 1.0),
        (-0.55, 0.8),
        (-0.42, 0.3),
    )
    ears = [
        Part(polygon((lean + s * r * 0.95, -0.65), (lean + s * r * 0.85, -1.0), (lean + s * r * 0.25, -0.85)), coat)
        for s in (-1, 1)
    ]
    inner = [
        Part(
            polygon((lean + s * r * 0.85, -0.7), (lean + s * r * 0.78, -0.93), (lean + s * r * 0.4, -0.82)),
            flat((215, 150, 145)),
        )
        for s in (-1, 1)
    ]
    chest = Part(
        ellipse(lean * 0.5, 0.25, 0.2, 0.4),
        textured(k.rng, k.solid(mix(coat.mid, (245, 240, 235), 0.6)), "fur", 0.8, 0.3),
    )
    paws = [Part(ellipse(s * 0.2, 0.95, 0.15, 0.09), k.solid(mix(coat.mid, (245, 240, 235), 0.4))) for s in (-1, 1)]
    head = Part(
        smooth(
            (lean, -0.9),
            (lean + r * 0.9, -0.7),
            (lean + r, -0.4),
            (lean, -0.12),
            (lean - r, -0.4),
            (lean - r * 0.9, -0.7),
        ),
        coat,
    )
    parts = [
        Part(tail, coat),
        Part(trunk, coat),
        *([chest] if k.chance(0.6) else []),
        *paws,
        *ears,
        *inner,
        head,
        *_animal_face(k, coat, lean, -0.52, r, 0.42),
    ]
    return Body("cat", tuple(parts), 0.75)


def dog(k: Kit) -> Body:
    """Standing, seen from the side."""
    coat = _coat(k)
    s = 1 if k.chance(0.5) else -1
    legs = [Part(rounded(x - 0.1, 0.2, x + 0.1, 1.0, 0.08), coat) for x in (-0.75, -0.5, 0.45, 0.7)]
    far = [replace(leg, paint=k.solid(lit(coat.mid, 0.7))) for leg in legs[1::2]]
    trunk = smooth((-0.9, -0.3), (0, -0.35), (0.8, -0.4), (0.9, 0.2), (0.1, 0.4), (-0.85, 0.3))
    head = smooth(
        (0.6, -0.8), (0.95, -0.98), (1.2, -0.75), (1.55, -0.6), (1.55, -0.42), (1.15, -0.38), (0.8, -0.2), (0.55, -0.3)
    )
    ear = smooth((0.75, -0.9), (0.95, -0.85), (0.88, -0.4), (0.7, -0.45))
    tail = band(arc(-0.95, -0.75, 0.3, 0.5, 90, 200, 12), 0.1)
    parts = [
        *far,
        Part(tail, coat),
        *legs[::2],
        Part(trunk, coat),
        Part(head, coat),
        Part(ear, k.solid(lit(coat.mid, 0.6))),
    ]
    parts += [Part(ellipse(1.1, -0.72, 0.05), flat((15, 12, 10))), Part(ellipse(1.54, -0.55, 0.07), flat((20, 18, 18)))]
    if k.chance(0.5):
        parts.append(Part(polygon((0.62, -0.3), (0.85, -0.2), (0.82, -0.1), (0.58, -0.2)), k.accent))
    return Body("dog", tuple(replace(p, outline=p.outline * (s, 1)) for p in parts), 0.6)


def bear(k: Kit) -> Body:
    """A stuffed toy."""
    coat = _coat(k)
    pale = k.solid(mix(coat.mid, (245, 230, 205), 0.5))
    parts = [Part(ellipse(s * 0.42, 0.8, 0.27, 0.2), coat) for s in (-1, 1)] + [
        Part(ellipse(s * 0.52, 0.2, 0.17, 0.34, s * -0.6), coat) for s in (-1, 1)
    ]
    parts += [Part(ellipse(s * 0.36, -0.85, 0.17), coat) for s in (-1, 1)] + [
        Part(ellipse(s * 0.36, -0.85, 0.1), pale) for s in (-1, 1)
    ]
    parts += [
        Part(ellipse(0, 0.4, 0.48, 0.5), coat),
        Part(ellipse(0, 0.45, 0.3, 0.34), pale),
        Part(ellipse(0, -0.5, 0.47, 0.43), coat),
    ]
    return Body("bear", (*parts, *_animal_face(k, coat, 0, -0.5, 0.45, 0.4)), 0.8)


def bird(k: Kit) -> Body:
    s = 1 if k.chance(0.5) else -1
    wing = replace(k.accent, shade="relief")
    parts = [
        Part(polygon((-0.5, 0.2), (-1.2, 0.65), (-1.0, 0.8), (-0.4, 0.5)), wing),
        Part(
            smooth(
                (-0.6, 0.3),
                (-0.2, -0.3),
                (0.25, -0.9),
                (0.6, -0.95),
                (0.75, -0.6),
                (0.6, 0.1),
                (0.2, 0.6),
                (-0.3, 0.65),
            ),
            k.main,
        ),
        Part(smooth((-0.8, 0.4), (-0.3, -0.1), (0.2, 0.0), (0.1, 0.4), (-0.4, 0.5)), wing),
        Part(polygon((0.72, -0.8), (1.1, -0.65), (0.72, -0.55)), flat((240, 170, 50))),
        Part(ellipse(0.52, -0.72, 0.07), flat((15, 15, 18))),
        Part(rectangle(-0.02, 0.55, 0.03, 1), flat((200, 130, 60))),
        Part(rectangle(0.18, 0.55, 0.23, 1), flat((200, 130, 60))),
    ]
    return Body("bird", tuple(replace(p, outline=p.outline * (s, 1)) for p in parts), 0.6)


CREATURES: tuple[Callable[[Kit], Body], ...] = (
    person, person, person, person, person, figure, figure, cat, cat, dog, bear, bird,
)  # fmt: skip
