"""The automatic product mask: a small network at a fixed size, then its outline drawn to the photo's own edges."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file

from engine.bundles import SHIPPED, Bundle, read_bundle
from engine.media.photo import open_photo
from engine.models.product_mask import SIDE, ProductMask

SMALLEST_ISLAND = 0.08  # of the largest part: what is smaller is not product
WORKING_SIDE = 1024  # longest side at which the outline is refined


class Masker:
    """The mask model of a bundle, loaded once."""

    def __init__(self, bundle: Bundle) -> None:
        config = json.loads(bundle.file("product_mask.json").read_text())
        self.model = ProductMask.from_config(config)
        self.model.load_state_dict(load_file(bundle.file("product_mask.safetensors")))
        self.model.float().eval().requires_grad_(False)

    @classmethod
    def load(cls, bundle: Path | None = None) -> Masker:
        """Read and verify a bundle (the shipped one by default)."""
        return cls(read_bundle(bundle or SHIPPED))

    def mask(self, photo: Path | np.ndarray) -> np.ndarray:
        """Soft mask uint8 [H, W] of a photo, 255 on the product; a photo's own alpha is taken as it is."""
        if isinstance(photo, Path):
            opened = open_photo(photo)
            if opened.alpha is not None:
                return opened.alpha
            photo = opened.rgb
        height, width = photo.shape[:2]
        factor = min(1.0, WORKING_SIDE / max(height, width))
        size = max(8, round(width * factor)), max(8, round(height * factor))
        working = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
        soft = refine(working, self.probability(working))
        full = cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.round(full * 255).astype(np.uint8)

    @torch.inference_mode()
    def probability(self, rgb: np.ndarray) -> np.ndarray:
        """Probability of 'product' [SIDE, SIDE], the mean over the photo and its mirror image."""
        small = cv2.resize(rgb, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        x = torch.from_numpy(small).permute(2, 0, 1).float()[None] / 127.5 - 1
        both = torch.sigmoid(self.model(torch.cat([x, x.flip(-1)])))
        return ((both[0, 0] + both[1, 0].flip(-1)) / 2).numpy()


def refine(rgb: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Soft mask [H, W] in 0..1 at the size of `rgb`, its outline drawn to the picture's edges, specks gone."""
    height, width = rgb.shape[:2]
    coarse = cv2.resize(probability, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    radius = max(2, round(max(height, width) / SIDE * 1.5))
    guided = guided_filter(rgb.astype(np.float32) / 255, coarse, radius, 1e-4)
    soft = np.clip((guided - 0.5) * 4 + 0.5, 0, 1)
    return soft * _kept(soft)


def guided_filter(guide_HW3: np.ndarray, values_HW: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """Values that follow the guide's edges: a local linear model of its colours (He et al., ECCV 2010)."""

    def mean(x: np.ndarray) -> np.ndarray:
        return cv2.blur(x, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT)

    centre, level = mean(guide_HW3), mean(values_HW)
    covariance_HW3 = mean(guide_HW3 * values_HW[..., None]) - centre * level[..., None]
    spread_HW33 = np.empty((*values_HW.shape, 3, 3), np.float32)
    for i in range(3):
        for j in range(i, 3):
            entry = mean(guide_HW3[..., i] * guide_HW3[..., j]) - centre[..., i] * centre[..., j]
            spread_HW33[..., i, j] = spread_HW33[..., j, i] = entry
    spread_HW33 += epsilon * np.eye(3, dtype=np.float32)
    slope_HW3 = np.linalg.solve(spread_HW33, covariance_HW3[..., None])[..., 0]
    offset_HW = level - (slope_HW3 * centre).sum(-1)
    return (mean(slope_HW3) * guide_HW3).sum(-1) + mean(offset_HW)


def _kept(soft: np.ndarray) -> np.ndarray:
    """[H, W] of 0 and 1: drops islands much smaller than the largest part, with their soft rim."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((soft > 0.5).astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0  # the background
    large = np.isin(labels, np.flatnonzero(areas >= SMALLEST_ISLAND * areas.max()))
    rim = max(3, round(max(soft.shape) / SIDE * 2)) | 1
    return cv2.dilate((large & (labels > 0)).astype(soft.dtype), np.ones((rim, rim), np.uint8))
