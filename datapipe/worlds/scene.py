"""What is in a scene and where: sampled once, drawn by `render` at any size.

Coordinates are isotropic: a frame of aspect a = W/H spans X in [-ax, ax], Y in [-ay, ay] with ax = sqrt(a),
ay = 1/sqrt(a), y down. The camera is a pinhole with focal length 1.6 at (0, 0); the product stands at depth Z = 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from datapipe.worlds import backdrops
from datapipe.worlds.catalogue import make_body
from datapipe.worlds.materials import Paint, Rgb, lit, name_of, sample_rgb
from datapipe.worlds.shapes import Body, Kit, Part, rotated

FOCAL = 1.6
Rng = np.random.Generator


@dataclass(frozen=True)
class Plane:
    """One layer of the plate. `depth` is Z; of a floor it is the Z of its far edge.

    The floor is the plane whose image row y has Z = (contact - horizon) / (y - horizon) for y > seam.
    """

    kind: str  # backdrop | floor | prop
    depth: float
    horizon: float = 0.0
    contact: float = 0.0
    seam: float = 0.0
    paint: Paint | None = None
    body: Body | None = None
    decor: tuple[Part, ...] = ()
    bokeh: tuple[tuple[float, float, float, Rgb, float], ...] = ()  # x, y, radius, colour, strength
    glows: tuple[tuple[float, float, float, float, Rgb, float], ...] = ()  # x, y, radius x, radius y, colour, strength
    shadows: tuple[tuple[float, float, float, float, float], ...] = ()  # x, y, radius x, radius y, strength
    cast: tuple[float, float, float] | None = None  # lean, flatness, strength of the product's silhouette shadow
    slope: tuple[float, float] = (0.0, 0.0)
    slope_rgb: Rgb = (0.0, 0.0, 0.0)
    blur: float = 0.0
    falloff: float = 0.0
    haze: float = 0.0
    haze_rgb: Rgb = (0.0, 0.0, 0.0)
    yaw: float = 0.0


@dataclass(frozen=True)
class Product:
    """The product at Z = 1. x, y: centre of its box; half_width, half_height: of the box; bulge: depth profile
    in [0.25, 1] (1 = cylinder, 0.3 = flat box). The body is kept upright; `tilt` radians turn it about `pivot`."""

    body: Body
    x: float
    y: float
    half_width: float
    half_height: float
    bulge: float
    kind: str
    colour: str
    tilt: float = 0.0
    pivot: tuple[float, float] = (0.0, 0.0)

    def outlines(self) -> list[np.ndarray]:
        """The outer outlines of all parts, [N, 2] each, as they stand in the picture."""
        return [rotated(p.outline, self.tilt, *self.pivot) if self.tilt else p.outline for p in self.body.parts]

    def bounds(self) -> tuple[float, float, float, float]:
        return self.x - self.half_width, self.y - self.half_height, self.x + self.half_width, self.y + self.half_height


@dataclass(frozen=True)
class Grade:
    """The photograph's look, applied to every layer."""

    gamma: float
    contrast: float
    gain: Rgb
    lift: float
    saturation: float
    vignette: float
    noise: float
    shift: float


@dataclass(frozen=True)
class Scene:
    """planes run from far to near; the product stands before all of them. `place` is the noun of the surroundings."""

    aspect: float
    seed: int
    planes: tuple[Plane, ...]
    product: Product
    style: str  # studio | plain | tabletop | room | street | outdoor | abstract
    place: str
    grade: Grade

    @property
    def words(self) -> dict[str, str]:
        """Nouns and adjectives for captions: product, colour, place, style."""
        return {"product": self.product.kind, "colour": self.product.colour, "place": self.place, "style": self.style}


def check_aspect(aspect: float) -> None:
    """ValueError: an aspect that no scene is drawn for."""
    if not 0.25 <= aspect <= 4:
        raise ValueError("The aspect of a frame lies between 0.25 and 4.")


