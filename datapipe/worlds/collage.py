"""Collages: snapshots of real photographs, for the automatic mask. Cut-outs of things lie on photographs of places.

What a drawing cannot teach is how real surfaces look: fur, glass, grass, faces. Whoever has cut-outs (PNG or WebP with
alpha) and photographs of places gives their folders; both are read at a size that is enough for the mask.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from datapipe.worlds.drawing import Grid, blur
from datapipe.worlds.snapshots import (
    LEAST,
    MOST,
    TRIES,
    Rng,
    company,
    covered,
    ground,
    painted,
    photographed,
    reflected,
    sample_frame,
    sample_light,
    shadowed,
    subject,
)
from datapipe.worlds.surfaces import noise, palette

THING_SIDE, PLACE_SIDE = 320, 900  # longest sides that are kept
SMALLEST = 48  # a cut-out's longer side in pixels: smaller ones are blurred
SUFFIXES = {".png", ".webp", ".jpg", ".jpeg"}
REAL_GROUND, REAL_SUBJECT = 0.75, 0.75  # of the collages; the rest is drawn, so that all four pairs occur
ON_A_BOARD = 0.35  # of the subjects: what they stand on is ground, wherever it ends
LYING = 0.4  # of the photographed grounds: a table or a floor before a wall, as products are photographed


@dataclass(frozen=True)
class Album:
    """Cut-outs uint8 [h, w, 4], cropped to what is seen, and places uint8 [h, w, 3]."""

    things: tuple[np.ndarray, ...]
    places: tuple[np.ndarray, ...]


@lru_cache(maxsize=1)
def open_album(cutouts: Path, grounds: Path) -> Album:
    """Read two folders and what is under them. ValueError: a folder is missing, has nothing of use, or has a file that
    is no picture.
    """
    things = tuple(thing for path in pictures(cutouts) if (thing := _thing(path)) is not None)
    places = tuple(_reduced(_opened(path, "RGB"), PLACE_SIDE) for path in pictures(grounds))
    if not things:
        raise ValueError(
            f"None of the pictures under {cutouts} is a cut-out: at least {SMALLEST} pixels long, with alpha."
        )
    return Album(things, places)


def pictures(folder: Path) -> list[Path]:
    """The picture files under a folder, in order of their names. ValueError where there are none."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder.")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise ValueError(f"There are no pictures ({', '.join(sorted(SUFFIXES))}) under {folder}.")
    return found


def digest_of(folder: Path) -> str:
    """SHA-256 of the names and bytes of the pictures under a folder."""
    total = hashlib.sha256()
    for path in pictures(folder):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0")
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def draw_collage(seed: int, side: int, album: Album) -> np.ndarray:
    """uint8 [side, side, 4], rgb and coverage of the subject, as `snapshots.draw_snapshot` makes them.

    ValueError: a side below 32.
    """
    rng = np.random.default_rng((seed, 0xC0_11A6E))
    aspect, grid = sample_frame(rng, side)
    colours, light = palette(rng, 4), sample_light(rng)
    real_ground = rng.random() < REAL_GROUND
    picture = _photographed_ground(rng, album, aspect, side) if real_ground else ground(rng, side, aspect, colours)
    if rng.random() < REAL_SUBJECT:
        rgb, alpha, bounds = _real_subject(rng, album, grid)
    else:
        body, coverage = subject(rng, light, aspect, grid)
        rgb, alpha = painted(rng, *coverage, light, colours)
        if rng.random() < 0.5:
            rgb = rgb + (_place(rng, album, aspect, side) - rgb) * np.float32(rng.uniform(0.3, 1.0))
        bounds = body.bounds()
    if rng.random() < 0.4:
        picture = _real_company(rng, picture, bounds, album, grid)
    elif rng.random() < 0.4:
        picture = company(rng, picture, bounds, grid, light)
    if rng.random() < 0.5:
        picture = blur(picture, float(rng.uniform(0.3, 4)) * side / 160)
    if rng.random() < ON_A_BOARD:
        picture = _on_a_board(rng, picture, bounds, album, grid)
    picture = shadowed(rng, picture, alpha, side)
    if rng.random() < 0.05:
        picture = reflected(rng, picture, rgb, alpha)
    picture = picture + (rgb - picture) * (alpha / 255)[..., None]
    picture, alpha = covered(rng, picture, alpha, grid, light)
    return np.concatenate([photographed(rng, picture), np.round(alpha).astype(np.uint8)[..., None]], -1)


