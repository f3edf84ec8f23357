"""Photos made of known parts: a product with hair-thin edges, exact alpha, and what is really behind it."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import cv2
import numpy as np

from engine.media.fields import MotionFields
from engine.media.framing import Background, Framing, plan_framing
from engine.media.layers import Layers, build_layers
from engine.media.photo import Photo


@dataclass(frozen=True)
class Shot:
    """`photo` = product * alpha + background * (1 - alpha); uint8."""

    photo: Photo
    alpha: np.ndarray
    background: np.ndarray
    product: np.ndarray


def make_shot(width: int = 420, height: int = 640, *, plain: bool = False, hairs: int = 24, seed: int = 0) -> Shot:
    """A red, lettered product in the middle of a textured wall and table, or of a plain backdrop."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / min(width, height)
    background = _plain(y, rng) if plain else _wall_and_table(x, y, rng)
    cx, cy, unit = width // 2, round(height * 0.55), min(width, height)
    shape = np.zeros((height, width), np.uint8)
    cv2.ellipse(shape, (cx, cy), (round(unit * 0.17), round(unit * 0.22)), 0, 0, 360, 255, -1, cv2.LINE_AA)
    for angle in rng.uniform(-np.pi, 0, hairs):
        start = cx + unit * 0.16 * np.cos(angle), cy + unit * 0.21 * np.sin(angle)
        end = cx + unit * 0.22 * np.cos(angle), cy + unit * 0.28 * np.sin(angle)
        cv2.line(shape, *(tuple(map(round, point)) for point in (start, end)), 255, 1, cv2.LINE_AA)
    alpha = cv2.GaussianBlur(shape, (0, 0), 0.8)
    paint = np.stack([0.75 + 0.15 * np.sin(x * 20), 0.15 + 0 * y, 0.2 + 0.1 * np.cos(y * 25)], -1)
    product = (np.clip(paint, 0, 1) * 255).astype(np.uint8)
    for line in range(6):
        place = (cx - round(unit * 0.13), cy - round(unit * 0.12) + line * round(unit * 0.05))
        cv2.putText(
            product, "AQUARIUS 500 ml", place, cv2.FONT_HERSHEY_SIMPLEX, unit / 900, (255, 255, 255), 1, cv2.LINE_AA
        )
    a = alpha[..., None].astype(np.float32) / 255
    rgb = np.rint(product * a + background * (1 - a)).astype(np.uint8)
    return Shot(Photo(rgb), alpha, background, product)


def camera(move: str = "static", strength: float = 1.0) -> SimpleNamespace:
    return SimpleNamespace(move=move, strength=strength)


def frame_shot(
    shot: Shot, size: tuple[int, int] = (270, 480), move: str = "static", background: Background = "scene"
) -> tuple[Framing, Layers]:
    names = {9 / 16: "9:16", 1.0: "1:1", 0.8: "4:5", 16 / 9: "16:9"}
    framing = plan_framing(shot.photo.size, shot.alpha, names[size[0] / size[1]], camera(move), background=background)
    return framing, build_layers(shot.photo, shot.alpha, framing, size)


def make_fields(kind: str, *, amount: float = 0.1, keys: int = 9, grid: tuple[int, int] = (32, 18)) -> MotionFields:
    """Motion by formula, linear in time: still, pan, apart (only the product), dolly-in, dolly-out, roll, sweep."""
    h, w = grid
    y, x = np.meshgrid((np.arange(h) + 0.5) / h, (np.arange(w) + 0.5) / w, indexing="ij")
    scene, product = np.zeros((2, keys, h, w, 2), np.float32)
    light = np.zeros((keys, h, w), np.float32)
    for key in range(keys):
        now = amount * key / (keys - 1)
        around = np.stack([x - 0.5, y - 0.5], -1)
        if kind == "pan":
            scene[key, ..., 0], product[key, ..., 0] = -now, -1.2 * now
        elif kind == "apart":
            product[key, ..., 0] = -now
        elif kind in ("dolly-in", "dolly-out"):
            sign = -1 if kind == "dolly-in" else 2
            scene[key], product[key] = around * now * sign, around * now * sign * 1.3
        elif kind == "roll":
            scene[key] = product[key] = _rotate(around, now, h / w) - around
        elif kind == "sweep":
            light[key] = 4 * now * np.exp(-(((x - key / (keys - 1)) / 0.15) ** 2))
    scene[0], product[0] = 0, 0  # a rotation by nothing is off by rounding
    return MotionFields(scene, product, light, np.full((16, 9, 3), 0.45, np.float32))


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.mean((one.astype(np.float64) - other) ** 2), 1e-9)))


def detail(image: np.ndarray, where: np.ndarray) -> float:
    """Variance of the Laplacian of the luma inside `where`: sharpness."""
    return float(cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_64F)[where].var())


def warp(image: np.ndarray, flow: np.ndarray, interpolation: int = cv2.INTER_LANCZOS4) -> np.ndarray:
    """`image` warped by a backward flow [H, W, 2] in fractions of the window: the reference for what we render."""
    height, width = flow.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    places = x + flow[..., 0] * width, y + flow[..., 1] * height
    return cv2.remap(image, *places, interpolation, borderMode=cv2.BORDER_REFLECT_101)


def _rotate(around: np.ndarray, angle: float, aspect: float) -> np.ndarray:
    x, y = around[..., 0], around[..., 1] * aspect
    return np.stack([x * np.cos(angle) - y * np.sin(angle), (x * np.sin(angle) + y * np.cos(angle)) / aspect], -1)


def _plain(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    value = 0.82 - 0.08 * y + rng.standard_normal(y.shape).astype(np.float32) * 0.003
    return (np.clip(np.stack([value, value, value + 0.02], -1), 0, 1) * 255).astype(np.uint8)


def _wall_and_table(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = x.shape
    value = np.zeros_like(x)
    for size, strength in ((60, 0.6), (16, 0.4), (4, 0.3)):
        noise = rng.standard_normal((height // size + 2, width // size + 2)).astype(np.float32)
        value += strength * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    wall = np.stack([0.45 + 0.1 * value, 0.37 + 0.09 * value, 0.3 + 0.07 * value], -1)
    is_table = (np.arange(height) > 0.72 * height)[:, None, None]
    return (np.clip(np.where(is_table, wall[..., ::-1] * 1.2, wall), 0, 1) * 255).astype(np.uint8)
