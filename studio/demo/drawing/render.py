"""Camera, sphere tracing, light and film. A `Scene` says what there is."""

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np

Array = np.ndarray
Distance = Callable[[Array], Array]  # points [N,3] -> signed distance [N]

STEPS, NEAR = 110, 4e-4


@dataclass
class Surface:
    """What a material answers for N points: colours [N,3], the rest [N]."""

    albedo: Array
    roughness: Array
    reflectance: Array  # at normal incidence; 0.04 is glaze, glass, varnish
    see_through: Array  # 1: light goes through, tinted by `Scene.glass_absorption`
    metal: Array


@dataclass
class SoftBox:
    """A rectangular lamp at infinity, seen in reflections; half sizes are tangents of angles."""

    axis: Array
    half: tuple[float, float]
    colour: Array
    edge: float = 0.06


@dataclass
class Scene:
    objects: list[tuple[Distance, Callable[[Array, Array], Surface]]]
    boxes: list[SoftBox]
    key_direction: Array
    key_colour: Array
    sky: Array
    ground: Array
    background: Callable[[Array], Array]  # directions [N,3] -> colours, where a ray leaves the scene
    key_size: float = 7.0  # smaller: softer shadows
    reach: float = 140.0
    glass: Distance | None = None
    glass_absorption: Array = field(default_factory=lambda: np.zeros(3))  # per cm
    gobo: Callable[[Array], Array] | None = None  # what stands before the key light: points -> share of light

    def distance(self, p: Array) -> Array:
        nearest = self.objects[0][0](p)
        for measure, _ in self.objects[1:]:
            nearest = np.minimum(nearest, measure(p))
        return nearest

    def surface(self, p: Array, n: Array) -> Surface:
        which = np.argmin(np.stack([measure(p) for measure, _ in self.objects]), 0)
        out = Surface(np.zeros_like(p), *(np.zeros(len(p), np.float32) for _ in range(4)))
        for number, (_, material) in enumerate(self.objects):
            chosen = which == number
            if chosen.any():
                found = material(p[chosen], n[chosen])
                for name in vars(out):
                    getattr(out, name)[chosen] = getattr(found, name)
        return out


def march(measure: Distance, origin: Array, direction: Array, reach: float) -> Array:
    """How far each ray goes until it meets the surface; inf where it does not within `reach`."""
    travelled = np.zeros(len(origin), np.float32)
    result = np.full(len(origin), np.inf, np.float32)
    active = np.arange(len(origin))
    for _ in range(STEPS):
        step = measure(origin[active] + direction[active] * travelled[active, None])
        near = np.abs(step) < NEAR * (1 + travelled[active] * 0.02)
        result[active[near]] = travelled[active[near]]
        travelled[active] += step
        active = active[~near & (np.abs(travelled[active]) < reach)]
        if not len(active):
            break
    return result


def normals(measure: Distance, p: Array, eps: float = 2e-3) -> Array:
    corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], np.float32)
    total = sum(corner * measure(p + corner * eps)[:, None] for corner in corners)
    return normalised(np.asarray(total))


def soft_shadow(measure: Distance, p: Array, light: Array, size: float, reach: float = 45.0) -> Array:
    """The share of an area light that is seen, from the narrowest gap along the ray."""
    seen, travelled = np.ones(len(p), np.float32), np.full(len(p), 0.05, np.float32)
    for _ in range(48):
        gap = measure(p + light * travelled[:, None])
        seen = np.minimum(seen, size * gap / travelled)
        travelled += np.clip(gap, 0.06, 1.6)
        if travelled.min() > reach:
            break
    seen = np.clip(seen, -1, 1)
    return np.asarray(0.25 * (1 + seen) ** 2 * (2 - seen), np.float32)


def occlusion(measure: Distance, p: Array, n: Array, scale: float = 0.55) -> Array:
    total, weight = np.zeros(len(p), np.float32), 1.0
    for step in (0.15, 0.5, 1.1, 2.2, 4.0):
        total += weight * np.clip(step - measure(p + n * step), 0, None) / step
        weight *= 0.72
    return np.clip(1 - scale * total * 0.42, 0.05, 1)


def environment(scene: Scene, direction: Array, roughness: Array) -> Array:
    """What a ray that leaves the scene sees: background and lamps, blurred by roughness."""
    light = scene.background(direction)
    for box in scene.boxes:
        right = normalised(np.cross(box.axis, [0.0, 1.0, 0.02])[None])[0]
        up = np.cross(right, box.axis)
        facing = np.maximum(direction @ box.axis, 1e-4)
        edge = box.edge + 0.9 * roughness
        inside = [
            smoothstep(half + edge, half - edge, np.abs(direction @ side) / facing)
            for half, side in zip(box.half, (right, up), strict=True)
        ]
        light = light + box.colour * (inside[0] * inside[1] * (direction @ box.axis > 0))[:, None]
    return light


