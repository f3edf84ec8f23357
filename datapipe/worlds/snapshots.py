"""Snapshots: still pictures with a subject, for the automatic mask. Harder to read than the commercials of `scene`.

Subject and ground are of any texture, so that neither flatness nor colour tells them apart; other things stand behind
and beside; the subject may fill the picture, be cut by its edge or be partly covered; light falls unevenly, shadows and
reflections are not the subject; the camera adds blur, grain, a colour cast and JPEG.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from datapipe.worlds.catalogue import make_body
from datapipe.worlds.drawing import Grid, blur, draw_body
from datapipe.worlds.goods import GOODS
from datapipe.worlds.inventions import make_invention
from datapipe.worlds.render import render_layers
from datapipe.worlds.scene import sample_scene
from datapipe.worlds.shapes import Body, Kit, rotated
from datapipe.worlds.surfaces import noise, palette, surface

Rng = np.random.Generator
FINER = 2  # a subject is drawn this much larger and averaged
LEAST, MOST = 0.04, 0.8  # of the picture that a subject covers
TRIES = 6  # at such a subject; the last one is taken as it is


def draw_snapshot(seed: int, side: int) -> np.ndarray:
    """uint8 [side, side, 4], rgb and coverage of the subject: a photograph of random shape, squeezed to a square.

    ValueError: a side below 32.
    """
    rng = np.random.default_rng((seed, 0x5A4B))
    aspect, grid = sample_frame(rng, side)
    colours = palette(rng, 4)
    light = sample_light(rng)
    picture = ground(rng, side, aspect, colours)
    body, coverage = subject(rng, light, aspect, grid)
    rgb, alpha = painted(rng, *coverage, light, colours)
    picture = company(rng, picture, body.bounds(), grid, light)
    focus = float(rng.uniform(0.5, 6)) * side / 160 if rng.random() < 0.6 else 0.0
    picture = shadowed(rng, blur(picture, focus), alpha, side)
    if rng.random() < 0.1:
        picture = reflected(rng, picture, rgb, alpha)
    share = (alpha / 255)[..., None]
    picture = picture + (rgb - picture) * share
    picture, alpha = covered(rng, picture, alpha, grid, light)
    return np.concatenate([photographed(rng, picture), np.round(alpha).astype(np.uint8)[..., None]], -1)


def sample_frame(rng: Rng, side: int) -> tuple[float, Grid]:
    """Between 9:16 and 16:9, squeezed to a square of `side` pixels. ValueError: a side below 32."""
    if side < 32:
        raise ValueError("A snapshot is at least 32 pixels wide.")
    aspect = float(np.exp(rng.uniform(np.log(9 / 16), np.log(16 / 9))))
    grid = Grid(-(aspect**0.5), -(aspect**-0.5), side / (2 * aspect**0.5), side / (2 * aspect**-0.5), side, side)
    return aspect, grid


def sample_light(rng: Rng) -> tuple[float, float, float]:
    x, y, z = float(rng.uniform(-1, 1)), float(rng.uniform(-0.9, 0.3)), float(rng.uniform(0.3, 1.2))
    length = (x * x + y * y + z * z) ** 0.5
    return x / length, y / length, z / length


def ground(rng: Rng, side: int, aspect: float, colours: np.ndarray) -> np.ndarray:
    """What is behind: a surface, two of them in one another, or a place of the commercials, with its things."""
    if rng.random() < 0.3:
        scene = sample_scene(rng, aspect)
        layers = render_layers(scene, side, side, supersample=1)
        return layers.plate.astype(np.float32)
    picture = surface(rng, side, colours if rng.random() < 0.4 else None)
    if rng.random() < 0.3:
        where = np.clip(0.5 + 1.5 * noise(rng, side, 2.2), 0, 1)[..., None]
        picture = picture + (surface(rng, side) - picture) * where
    return np.ascontiguousarray(picture, np.float32)


def subject(
    rng: Rng, light: tuple[float, float, float], aspect: float, grid: Grid
) -> tuple[Body, tuple[np.ndarray, np.ndarray]]:
    """A body, placed, and its colours and coverage. It leaves some ground to tell it from."""
    for _ in range(TRIES):
        body = _placed(rng, light, aspect)
        rgb, alpha = _drawn(body, grid, FINER)
        if LEAST <= alpha.mean() / 255 <= MOST:
            break
    return body, (rgb, alpha)


def _placed(rng: Rng, light: tuple[float, float, float], aspect: float) -> Body:
    """Its box covers from a third of the picture's length to more than the picture."""
    kit = Kit(rng, light)
    body = make_invention(kit) if rng.random() < 0.45 else make_body(kit)
    if rng.random() < 0.3:
        body = _turned(body, float(rng.normal(0, 0.5)))
    ax, ay = aspect**0.5, aspect**-0.5
    x0, y0, x1, y1 = body.bounds()
    large = rng.random() < 0.35
    reach = float(rng.uniform(0.95, 1.7)) if large else float(rng.uniform(0.35, 0.95))
    fit = min if rng.random() < 0.75 or not large else max
    scale = reach * fit(2 * ax / (x1 - x0), 2 * ay / (y1 - y0))
    wide, tall = (x1 - x0) * scale / 2, (y1 - y0) * scale / 2
    spread = 0.35 if large else 0.22
    x, y = float(rng.normal(0, spread)) * ax, float(rng.normal(0.05, spread)) * ay
    if not large or rng.random() < 0.3:  # inside of the frame, where it fits
        x = float(np.clip(x, -max(ax * 0.97 - wide, 0), max(ax * 0.97 - wide, 0)))
        y = float(np.clip(y, -max(ay * 0.97 - tall, 0), max(ay * 0.97 - tall, 0)))
    if body.cut_below:
        y = max(y, ay * 1.02 - tall)
    return body.placed(scale, x - (x0 + x1) / 2 * scale, y - (y0 + y1) / 2 * scale)


