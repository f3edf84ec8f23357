"""Presenters: a head and shoulders whose mouth opens as far as it is told, at a place that is known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from datapipe.worlds.creatures import sample_hair, sample_skin
from datapipe.worlds.drawing import Grid
from datapipe.worlds.materials import Paint, Rgb, flat, lit, mix
from datapipe.worlds.shapes import Body, Kit, Part, Points, arc, band, ellipse, moved, polygon, smooth


@dataclass(frozen=True)
class Mouth:
    """Lips around (x, y), half `width` wide; fully open the lips part by `gap`. Colours are not graded."""

    x: float
    y: float
    width: float
    gap: float
    lips: Rgb
    inside: Rgb
    teeth: Rgb

    def placed(self, scale: float, x: float, y: float) -> Mouth:
        return replace(self, x=self.x * scale + x, y=self.y * scale + y, width=self.width * scale, gap=self.gap * scale)

    def bounds(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 of what the mouth may change when it opens."""
        return self.x - self.width, self.y - self.gap, self.x + self.width, self.y + self.gap


@dataclass(frozen=True)
class Presenter:
    """A person without a mouth, the mouth, and the box of the face (x0, y0, x1, y1), hair and ears left out."""

    body: Body
    mouth: Mouth
    face: tuple[float, float, float, float]
    looks: str

    def placed(self, scale: float, x: float, y: float) -> Presenter:
        x0, y0, x1, y1 = self.face
        face = (x0 * scale + x, y0 * scale + y, x1 * scale + x, y1 * scale + y)
        return replace(self, body=self.body.placed(scale, x, y), mouth=self.mouth.placed(scale, x, y), face=face)


def make_presenter(kit: Kit) -> Presenter:
    """A random presenter whose head is about 1 high, the middle of the face at (0, -0.45)."""
    skin, hair = sample_skin(kit), sample_hair(kit)
    w, h, y = kit.uniform(0.36, 0.42), kit.uniform(0.48, 0.54), -0.45
    flesh = kit.solid(skin)
    head = smooth(
        (0, y - h), (w * 0.85, y - h * 0.6), (w, y), (w * 0.78, y + h * 0.6), (0, y + h * 1.05),
        (-w * 0.78, y + h * 0.6), (-w, y), (-w * 0.85, y - h * 0.6),
    )  # fmt: skip
    long = kit.chance(0.5)
    looks = "long hair" if long else "short hair"
    parts = [
        *_back_hair(kit, hair, w, h, y, long),
        *_clothes(kit),
        Part(polygon((-w * 0.55, y), (w * 0.55, y), (w * 0.62, 0.32), (0, 0.5), (-w * 0.62, 0.32)),
             kit.solid(lit(skin, 0.8))),
        *(Part(ellipse(s * w, y + h * 0.08, w * 0.14, h * 0.2), flesh) for s in (-1, 1)),
        Part(head, flesh),
        *_features(kit, skin, w, h, y),
        _fringe(kit, hair, w, h, y),
    ]  # fmt: skip
    mouth = Mouth(
        0.0, y + h * 0.56, w * 0.42, h * 0.26, mix(lit(skin, 0.62), (196, 40, 56), kit.uniform(0.3, 0.7)),
        (54, 16, 20), (244, 240, 234),
    )  # fmt: skip
    body = Body("presenter", tuple(parts), 0.7, cut_below=True)
    return Presenter(body, mouth, (-w, y - h, w, y + h * 1.05), looks)


def _back_hair(kit: Kit, hair: Paint, w: float, h: float, y: float, long: bool) -> list[Part]:
    if not long:
        return []
    low = kit.uniform(0.15, 0.6)
    curtain = smooth(
        (0, y - h * 1.18), (w * 1.28, y - h * 0.4), (w * 1.3, low), (0, low - 0.1), (-w * 1.3, low),
        (-w * 1.28, y - h * 0.4),
    )  # fmt: skip
    return [Part(curtain, hair)]