def irradiance(scene: Scene, n: Array) -> Array:
    up = (n[:, 1:2] + 1) / 2
    return scene.ground + (scene.sky - scene.ground) * up


def shade(scene: Scene, origin: Array, direction: Array, far: Array, depth: int) -> Array:
    """The light that arrives along each ray, which meets the scene after `far`."""
    hit = np.isfinite(far)
    light = environment(scene, direction, np.zeros(len(direction), np.float32))
    if hit.any():
        p = origin[hit] + direction[hit] * far[hit, None]
        light[hit] = shade_hits(scene, p, direction[hit], depth)
    return light


def shade_hits(scene: Scene, p: Array, direction: Array, depth: int) -> Array:
    n = normals(scene.distance, p)
    surface = scene.surface(p, n)
    lit = direct_light(scene, p, n) * surface.albedo * (1 - surface.metal)[:, None]
    if depth == 0:
        return lit
    facing = np.clip(-(direction * n).sum(1), 0, 1)
    mirror = surface.reflectance + (1 - surface.reflectance) * (1 - surface.roughness) * (1 - facing) ** 5
    reflected = normalised(direction - 2 * (direction * n).sum(1, keepdims=True) * n)
    gloss = np.zeros_like(lit)
    shiny = mirror > 0.004
    if shiny.any():
        rays = (p + n * 0.02)[shiny], reflected[shiny], surface.roughness[shiny]
        gloss[shiny] = reflections(scene, *rays, depth)
    tint = np.where(surface.metal[:, None] > 0, surface.albedo, 1.0)
    through = np.zeros_like(lit)
    clear = surface.see_through > 0
    if clear.any() and scene.glass is not None:
        through[clear] = refractions(scene, p[clear], direction[clear], n[clear])
    body = lit * (1 - surface.see_through)[:, None] + through * surface.see_through[:, None]
    return body * (1 - mirror)[:, None] + gloss * tint * mirror[:, None]


def direct_light(scene: Scene, p: Array, n: Array) -> Array:
    lambert = np.clip(n @ scene.key_direction, 0, 1)
    start = p + n * 0.03
    seen = soft_shadow(scene.distance, start, scene.key_direction, scene.key_size)[:, None]
    if scene.glass is not None:  # what darkens behind glass keeps some of its colour
        glass = soft_shadow(scene.glass, start, scene.key_direction, scene.key_size)[:, None]
        seen = seen + (1 - glass) * 0.22 * np.exp(-scene.glass_absorption * 2.2)
    if scene.gobo is not None:
        seen = seen * scene.gobo(p)[:, None]
    dark = occlusion(scene.distance, p, n)[:, None]
    return irradiance(scene, n) * dark + scene.key_colour * lambert[:, None] * seen


def reflections(scene: Scene, p: Array, direction: Array, roughness: Array, depth: int) -> Array:
    light = environment(scene, direction, roughness)
    far = march(scene.distance, p, direction, 40.0)
    hit = np.isfinite(far)
    if hit.any():
        light[hit] = shade_hits(scene, p[hit] + direction[hit] * far[hit, None], direction[hit], depth - 1)
    return light


def refractions(scene: Scene, p: Array, direction: Array, n: Array, index: float = 1.38) -> Array:
    """Through the glass in one piece: refract, cross, refract, and look on."""
    assert scene.glass is not None
    glass = scene.glass
    inside = refract(direction, n, 1 / index)
    across = march(lambda q: -glass(q), p - n * 0.03, inside, 30.0)
    across = np.where(np.isfinite(across), across, 6.0)
    leaving = p + inside * across[:, None]
    out = refract(inside, -normals(glass, leaving), index)
    beyond = leaving + normals(glass, leaving) * 0.03
    light = environment(scene, out, np.full(len(out), 0.12, np.float32))
    others = [measure for measure, _ in scene.objects if measure is not glass]
    far = march(lambda q: np.minimum.reduce([measure(q) for measure in others]), beyond, out, 80.0)
    hit = np.isfinite(far)
    if hit.any():
        light[hit] = shade_hits(scene, beyond[hit] + out[hit] * far[hit, None], out[hit], 0)
    return light * np.exp(-scene.glass_absorption * across[:, None])


def refract(direction: Array, n: Array, ratio: float) -> Array:
    """Snell's law; where all light is reflected, the reflected direction."""
    cosine = -(direction * n).sum(1, keepdims=True)
    rest = 1 - ratio**2 * (1 - cosine**2)
    bent = ratio * direction + (ratio * cosine - np.sqrt(np.clip(rest, 0, None))) * n
    return normalised(np.where(rest > 0, bent, direction + 2 * cosine * n))


@dataclass
class Exposure:
    """Linear light [H,W,3], and of the first object the share of each pixel that it covers; depth in cm."""

    light: Array
    subject: Array
    depth: Array