def sample_scene(rng: np.random.Generator, aspect: float) -> Scene:
    """A random scene for a frame of this aspect (width / height). ValueError: an aspect outside 0.25..4."""
    check_aspect(aspect)
    ax, ay = float(np.sqrt(aspect)), float(1 / np.sqrt(aspect))
    seed = int(rng.integers(2**31))
    light = sample_light(rng)
    view = backdrops.sample_view(rng, light, max(ax, 1.0) * 1.6)
    main = _camouflage(rng, view) if rng.random() < 0.1 else None
    kit = Kit(rng, light, main)
    body = make_body(kit)
    grade = sample_grade(rng)
    has_floor = view.floor and not body.cut_below
    horizon = float(rng.uniform(-0.35, 0.15)) * min(1.0, ay * 1.2)
    product = _stand(rng, body, colour_word(body, kit, grade), ax, ay, horizon if has_floor else None)
    planes = (
        floor_planes(rng, view, product, horizon, light, ax)
        if has_floor
        else wall_planes(rng, view, product, light, ax)
    )
    return Scene(aspect, seed, tuple(planes), product, view.style, view.place, grade)


def colour_word(body: Body, kit: Kit, grade: Grade) -> str:
    """The colour of the largest part, as the picture shows it."""
    colour = max(body.parts, key=lambda part: cv2.contourArea(part.outline.astype(np.float32))).paint.mid
    if grade.saturation == 0:
        return name_of((sum(colour) / 3,) * 3)
    return kit.name if colour == kit.main_rgb and kit.named else name_of(colour)


def sample_light(rng: Rng) -> tuple[float, float, float]:
    x, y, z = rng.uniform(-1, 1), rng.uniform(-0.9, 0.1), rng.uniform(0.35, 1.2)
    length = float(np.sqrt(x * x + y * y + z * z))
    return float(x) / length, float(y) / length, float(z) / length


def _camouflage(rng: Rng, view: backdrops.View) -> Rgb:
    """Nearly the colour of what is behind."""
    return lit(view.paint.mid, float(rng.uniform(0.8, 1.25)))


def _stand(rng: Rng, body: Body, colour: str, ax: float, ay: float, horizon: float | None) -> Product:
    """Scale, tilt and place the body so that it covers 8 to 45 % of the frame, where it fits."""
    tilt = 0.0
    if not body.cut_below and rng.random() < (0.12 if horizon is not None else 0.35):
        tilt = float(rng.normal(0, 0.1 if horizon is not None else 0.3))
    x0, y0, x1, y1 = body.bounds()
    pivot = ((x0 + x1) / 2, (y0 + y1) / 2)
    if tilt:
        stack = rotated(np.concatenate([p.outline for p in body.parts]), tilt, *pivot)
        (x0, y0), (x1, y1) = stack.min(0).tolist(), stack.max(0).tolist()
    share = float(rng.uniform(0.1, 0.42))
    area = sum(cv2.contourArea(part.outline.astype(np.float32)) for part in body.parts[:6]) * 0.5 + 0.35 * (x1 - x0) * (
        y1 - y0
    )
    scale = float(np.sqrt(4 * share / max(min(area, (x1 - x0) * (y1 - y0)), 0.05)))
    air = 0.93 if rng.random() < 0.9 else 1.08
    scale = min(scale, 2 * ax * air / (x1 - x0), 2 * ay * air / (y1 - y0))
    if body.cut_below:
        scale = float(rng.uniform(0.55, 0.95)) * min(1.1 * ay, 1.3 * ax)
    half_w, half_h = (x1 - x0) * scale / 2, (y1 - y0) * scale / 2
    x = float(np.clip(rng.normal(0, 0.14), -0.35, 0.35)) * ax
    x = float(np.clip(x, -(ax * air - half_w), ax * air - half_w)) if half_w < ax * air else 0.0
    free = max(ay * air - half_h, 0.0)
    y = float(rng.uniform(-0.5, 0.75)) * free if horizon is not None else float(rng.normal(0, 0.3)) * free
    y = float(np.clip(y, -free, free))
    if body.cut_below:
        y = float(rng.uniform(-0.95, -0.55)) * ay + half_h
    if horizon is not None:
        y = max(y, horizon + 0.32 - half_h)
    centre = ((x0 + x1) / 2 * scale, (y0 + y1) / 2 * scale)
    placed = body.placed(scale, x - centre[0], y - centre[1])
    at = (pivot[0] * scale + x - centre[0], pivot[1] * scale + y - centre[1])
    bulge = float(np.clip(body.bulge, 0.25, 1))
    return Product(placed, x, y, float(half_w), float(half_h), bulge, body.noun, colour, tilt, at)