def _clothes(kit: Kit) -> list[Part]:
    wide = kit.uniform(0.78, 0.98)
    shoulders = smooth(
        (-0.2, 0.22), (0.2, 0.22), (wide * 0.8, 0.4), (wide, 0.8), (wide * 1.05, 3.6), (-wide * 1.05, 3.6),
        (-wide, 0.8), (-wide * 0.8, 0.4),
    )  # fmt: skip
    parts = [Part(shoulders, replace(kit.main, glass=0.0, shade="relief"))]
    if kit.chance(0.5):
        parts.append(Part(polygon((-0.3, 0.24), (0.3, 0.24), (0, 0.95)), kit.solid(kit.accent_rgb)))
    return parts


def _features(kit: Kit, skin: Rgb, w: float, h: float, y: float) -> list[Part]:
    """Eyes, brows and nose."""
    dark, gap, eye = flat(lit(skin, 0.3)), w * kit.uniform(0.4, 0.46), w * kit.uniform(0.16, 0.2)
    iris = flat((40, 30, 24) if kit.chance(0.7) else (70, 110, 140))
    parts = []
    for s in (-1, 1):
        cx, cy = s * gap, y - h * 0.06
        parts.append(Part(ellipse(cx, cy, eye * 1.2, eye * 0.75), flat((246, 243, 238))))
        parts.append(Part(ellipse(cx, cy, eye * 0.55, eye * 0.62), iris))
        parts.append(Part(band(arc(cx, cy + h * 0.02, eye * 1.5, h * 0.24, 215, 325, 7), h * 0.06), dark))
    nose = smooth((0, -h * 0.02), (w * 0.14, h * 0.24), (0, h * 0.3), (-w * 0.14, h * 0.24))
    return [*parts, Part(moved(nose, 0, y), kit.solid(lit(skin, 0.86)))]


def _fringe(kit: Kit, hair: Paint, w: float, h: float, y: float) -> Part:
    low, side = kit.uniform(-0.75, -0.5), kit.uniform(-0.4, 0.4) * w
    cap = smooth(
        (-w * 1.06, y - h * 0.15), (-w * 0.95, y - h * 0.8), (0, y - h * 1.16), (w * 0.95, y - h * 0.8),
        (w * 1.06, y - h * 0.15), (w * 0.85, y + h * (low + 0.2)), (side, y + h * low),
        (-w * 0.85, y + h * (low + 0.2)),
    )  # fmt: skip
    return Part(cap, hair)


def draw_mouth(image: np.ndarray, grid: Grid, mouth: Mouth, opening: float) -> None:
    """Draw the mouth, `opening` of it open, into image (uint8 [h, w, 3] over the grid)."""
    inner, rows, columns = grid.crop(mouth.bounds(), 2)
    if inner.width < 1 or inner.height < 1:
        return
    target = image[rows, columns].astype(np.float32)
    for outline, colour in _mouth(mouth, opening):
        share = inner.finer(4).fill([outline]).reshape(inner.height, 4, inner.width, 4).mean((1, 3), np.float32) / 255
        target += (np.array(colour, np.float32) - target) * share[..., None]
    image[rows, columns] = np.round(target).astype(np.uint8)


def _mouth(mouth: Mouth, opening: float) -> list[tuple[Points, Rgb]]:
    """Lips, what they show between them, and the upper teeth; closed lips are a line."""
    wide, tall = mouth.width * (1 - 0.22 * opening), mouth.gap * (0.14 + 0.72 * opening)
    drop = mouth.gap * 0.1 * opening
    shapes = [(ellipse(mouth.x, mouth.y + drop, wide, tall + mouth.gap * 0.12), mouth.lips)]
    if opening > 0.02:
        hole = mouth.gap * 0.8 * opening
        shapes.append((ellipse(mouth.x, mouth.y + drop, wide * 0.82, hole), mouth.inside))
        upper = arc(mouth.x, mouth.y + drop, wide * 0.7, hole * 0.88, 200, 340, 12)
        shapes.append((upper, mix(mouth.inside, mouth.teeth, min(1.0, opening * 2))))
    return shapes
