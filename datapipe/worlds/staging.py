"""Where a product stands in a shot: its framing, the set around it, and the presenter who may stand behind it.

Coordinates as in `scene`: isotropic, y down, the product at depth 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from datapipe.worlds import backdrops
from datapipe.worlds.backdrops import View
from datapipe.worlds.faces import Presenter, make_presenter
from datapipe.worlds.identities import Identity, relit
from datapipe.worlds.materials import Rgb, flat, lit, mix
from datapipe.worlds.render import graded
from datapipe.worlds.scene import Grade, Plane, Product, Scene, floor_planes, sample_grade, sample_light, wall_planes
from datapipe.worlds.shapes import Kit, Part, ellipse

Rng = np.random.Generator
Light = tuple[float, float, float]

LIFE: tuple[Callable[[Rng, float], View], ...] = (
    backdrops.wall, backdrops.room, backdrops.room, backdrops.shelves, backdrops.night, backdrops.city,
    backdrops.hills, backdrops.greenery, backdrops.water,
)  # fmt: skip
PRESENTER_DEPTH = 1.4
PRESENTER_PLANE = 1
COUNTER_DEPTH = 1.22  # far edge of what the product stands on, before the presenter


@dataclass(frozen=True)
class Framing:
    """How large a product is: shares of the frame's height, and the most of its width; where its foot stands."""

    words: str
    height: tuple[float, float]
    width: float
    foot: tuple[float, float]


FRAMINGS: dict[str, Framing] = {
    "wide": Framing("wide shot", (0.36, 0.48), 0.45, (0.5, 0.7)),
    "medium": Framing("medium shot", (0.58, 0.7), 0.75, (0.7, 0.82)),
    "close": Framing("close-up", (1.0, 1.3), 1.25, (1.05, 1.35)),
    "pack": Framing("pack shot", (0.5, 0.6), 0.58, (0.6, 0.7)),
    "talk": Framing("presenter shot", (0.4, 0.5), 0.42, (0.78, 0.88)),
}


@dataclass(frozen=True)
class Look:
    """What all shots of a commercial share: light, grade, the set of its lifestyle shots and that of its pack shot."""

    light: Light
    grade: Grade
    life: View
    pack: View


@dataclass(frozen=True)
class Stage:
    """A scene, and the presenter who is its plane `PRESENTER_PLANE` if there is one."""

    scene: Scene
    presenter: Presenter | None = None

    @property
    def grounds(self) -> tuple[Rgb, Rgb]:
        """About the colours of the picture's upper and lower part."""
        paints = [plane.paint for plane in self.scene.planes if plane.paint is not None]
        return graded(self.scene, paints[0].mid), graded(self.scene, paints[-1].mid)


def sample_look(rng: Rng, identity: Identity, aspect: float) -> Look:
    """A light, a mild grade without noise, a lifestyle set that is no camouflage, and a pack set in a brand colour."""
    reach = max(float(np.sqrt(aspect)), 1.0) * 1.6
    light = sample_light(rng)
    grade = replace(sample_grade(rng), noise=0.0, lift=0.0)
    grade = replace(
        grade,
        saturation=float(np.clip(grade.saturation, 0.85, 1.25)),
        gamma=float(np.clip(grade.gamma, 0.8, 1.2)),
        contrast=float(np.clip(grade.contrast, 0.9, 1.25)),
    )
    own = _main(identity)
    for _ in range(5):
        life = LIFE[int(rng.integers(len(LIFE)))](rng, reach)
        if _far(life.paint.mid, own):
            break
    return Look(light, grade, life, _pack_set(rng, identity))


def stage(
    rng: Rng, identity: Identity, look: Look, framing: str, aspect: float, presenter: Presenter | None = None
) -> Stage:
    """One shot's scene. With a presenter (framing `talk`) the product stands on a counter before them."""
    ax, ay = float(np.sqrt(aspect)), float(1 / np.sqrt(aspect))
    side = 1 if rng.random() < 0.5 else -1
    product = _placed(rng, identity, look, FRAMINGS[framing], side, ax, ay)
    view = look.pack if framing == "pack" else _nearer(look.life) if framing == "close" else look.life
    contact = product.y + product.half_height
    horizon = min(float(rng.uniform(-0.35, 0.0)) * ay, contact - 0.4)
    if framing == "talk":
        planes, presenter = _talk_planes(rng, view, product, look.light, ax, ay, -side, presenter)
    elif view.floor:
        planes = floor_planes(rng, view, product, horizon, look.light, ax)
    else:
        planes = wall_planes(rng, view, product, look.light, ax)
    if framing in ("pack", "close"):
        planes = [plane for plane in planes if plane.kind != "prop"]
    planes = [_plain_shadow(plane, framing) for plane in planes]
    seed = int(rng.integers(2**31))
    scene = Scene(aspect, seed, tuple(planes), product, view.style, view.place, look.grade)
    return Stage(scene, presenter if framing == "talk" else None)


def sample_presenter(rng: Rng, light: Light) -> Presenter:
    """Someone to talk, about 2 high around (0, 0), lit as the shots are."""
    return make_presenter(Kit(rng, light))