def floor_planes(
    rng: Rng, view: backdrops.View, product: Product, horizon: float, light: tuple[float, float, float], ax: float
) -> list[Plane]:
    contact = product.y + product.half_height
    far = float(rng.uniform(1.6, 5))
    backdrop_depth = far
    if view.table and rng.random() < 0.6:  # the table ends before the wall behind it
        far = float(rng.uniform(1.5, 2.6))
        backdrop_depth = float(rng.uniform(far, 5))
    seam = horizon + (contact - horizon) / far
    soft = view.softness * (1 - 1 / backdrop_depth)
    props = _props(rng, view, product, horizon, contact, far, light, ax, soft)
    shadows = [_contact_shadow(rng, product, contact, contact - horizon, light)]
    for prop in props:
        assert prop.body is not None
        x0, _, x1, y1 = prop.body.bounds()
        half = (x1 - x0) / 2
        shadows.append(((x0 + x1) / 2, y1, half * 1.15, max(0.03, half * 0.25), 0.45))
    cast = None
    if rng.random() < 0.45 and not product.body.cut_below:
        cast = (
            float(np.clip(-light[0] * 1.4, -0.8, 0.8)),
            float(rng.uniform(0.15, 0.5)),
            float(rng.uniform(0.15, 0.5)),
        )
    backdrop = replace(_backdrop(view, backdrop_depth, soft, light, rng), shadows=())
    floor = Plane(
        "floor", far, horizon, contact, seam, paint=view.floor_paint, shadows=tuple(shadows), cast=cast,
        blur=view.softness * 0.5, falloff=float(rng.uniform(-0.1, 0.5)), haze=float(rng.random() ** 2 * 0.6),
        haze_rgb=view.paint.mid, yaw=float(rng.choice([0.0, rng.uniform(-0.8, 0.8)])),
        glows=_floor_glow(rng, product, contact),
    )  # fmt: skip
    return [backdrop, floor, *props]


def _floor_glow(
    rng: Rng, product: Product, contact: float
) -> tuple[tuple[float, float, float, float, Rgb, float], ...]:
    if rng.random() < 0.5:
        return ()
    return (
        (
            product.x + float(rng.normal(0, 0.3)),
            contact + 0.05,
            0.9,
            0.4,
            (255.0, 246.0, 230.0),
            float(rng.uniform(0.05, 0.3)),
        ),
    )


def _contact_shadow(
    rng: Rng, product: Product, y: float, drop: float, light: tuple[float, float, float]
) -> tuple[float, float, float, float, float]:
    flat = float(np.clip(drop / 1.6, 0.12, 0.6))
    shift = -light[0] * product.half_width * 0.3
    ry = product.half_width * flat * product.bulge * float(rng.uniform(0.35, 0.7)) + 0.02
    return (
        product.x + shift,
        y - ry * 0.25,
        product.half_width * float(rng.uniform(0.95, 1.3)),
        ry,
        float(rng.uniform(0.35, 0.8)),
    )