def _turned(body: Body, angle: float) -> Body:
    """Turned about its origin; what bears letters stays upright, since letters are drawn into upright boxes."""
    if any(part.text is not None for part in body.parts):
        return body
    parts = tuple(
        replace(part, outline=rotated(part.outline, angle), holes=tuple(rotated(hole, angle) for hole in part.holes))
        for part in body.parts
    )
    return replace(body, parts=parts)


def _drawn(body: Body, grid: Grid, finer: int) -> tuple[np.ndarray, np.ndarray]:
    """Colours float32 [h, w, 3] and coverage float32 [h, w] 0..255 on the whole grid."""
    rgb, alpha = draw_body(body, grid.finer(finer))
    if finer > 1:
        size = (grid.width, grid.height)
        rgb, alpha = (
            cv2.resize(rgb, size, interpolation=cv2.INTER_AREA),
            cv2.resize(alpha, size, interpolation=cv2.INTER_AREA),
        )
    return rgb.astype(np.float32), alpha.astype(np.float32)


def painted(
    rng: Rng, rgb: np.ndarray, alpha: np.ndarray, light: tuple[float, float, float], colours: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The subject: with its own paints, with a surface over them, or with a surface alone, in uneven light."""
    side = alpha.shape[0]
    if rng.random() < 0.6:
        over = surface(rng, side, colours if rng.random() < 0.35 else None)
        share = float(rng.uniform(0.2, 1.0))
        if rng.random() < 0.4:  # here and there
            rgb = rgb + (over - rgb) * np.clip(0.5 + 1.5 * noise(rng, side, 2.0), 0, share)[..., None]
        else:
            rgb = rgb + (over - rgb) * np.float32(share)
    if rng.random() < 0.6:
        rgb = rgb * np.exp(float(rng.uniform(0.03, 0.25)) * noise(rng, side, float(rng.uniform(0.5, 1.8))))[..., None]
    if rng.random() < 0.7:
        rgb = rgb * _rounding(rng, alpha, light)[..., None]
    if rng.random() < 0.5:
        alpha = blur(alpha, float(rng.uniform(0.3, 1.0)) * side / 160)
    return rgb.astype(np.float32), alpha


def _rounding(rng: Rng, alpha: np.ndarray, light: tuple[float, float, float]) -> np.ndarray:
    """Shading [h, w] of the silhouette as a pillow, with blots of gloss and of self-shadow."""
    side = alpha.shape[0]
    height = blur(alpha / 255, side * float(rng.uniform(0.03, 0.12)))
    gy, gx = np.gradient(height * side * float(rng.uniform(0.05, 0.2)))
    shade = 1 - float(rng.uniform(0.3, 1.0)) * (light[0] * -gx + light[1] * -gy) * -1
    blots = noise(rng, side, float(rng.uniform(1.5, 2.4)))
    return np.clip(shade * np.exp(float(rng.uniform(0, 0.5)) * blots), 0.12, 2.5).astype(np.float32)


def company(
    rng: Rng,
    picture: np.ndarray,
    bounds: tuple[float, float, float, float],
    grid: Grid,
    light: tuple[float, float, float],
) -> np.ndarray:
    """Other things behind: smaller than the subject, which has these bounds, or cut off by the edge of the picture."""
    x0, y0, x1, y1 = bounds
    ax, ay = -grid.x0, -grid.y0
    seen = max(min(x1, ax) - max(x0, -ax), 0.1) * max(min(y1, ay) - max(y0, -ay), 0.1)
    for _ in range(int(rng.choice([0, 0, 1, 1, 2, 3, 5, 8]))):
        kit = Kit(rng, light)
        body = make_invention(kit) if rng.random() < 0.5 else make_body(kit, prop=True)
        bx0, by0, bx1, by1 = body.bounds()
        aside = rng.random() < 0.3
        size = float(rng.uniform(0.15, 0.6)) * (1.6 if aside else 1.0)
        scale = size * (seen / ((bx1 - bx0) * (by1 - by0))) ** 0.5
        x, y = float(rng.uniform(-1, 1)) * ax, float(rng.uniform(-0.8, 1)) * ay
        if aside:
            x = float(rng.choice([-1, 1])) * (ax + float(rng.uniform(-0.1, 0.25)) * scale * (bx1 - bx0))
        placed = body.placed(scale, x - (bx0 + bx1) / 2 * scale, y - (by0 + by1) / 2 * scale)
        rgb, alpha = _drawn(placed, grid, 1)
        if rng.random() < 0.3:
            rgb = rgb * np.exp(0.2 * noise(rng, grid.width, 1.2))[..., None]
        share = blur(alpha, float(rng.uniform(0.4, 2.5)) * grid.width / 160)[..., None] / 255
        picture = picture + (rgb - picture) * share
    return picture.astype(np.float32)


def shadowed(rng: Rng, picture: np.ndarray, alpha: np.ndarray, side: int) -> np.ndarray:
    """The subject's shadow on what is behind: beside it, hard or soft, or under it."""
    if rng.random() < 0.35:
        return picture
    fall = alpha
    dx, dy = rng.normal(0, 0.06, 2) * side
    if rng.random() < 0.5:  # on the ground: flat, from its foot
        rows = np.flatnonzero(alpha.max(1) > 127)
        foot = float(rows.max()) if rows.size else side / 2
        flat, lean = float(rng.uniform(0.1, 0.5)), float(rng.normal(0, 0.6))
        matrix = np.array([[1, lean, -lean * foot], [0, flat, foot * (1 - flat)]], np.float32)
    else:
        matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    fall = cv2.warpAffine(fall, matrix, (side, side))
    fall = blur(fall, float(np.exp(rng.uniform(np.log(0.3), np.log(9)))) * side / 160)
    return picture * (1 - float(rng.uniform(0.15, 0.8)) * fall / 255)[..., None]


def reflected(rng: Rng, picture: np.ndarray, rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The subject upside down below its foot, fading."""
    rows = np.flatnonzero(alpha.max(1) > 127)
    if not rows.size:
        return picture
    side, foot = alpha.shape[0], int(rows.max())
    source = np.clip(2 * foot - np.arange(side), 0, side - 1)
    depth = np.arange(side) - foot
    fade = np.where(depth > 0, np.exp(-depth / (side * float(rng.uniform(0.05, 0.3)))), 0) * rng.uniform(0.1, 0.5)
    share = (alpha[source] / 255 * fade[:, None])[..., None]
    return (picture + (rgb[source] - picture) * share).astype(np.float32)


def covered(
    rng: Rng, picture: np.ndarray, alpha: np.ndarray, grid: Grid, light: tuple[float, float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Sometimes something near the camera, out of focus, hides a corner; what it hides is no longer subject."""
    if rng.random() < 0.92:
        return picture, alpha
    body = GOODS[int(rng.integers(len(GOODS)))](Kit(rng, light))
    x0, y0, x1, y1 = body.bounds()
    scale = float(rng.uniform(0.5, 1.2)) / (y1 - y0)
    x, y = float(rng.choice([-1, 1])) * -grid.x0, float(rng.uniform(0.4, 1.0)) * -grid.y0
    rgb, near = _drawn(body.placed(scale, x - (x0 + x1) / 2 * scale, y - (y0 + y1) / 2 * scale), grid, 1)
    near = blur(near, float(rng.uniform(1, 4)) * grid.width / 160) / 255
    return picture + (rgb - picture) * near[..., None], alpha * (1 - near)


def photographed(rng: Rng, picture: np.ndarray) -> np.ndarray:
    """uint8: uneven light, colour cast, contrast, sometimes grey; blur or sharpening, grain, JPEG."""
    side = picture.shape[0]
    if rng.random() < 0.4:
        picture = picture * np.exp(float(rng.uniform(0.05, 0.3)) * noise(rng, side, 2.6))[..., None]
    if rng.random() < 0.2:
        picture = picture.mean(-1, keepdims=True).repeat(3, -1)
    elif rng.random() < 0.5:
        picture = picture * np.exp(rng.normal(0, 0.15, 3)).astype(np.float32)
    level = float(np.exp(rng.normal(0, 0.25))) * 110 / max(float(picture.mean()), 8) if rng.random() < 0.6 else 1.0
    picture = np.clip(picture * level / 255, 0, 1) ** float(np.exp(rng.normal(0, 0.2))) * 255
    pick = rng.random()
    if pick < 0.25:
        picture = blur(picture.astype(np.float32), float(rng.uniform(0.3, 1.2)) * side / 160)
    elif pick < 0.45:
        picture = picture + float(rng.uniform(0.3, 1.2)) * (picture - cv2.GaussianBlur(picture, (0, 0), 1.2))
    if rng.random() < 0.5:
        picture = picture + rng.standard_normal(picture.shape) * rng.uniform(1, 14)
    taken = np.clip(picture, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 95))]
        sent = cv2.imencode(".jpg", cv2.cvtColor(taken, cv2.COLOR_RGB2BGR), quality)[1]
        taken = np.asarray(cv2.cvtColor(np.asarray(cv2.imdecode(sent, cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGB))
    return taken