def _placed(rng: Rng, identity: Identity, look: Look, framing: Framing, side: int, ax: float, ay: float) -> Product:
    x0, y0, x1, y1 = identity.body.bounds()
    scale = float(rng.uniform(*framing.height)) * ay * 2 / (y1 - y0)
    scale = min(scale, framing.width * 2 * ax / (x1 - x0))
    half_w, half_h = (x1 - x0) / 2 * scale, (y1 - y0) / 2 * scale
    off = {"wide shot": (0.12, 0.4), "presenter shot": (0.42, 0.5), "pack shot": (0.0, 0.0)}.get(
        framing.words, (-0.08, 0.1)
    )
    x = side * float(rng.uniform(*off)) * ax
    free = ax * 0.96 - half_w
    x = float(np.clip(x, -free, free)) if free > 0 else x * 0.5
    contact = float(rng.uniform(*framing.foot)) * ay
    y = contact - half_h if framing.words != "close-up" else min(contact - half_h, 0.12 * ay)
    body = relit(identity.body, look.light).placed(scale, x, y)
    return Product(body, x, y, half_w, half_h, float(np.clip(identity.body.bulge, 0.25, 1)), identity.body.noun,
                   identity.colour)  # fmt: skip


def _talk_planes(
    rng: Rng, view: View, product: Product, light: Light, ax: float, ay: float, side: int, presenter: Presenter | None
) -> tuple[list[Plane], Presenter]:
    """Backdrop, presenter, and the counter that hides the presenter's lower half; its edge is where depth says."""
    assert presenter is not None, "a talking shot needs a presenter"
    contact = product.y + product.half_height
    horizon = -0.25 * ay
    seam = horizon + (contact - horizon) / COUNTER_DEPTH
    size = float(rng.uniform(0.72, 0.86)) * min(ay, 1.25 * ax)
    portrait = ax < 0.95
    x = side * float(rng.uniform(0.1, 0.2) if portrait else rng.uniform(0.25, 0.38)) * ax
    placed = presenter.placed(size, x, -0.3 * ay + 0.45 * size)
    backdrop = wall_planes(rng, replace(view, softness=max(view.softness, 0.04)), product, light, ax)[0]
    person = Plane("prop", PRESENTER_DEPTH, horizon, contact, body=placed.body)
    shadow = (product.x, contact, product.half_width * 1.15, 0.06 + 0.1 * product.half_width, 0.5)
    counter = Plane(
        "floor", COUNTER_DEPTH, horizon, contact, seam, paint=view.floor_paint, shadows=(shadow,), falloff=0.1,
        haze_rgb=view.paint.mid,
    )  # fmt: skip
    return [replace(backdrop, shadows=()), person, counter], placed


def _pack_set(rng: Rng, identity: Identity) -> View:
    """A studio in a colour of the brand, light or deep, with a glow or a disc behind the product."""
    own = _main(identity)
    tones: list[Rgb] = [
        mix(identity.accent, (250.0, 248.0, 244.0), 0.55), mix(identity.accent, (24.0, 24.0, 32.0), 0.35),
        mix(own, (250.0, 248.0, 244.0), 0.75), (238.0, 236.0, 232.0), (32.0, 33.0, 40.0),
    ]  # fmt: skip
    order = [tones[i] for i in rng.permutation(len(tones))]
    colour = next((tone for tone in order if _far(tone, own)), max(order, key=lambda tone: _distance(tone, own)))
    decor: tuple[Part, ...] = ()
    if rng.random() < 0.5:
        disc = mix(colour, identity.accent, 0.5) if _far(mix(colour, identity.accent, 0.5), own) else lit(colour, 0.85)
        decor = (Part(ellipse(0.0, 0.05, float(rng.uniform(0.55, 0.8))), flat(disc)),)
    glow = (0.0, -0.1, 0.9, 0.8, mix(colour, (255.0, 255.0, 255.0), 0.6), float(rng.uniform(0.1, 0.35)))
    floor = bool(rng.random() < 0.6)
    return View("studio", "studio", flat(colour), floor, flat(lit(colour, 0.9)), decor, glows=(glow,))


def _nearer(view: View) -> View:
    """The same surroundings behind a close-up: larger and further out of focus."""
    zoom = 1.5
    decor = tuple(
        replace(p, outline=p.outline * zoom, holes=tuple(h * zoom for h in p.holes),
                paint=replace(p.paint, scale=p.paint.scale * zoom))
        for p in view.decor
    )  # fmt: skip
    paint = replace(view.paint, scale=view.paint.scale * zoom)
    return replace(view, paint=paint, decor=decor, softness=max(view.softness, 0.08))


def _plain_shadow(plane: Plane, framing: str) -> Plane:
    return replace(plane, cast=None) if framing == "close" and plane.kind == "floor" else plane


def _main(identity: Identity) -> Rgb:
    areas = [(np.ptp(part.outline[:, 0]) * np.ptp(part.outline[:, 1]), part.paint.mid) for part in identity.body.parts]
    return max(areas)[1]


def _distance(one: Rgb, other: Rgb) -> float:
    return float(np.abs(np.subtract(one, other)).mean())


def _far(one: Rgb, other: Rgb) -> bool:
    """Whether a product of one colour can be told from a ground of the other."""
    return _distance(one, other) > 45