def _backdrop(view: backdrops.View, depth: float, soft: float, light: tuple[float, float, float], rng: Rng) -> Plane:
    glows = list(view.glows)
    if rng.random() < 0.4:
        x, y = light[0] * 1.2, float(rng.uniform(-0.8, 0.2))
        glows.append(
            (
                x,
                y,
                float(rng.uniform(0.5, 1.5)),
                float(rng.uniform(0.5, 1.3)),
                (255.0, 248.0, 235.0),
                float(rng.uniform(0.05, 0.35)),
            )
        )
    return Plane(
        "backdrop",
        depth,
        paint=view.paint,
        decor=view.decor,
        bokeh=view.bokeh,
        glows=tuple(glows),
        slope=view.slope,
        slope_rgb=view.slope_rgb,
        blur=soft,
    )


def wall_planes(
    rng: Rng, view: backdrops.View, product: Product, light: tuple[float, float, float], ax: float
) -> list[Plane]:
    """No floor in sight: a seamless studio, or surroundings out of focus."""
    plain = view.style in ("plain", "studio")
    depth = 2.2 if plain else float(rng.uniform(2, 6))
    softness = view.softness if plain else max(view.softness, float(rng.uniform(0.03, 0.14)))
    soft = softness * (1 - 1 / depth)
    backdrop = _backdrop(view, depth, soft, light, rng)
    contact = product.y + product.half_height
    if plain and rng.random() < 0.7 and not product.body.cut_below:
        drop = float(rng.uniform(0.0, 0.12)) if rng.random() < 0.3 else 0.0
        x, y, rx, ry, strength = _contact_shadow(rng, product, contact, 0.4, light)
        backdrop = replace(backdrop, shadows=((x, y + drop, rx, ry * 0.7, strength * 0.7),))
    props: list[Plane] = []
    if not plain and rng.random() < 0.4:
        props = _props(rng, view, product, contact - 0.5, contact, depth, light, ax, softness * 0.7)
    return [backdrop, *props]


def _props(
    rng: Rng, view: backdrops.View, product: Product, horizon: float, contact: float, far: float,
    light: tuple[float, float, float], ax: float, soft: float,
) -> list[Plane]:  # fmt: skip
    """Things of the same kinds that stand behind and beside the product, farthest first."""
    if far < 1.25:
        return []
    count = int(rng.choice([0, 0, 0, 1, 1, 2, 3, 4]))
    depths = sorted((float(z) for z in rng.uniform(1.12, far * 0.95, count)), reverse=True)
    planes = []
    for depth in depths:
        kit = Kit(rng, light, sample_rgb(rng, "beige") if rng.random() < 0.15 else None)
        body = make_body(kit, prop=True)
        x0, y0, x1, y1 = body.bounds()
        size = float(np.clip(product.half_height * rng.uniform(0.4, 1.1), 0.15, 0.9)) / depth
        scale = size / ((y1 - y0) / 2)
        side = 1 if rng.random() < 0.5 else -1
        x = side * float(rng.uniform(0.3, 1.15)) * ax
        row = horizon + (contact - horizon) / depth
        placed = body.placed(scale, x - (x0 + x1) / 2 * scale, row - y1 * scale)
        focus = soft * (1 - 1 / depth) * 1.5 if soft else 0.0
        planes.append(Plane("prop", depth, horizon, row, body=placed, blur=focus))
    return planes


def sample_grade(rng: Rng) -> Grade:
    warm, tint = rng.normal(0, 0.05, 2)
    gain = (float(1 + warm), float(1 + tint * 0.5), float(1 - warm))
    saturation = 0.0 if rng.random() < 0.05 else float(np.clip(rng.normal(0.95, 0.2), 0.3, 1.3))
    return Grade(
        gamma=float(np.exp(rng.normal(0, 0.22))),
        contrast=float(np.clip(rng.normal(1.0, 0.14), 0.65, 1.4)),
        gain=gain,
        lift=float(max(0.0, rng.normal(0, 0.03))),
        saturation=saturation,
        vignette=float(rng.uniform(0, 0.4)) if rng.random() < 0.6 else 0.0,
        noise=float(rng.uniform(0.01, 0.07)) if rng.random() < 0.4 else 0.0,
        shift=float(rng.random()),
    )