@dataclass
class Camera:
    """lens: half the height of the view at distance 1; size: (width, height) in pixels."""

    size: tuple[int, int]
    eye: Array
    target: Array
    lens: float

    def rays(self, x: Array, y: Array) -> Array:
        """Directions through the points x, y, in pixels."""
        width, height = self.size
        forward = normalised((self.target - self.eye)[None])[0]
        right = normalised(np.cross(forward, [0.0, 1.0, 0.0])[None])[0]
        up = np.cross(right, forward)
        across = (x / width * 2 - 1) * self.lens * width / height
        return normalised(forward + across[:, None] * right + ((1 - y / height * 2) * self.lens)[:, None] * up)


def photograph(scene: Scene, camera: Camera, samples: int = 3) -> Exposure:
    """One ray through every pixel, and samples^2 where neighbours differ: at edges and in fine texture."""
    width, height = camera.size
    rows, columns = np.divmod(np.arange(width * height), width)
    x, y = columns.astype(np.float32) + 0.5, rows.astype(np.float32) + 0.5
    planes = np.concatenate(expose(scene, camera, x, y, np.zeros((1, 2), np.float32)))
    picture = planes.reshape(height, width, 5)
    rough = needs_more(picture).ravel()
    grid = (np.arange(samples, dtype=np.float32) + 0.5) / samples - 0.5
    offsets = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    planes[rough] = np.concatenate(expose(scene, camera, x[rough], y[rough], offsets))
    return Exposure(picture[..., :3], picture[..., 3], picture[..., 4])


def expose(scene: Scene, camera: Camera, x: Array, y: Array, offsets: Array, chunk: int = 100_000) -> list[Array]:
    """The mean over the offsets of light (3), subject and depth for each pixel, in chunks [n,5]."""
    subject, done = scene.objects[0][0], []
    for first in range(0, len(x), chunk):
        part = slice(first, first + chunk)
        total = np.zeros((len(x[part]), 5), np.float32)
        for dx, dy in offsets:
            ray = camera.rays(x[part] + dx, y[part] + dy)
            start = np.broadcast_to(camera.eye, ray.shape)
            far = march(scene.distance, start, ray, scene.reach)
            light = np.clip(np.nan_to_num(shade(scene, start, ray, far, 2)), 0, 6)
            depth = np.minimum(far, scene.reach)
            covered = subject(start + ray * depth[:, None]) < 0.01
            total += np.column_stack([light, covered, depth])
        done.append(total / len(offsets))
    return done


def needs_more(picture: Array) -> Array:
    """Pixels where tone or subject changes by more than an eye sees."""
    tone = np.dstack([np.sqrt(picture[..., :3]), picture[..., 3:4]])
    ones = np.ones((3, 3), np.uint8)
    spread = cv2.dilate(tone, ones) - cv2.erode(tone, ones)
    return np.asarray(spread.max(-1) > 0.035)


def out_of_focus(shot: Exposure, sharp_until: float, blurred_from: float, sigma: float) -> Array:
    """The light with everything but the subject blurred by its depth. sigma: px, at full blur."""
    ground = 1 - shot.subject
    amount = smoothstep(sharp_until, blurred_from, shot.depth)
    result = shot.light
    for share in (0.12, 0.35, 1.0):
        weight = cv2.GaussianBlur(ground, (0, 0), sigma * share)[..., None] + 1e-4
        blurred = cv2.GaussianBlur(shot.light * ground[..., None], (0, 0), sigma * share) / weight
        mix = smoothstep(share * 0.35 - 0.12, share * 0.95, amount) * ground
        result = result + (blurred - result) * mix[..., None]
    return result


def develop(light: Array, glow: float = 0.05) -> Array:
    """Lens glow, a filmic curve (Narkowicz 2015), sRGB, and a little grain."""
    wide = cv2.GaussianBlur(light, (0, 0), light.shape[0] / 60)
    x = np.clip(light * (1 - glow) + wide * glow, 0, None) * 0.8
    x = np.clip(x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14), 0, 1)
    x = np.where(x < 0.0031308, x * 12.92, 1.055 * x ** (1 / 2.4) - 0.055)
    grain = cv2.GaussianBlur(np.random.default_rng(7).normal(0, 1, x.shape[:2]).astype(np.float32), (0, 0), 0.7)
    return np.asarray(np.clip((x + grain[..., None] * 0.006) * 255 + 0.5, 0, 255), np.uint8)


def vec(x: float, y: float, z: float) -> Array:
    return np.array([x, y, z], np.float32)


def normalised(v: Array) -> Array:
    return np.asarray(v / np.linalg.norm(v, axis=-1, keepdims=True), np.float32)


def smoothstep(low: Array | float, high: Array | float, x: Array) -> Array:
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))
