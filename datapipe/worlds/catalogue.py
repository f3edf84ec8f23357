"""Which body a scene gets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from datapipe.worlds.creatures import CREATURES
from datapipe.worlds.devices import DEVICES
from datapipe.worlds.goods import GOODS
from datapipe.worlds.shapes import Body, Kit, Part
from datapipe.worlds.things import THINGS
from datapipe.worlds.wear import WEAR

MAKERS = GOODS + DEVICES + CREATURES + WEAR + THINGS


def make_body(kit: Kit, prop: bool = False) -> Body:
    """A random body; as the product sometimes several of the same side by side."""
    body = MAKERS[int(kit.rng.integers(len(MAKERS)))](kit)
    if prop and body.cut_below:
        body = GOODS[0](kit)
    if prop or body.cut_below or not kit.chance(0.1):
        return body
    return _group(kit, body)


def _group(kit: Kit, body: Body) -> Body:
    """Two to four of the same, the outer ones a little smaller and behind."""
    count = int(kit.rng.integers(2, 5))
    x0, _, x1, y1 = body.bounds()
    step = (x1 - x0) * kit.uniform(0.75, 1.1)
    places = [(i - (count - 1) / 2) for i in range(count)]
    parts: list[Part] = []
    for place in sorted(places, key=abs, reverse=True):
        size = 1 - kit.uniform(0.0, 0.12) * abs(place)
        parts.extend(body.placed(size, place * step, y1 * (1 - size)).parts)
    return replace(body, parts=tuple(parts), bulge=float(np.clip(body.bulge * 0.8, 0.25, 1)))
