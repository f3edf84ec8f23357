"""The automatic mask beside GrabCut: on held-out scenes, and on hand-drawn masks of real photographs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import skimage.data

from datapipe.worlds.clip import ASPECTS
from datapipe.worlds.render import render_layers
from datapipe.worlds.scene import sample_scene
from trainer.evaluate.plan import FORMATS
from trainer.evaluate.scenes import FIRST_SEED

DRAWN = Path(__file__).parents[2] / "data" / "masks"
SIDE = 640  # longer side of a scene's photo
GRABCUT_SIDE = 320  # it is slow; its mask is enlarged again
INSET = 0.05  # of the photo: GrabCut's rectangle, which knows no more than we do
_FINE = 4
Rgb = np.ndarray
MaskOf = Callable[[Rgb], np.ndarray]


@dataclass(frozen=True)
class MaskScores:
    """IoU of one picture: ours, GrabCut from the frame's inset, GrabCut told the true box."""

    name: str
    ours: float
    grabcut: float
    grabcut_told: float


def score_scene(index: int, mask_of: MaskOf) -> MaskScores:
    """A held-out scene number `index`."""
    return score(f"scene {index}", *load_scene(index), mask_of)


def load_scene(index: int) -> tuple[Rgb, np.ndarray]:
    """The photo uint8 RGB of a held-out scene and its exact mask bool."""
    format = FORMATS[index % len(FORMATS)]
    aspect = ASPECTS[format]
    height, width = (SIDE, round(SIDE * aspect)) if aspect <= 1 else (round(SIDE / aspect), SIDE)
    scene = sample_scene(np.random.default_rng(FIRST_SEED + index), aspect)
    layers = render_layers(scene, height, width, supersample=1)
    return layers.composite, layers.product_alpha > 127


def score_drawn(path: Path, mask_of: MaskOf) -> MaskScores:
    """A hand-drawn mask."""
    photo, mask = load_drawn(path)
    return score(path.stem, photo, mask, mask_of)


def score(name: str, photo: Rgb, mask: np.ndarray, mask_of: MaskOf) -> MaskScores:
    y, x = np.nonzero(mask)
    box = int(x.min()), int(y.min()), int(np.ptp(x)) + 1, int(np.ptp(y)) + 1
    height, width = mask.shape
    inset = round(INSET * width), round(INSET * height)
    frame = (*inset, width - 2 * inset[0], height - 2 * inset[1])
    return MaskScores(
        name, iou(mask_of(photo) > 127, mask), iou(grabcut(photo, frame), mask), iou(grabcut(photo, box), mask)
    )


def load_drawn(path: Path) -> tuple[Rgb, np.ndarray]:
    """The photograph's crop uint8 RGB and its hand-drawn mask bool."""
    drawn = json.loads(path.read_text())
    photo = getattr(skimage.data, drawn["image"])()
    photo = photo[0] if isinstance(photo, tuple) else photo  # a stereo pair: its left picture
    photo = np.repeat(photo[..., None], 3, -1) if photo.ndim == 2 else photo[..., :3]
    x0, y0, x1, y1 = drawn["crop"]
    solid = rasterise(drawn["polygons"], photo.shape[:2]) & ~rasterise(drawn.get("holes", []), photo.shape[:2])
    return np.ascontiguousarray(photo[y0:y1, x0:x1]), solid[y0:y1, x0:x1]


def rasterise(polygons: list[list[list[float]]], shape: tuple[int, ...]) -> np.ndarray:
    """The union of polygons in continuous pixel coordinates, bool [H, W]."""
    fine = np.zeros((shape[0] * _FINE, shape[1] * _FINE), np.uint8)
    for polygon in polygons:
        cv2.fillPoly(fine, [np.round(np.array(polygon) * _FINE - 0.5).astype(np.int32)], 255)
    return cv2.resize(fine, (shape[1], shape[0]), interpolation=cv2.INTER_AREA) > 127


def grabcut(photo: Rgb, rectangle: tuple[int, ...]) -> np.ndarray:
    """cv2.grabCut with a rectangle (x, y, width, height), five iterations: bool [H, W]."""
    height, width = photo.shape[:2]
    factor = min(1.0, GRABCUT_SIDE / max(height, width))
    size = max(8, round(width * factor)), max(8, round(height * factor))
    small = cv2.cvtColor(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
    x, y, w, h = (round(value * factor) for value in rectangle)
    labels = np.zeros(small.shape[:2], np.uint8)
    x, y = max(x, 1), max(y, 1)  # without any sure background GrabCut has nothing to learn it from
    box = (x, y, max(2, min(w, size[0] - x - 1)), max(2, min(h, size[1] - y - 1)))
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(small, labels, box, *models, 5, cv2.GC_INIT_WITH_RECT)
    solid = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    return cv2.resize(solid, (width, height), interpolation=cv2.INTER_LINEAR) > 0


def iou(found: np.ndarray, mask: np.ndarray) -> float:
    either = np.count_nonzero(found | mask)
    return np.count_nonzero(found & mask) / either if either else 1.0
