"""Products that stay themselves: a number gives a body, its colour and the name on its label, in every commercial."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from datapipe.worlds import devices, goods, things, wear
from datapipe.worlds.drawing import BRANDS, spelled
from datapipe.worlds.materials import Rgb, name_of
from datapipe.worlds.shapes import Body, Kit, Part

Light = tuple[float, float, float]
_STREAM = 4101  # keeps the numbers' random streams apart from those of scenes
_LIGHT: Light = (-0.45, -0.5, 0.74)
_GLASS = 0.3  # more would show the scene rather than the product

# What is advertised. Of the first, almost all carry a label.
PACKED: tuple[Callable[[Kit], Body], ...] = (
    goods.bottle, goods.bottle, goods.bottle, goods.perfume, goods.jar, goods.can, goods.tube, goods.box, goods.box,
    goods.carton, devices.candle,
)  # fmt: skip
BARE: tuple[Callable[[Kit], Body], ...] = (
    goods.cup, devices.phone, devices.phone, devices.screen, devices.watch, devices.bag, devices.camera,
    devices.headphones, devices.lipstick, devices.lamp, wear.shoe, wear.shoe, wear.heel, wear.hat, wear.helmet,
    wear.spectacles, things.burger, things.cake, things.icecream, things.shirt,
)  # fmt: skip


@dataclass(frozen=True)
class Identity:
    """One product. `body` stands upright about 2 high around (0, 0); `label` is what is printed on it, "" if nothing;
    `brand` indexes the word of its maker (`drawing.spelled`), which is also the label's."""

    number: int
    body: Body
    colour: str
    accent: Rgb
    brand: int
    label: str

    @property
    def brand_name(self) -> str:
        return spelled(self.brand)[0]


def sample_identity(number: int) -> Identity:
    """The product of this number, always the same. ValueError: a negative number."""
    if number < 0:
        raise ValueError("The number of an identity is 0 or more.")
    rng = np.random.default_rng([_STREAM, number])
    kit, body = _drawn(rng)
    brand = BRANDS + int(rng.integers(2**31))
    lettering = [part for part in body.parts if part.text is not None]
    if lettering:
        largest = max(lettering, key=lambda part: (part.box[2] - part.box[0]) * (part.box[3] - part.box[1]))
        parts = tuple(replace(part, text=brand) if part is largest else part for part in body.parts)
        body = replace(body, parts=parts)
    body = replace(body, parts=tuple(_clearer(part) for part in body.parts))
    colour = _largest(body).paint.mid
    return Identity(
        number, _centred(body), name_of(colour), kit.accent_rgb, brand, spelled(brand)[0] if lettering else ""
    )


def relit(body: Body, light: Light) -> Body:
    """The same surfaces in another light."""
    return replace(body, parts=tuple(replace(part, paint=replace(part.paint, light=light)) for part in body.parts))


def _drawn(rng: np.random.Generator) -> tuple[Kit, Body]:
    """A body; of what is packed, one with a printed word, which a few tries find."""
    packed = rng.random() < 0.6
    makers = PACKED if packed else BARE
    maker = makers[int(rng.integers(len(makers)))]
    for _ in range(8):
        kit = Kit(rng, _LIGHT)
        body = maker(kit)
        if not packed or any(part.text is not None for part in body.parts):
            break
    return kit, body


def _clearer(part: Part) -> Part:
    return replace(part, paint=replace(part.paint, glass=min(part.paint.glass, _GLASS)))


def _largest(body: Body) -> Part:
    return max(body.parts, key=lambda part: cv2.contourArea(part.outline.astype(np.float32)))


def _centred(body: Body) -> Body:
    x0, y0, x1, y1 = body.bounds()
    scale = 2 / (y1 - y0)
    return body.placed(scale, -(x0 + x1) / 2 * scale, -(y0 + y1) / 2 * scale)