def _photographed_ground(rng: Rng, album: Album, aspect: float, side: int) -> np.ndarray:
    """A photograph, or two: one as a wall, and one lying before it in perspective; float32 [side, side, 3]."""
    wall = _place(rng, album, aspect, side)
    if rng.random() >= LYING:
        return wall
    horizon = float(rng.uniform(0.05, 0.75)) * side
    if rng.random() < 0.7:
        wall = blur(wall, float(rng.uniform(0.5, 5)) * side / 160)
    lying = _lying(rng, _place(rng, album, 1.0, 2 * side), horizon) * np.exp(rng.normal(0, 0.2, 3)).astype(np.float32)
    tilt = np.linspace(-1, 1, side, dtype=np.float32) * float(rng.normal(0, 0.01)) * side
    below = np.arange(side, dtype=np.float32)[:, None] + 0.5 - horizon - tilt[None]
    front = np.clip(below / float(rng.choice([1, 1, 3])) + 0.5, 0, 1)[..., None]
    return np.clip(wall + (lying - wall) * front, 0, 255)


def _lying(rng: Rng, part: np.ndarray, horizon: float) -> np.ndarray:
    """A square picture of twice the side as a plane that ends at the row `horizon`; mirrored where it is too narrow."""
    side = part.shape[0] // 2
    middle, far = side / 2 + float(rng.normal(0, 0.3)) * side, float(rng.uniform(0.2, 0.9)) * side
    near = far * float(rng.uniform(1.2, 4))
    end = side * float(rng.uniform(1.0, 1.3))
    corners = [(middle - far, horizon), (middle + far, horizon), (middle + near, end), (middle - near, end)]
    square = np.array([(0, 0), (2 * side, 0), (2 * side, 2 * side), (0, 2 * side)], np.float32)
    onto = cv2.getPerspectiveTransform(square, 2 * np.array(corners, np.float32))
    # Rows above the horizon are behind the camera, or the plane mirrored: the wall covers them.
    large = cv2.warpPerspective(part, onto, (2 * side, 2 * side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return cv2.resize(large, (side, side), interpolation=cv2.INTER_AREA)


def _place(rng: Rng, album: Album, aspect: float, side: int) -> np.ndarray:
    """A part of a photograph, float32 [side, side, 3], of the wanted shape, squeezed to the square."""
    photo = album.places[int(rng.integers(len(album.places)))]
    height, width = photo.shape[:2]
    largest = min(width, height * aspect)  # as wide as fits
    wide = max(16.0, largest * float(rng.uniform(0.25, 1.0)))
    tall = min(height, wide / aspect)
    x, y = rng.uniform(0, max(width - wide, 0)), rng.uniform(0, max(height - tall, 0))
    part = photo[int(y) : int(y) + max(8, round(tall)), int(x) : int(x) + max(8, round(wide))]
    part = cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA)
    return (part[:, ::-1] if rng.random() < 0.5 else part).astype(np.float32)


def _real_subject(
    rng: Rng, album: Album, grid: Grid
) -> tuple[np.ndarray, np.ndarray, tuple[float, float, float, float]]:
    """A cut-out, placed as drawn subjects are: its colours, its coverage 0..255, its bounds in the grid's units."""
    for _ in range(TRIES):
        thing = album.things[int(rng.integers(len(album.things)))]
        large = rng.random() < 0.35
        reach = float(rng.uniform(0.95, 1.8)) if large else float(rng.uniform(0.35, 0.95))
        spread = 0.35 if large else 0.2
        ax, ay = -grid.x0, -grid.y0
        tall, wide = thing.shape[:2]
        scale = reach * min(2 * ax / wide, 2 * ay / tall)
        x, y = float(rng.normal(0, spread)) * ax, float(rng.normal(0.05, spread)) * ay
        if not large:
            x = float(np.clip(x, -max(ax - wide * scale / 2, 0), max(ax - wide * scale / 2, 0)))
            y = float(np.clip(y, -max(ay - tall * scale / 2, 0), max(ay - tall * scale / 2, 0)))
        angle = float(rng.normal(0, 0.12)) if rng.random() < 0.8 else float(rng.normal(0, 0.6))
        rgb, alpha = _pasted(thing, grid, x, y, scale, angle, rng.random() < 0.5)
        if LEAST <= alpha.mean() / 255 <= MOST:
            break
    if rng.random() < 0.4:  # as another light would show it
        rgb = (
            rgb
            * np.exp(float(rng.uniform(0.03, 0.2)) * noise(rng, grid.width, float(rng.uniform(1.2, 2.4))))[..., None]
        )
    if rng.random() < 0.3:
        rgb = rgb * np.exp(rng.normal(0, 0.2, 3)).astype(np.float32)
    bounds = x - wide * scale / 2, y - tall * scale / 2, x + wide * scale / 2, y + tall * scale / 2
    return rgb.astype(np.float32), alpha, bounds


def _real_company(
    rng: Rng, picture: np.ndarray, bounds: tuple[float, float, float, float], album: Album, grid: Grid
) -> np.ndarray:
    """Other cut-outs behind the subject: smaller, or cut off by the edge of the picture."""
    ax, ay = -grid.x0, -grid.y0
    seen = max(min(bounds[2], ax) - max(bounds[0], -ax), 0.1) * max(min(bounds[3], ay) - max(bounds[1], -ay), 0.1)
    for _ in range(int(rng.integers(1, 5))):
        thing = album.things[int(rng.integers(len(album.things)))]
        tall, wide = thing.shape[:2]
        aside = rng.random() < 0.3
        scale = float(rng.uniform(0.15, 0.5)) * (1.6 if aside else 1.0) * (seen / (wide * tall)) ** 0.5
        x, y = float(rng.uniform(-1, 1)) * ax, float(rng.uniform(-0.8, 1)) * ay
        if aside:
            x = float(rng.choice([-1, 1])) * (ax + float(rng.uniform(-0.1, 0.25)) * scale * wide)
        rgb, alpha = _pasted(thing, grid, x, y, scale, float(rng.normal(0, 0.2)), rng.random() < 0.5)
        colours = np.concatenate([rgb, np.full_like(alpha, 255)[..., None]], -1) * (alpha / 255)[..., None]
        # Premultiplied: colours that are not seen leave no dark rim, by which a network would know what is company.
        soft = blur(colours.astype(np.float32), float(rng.uniform(0.2, 2.0)) * grid.width / 160)
        picture = picture * (1 - soft[..., 3:] / 255) + soft[..., :3]
    return picture.astype(np.float32)


def _on_a_board(
    rng: Rng, picture: np.ndarray, bounds: tuple[float, float, float, float], album: Album, grid: Grid
) -> np.ndarray:
    """A board of a photograph's surface lies in perspective under the subject's foot, wider than the subject."""
    side = grid.width
    left, right = ((x - grid.x0) * grid.sx for x in (bounds[0], bounds[2]))
    foot, wide = (min(bounds[3], -grid.y0) - grid.y0) * grid.sy, right - left
    turn, reach, depth = (
        rng.uniform(-0.8, 0.8),
        float(rng.uniform(0.6, 1.3)) * wide,
        float(rng.uniform(0.1, 0.4)) * wide,
    )
    middle, narrowing = (left + right) / 2 + float(rng.normal(0, 0.12)) * wide, float(rng.uniform(0.05, 0.35))
    square = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) @ np.array(
        [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    )
    nearness = 1 / (1 - narrowing * square[:, 1])
    corners = np.stack([middle + reach * square[:, 0] * nearness, foot + depth * square[:, 1] * nearness], 1)
    whole = np.array([(0, 0), (side, 0), (side, side), (0, side)], np.float32)
    surface = np.concatenate([_place(rng, album, 1.0, side), np.full((side, side, 1), 255, np.float32)], -1)
    surface[..., :3] *= np.exp(rng.normal(0, 0.2, 3)).astype(np.float32)
    thick = np.array([0, float(rng.uniform(0, 0.08)) * wide], np.float32)
    edge = np.concatenate([surface[..., :3] * np.float32(rng.uniform(0.3, 0.8)), surface[..., 3:]], -1)
    soft = float(rng.uniform(0.3, 1.2)) * side / 160
    shadow = _laid(surface, whole, corners + thick * 2)[..., 3:] / 255
    picture = picture * (1 - float(rng.uniform(0.1, 0.6)) * blur(shadow[..., 0], 4 * soft)[..., None])
    for layer, shift in ((edge, thick), (edge, thick / 2), (surface, 0 * thick)):
        lying = blur(_laid(layer, whole, corners + shift), soft)
        picture = picture * (1 - lying[..., 3:] / 255) + lying[..., :3]
    return np.clip(picture, 0, 255).astype(np.float32)


def _laid(layer: np.ndarray, square: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """A square picture with coverage, premultiplied, with its corners where they are told."""
    onto = cv2.getPerspectiveTransform(square, corners.astype(np.float32))
    return cv2.warpPerspective(layer, onto, layer.shape[1::-1], flags=cv2.INTER_AREA)


def _pasted(
    thing: np.ndarray, grid: Grid, x: float, y: float, scale: float, angle: float, flip: bool
) -> tuple[np.ndarray, np.ndarray]:
    """A cut-out with its middle at (x, y) and `scale` units a pixel: colours float32 and coverage 0..255."""
    tall, wide = thing.shape[:2]
    finer = grid.finer(2)
    factor = min(1.0, 1.5 * scale * max(finer.sx, finer.sy))  # no more of its pixels than the raster has
    small = (
        thing
        if factor == 1
        else cv2.resize(
            thing, (max(2, round(wide * factor)), max(2, round(tall * factor))), interpolation=cv2.INTER_AREA
        )
    )
    ahead = small.astype(np.float32)
    ahead[..., :3] *= ahead[..., 3:] / 255  # premultiplied: what is unseen must not bleed into the edge
    sx, sy = scale * wide / small.shape[1], scale * tall / small.shape[0]
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]]) @ np.diag([-sx if flip else sx, sy])
    to_pixels = np.diag([finer.sx, finer.sy]) @ turn
    middle = np.array([small.shape[1] / 2, small.shape[0] / 2])
    corner = np.array([(x - finer.x0) * finer.sx, (y - finer.y0) * finer.sy]) - to_pixels @ middle
    matrix = np.concatenate([to_pixels, corner[:, None]], 1)
    matrix[:, 2] += to_pixels @ [0.5, 0.5] - 0.5  # pixels are counted at their middles
    large = cv2.warpAffine(ahead, matrix, (finer.width, finer.height), flags=cv2.INTER_LINEAR)
    out = cv2.resize(large, (grid.width, grid.height), interpolation=cv2.INTER_AREA)
    alpha = out[..., 3]
    return out[..., :3] / np.maximum(alpha[..., None] / 255, 1e-3), alpha


def _thing(path: Path) -> np.ndarray | None:
    """uint8 [h, w, 4] of what is seen of a cut-out; None where nothing is cut out, or what is left is too small."""
    rgba = _opened(path, "RGBA")
    seen = rgba[..., 3] > 127
    if seen.mean() > 0.98 or not seen.any():
        return None
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    part = rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return None if max(part.shape[:2]) < SMALLEST or min(part.shape[:2]) < 4 else _reduced(part, THING_SIDE)


def _opened(path: Path, mode: str) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert(mode))
    except (OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read as a picture: take it out of the folder. {error}") from error


def _reduced(picture: np.ndarray, side: int) -> np.ndarray:
    factor = min(1.0, side / max(picture.shape[:2]))
    size = max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor))
    return picture if factor == 1 else cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
