"""The automatic product mask: a small network looks at the photo, then closer; the outline follows its edges."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from engine.bundles import SHIPPED, Bundle, read_bundle
from engine.media.photo import open_photo
from engine.models.product_mask import SIDE, ProductMask
from engine.outline import by_colours, large_parts, refine
from engine.weights import load_model

SIDES = (SIDE, 208)  # that the network sees a photo at; what is unsure at one size is often sure at the other
WORKING_SIDE = 768  # longest side at which the outline is refined
CLOSER_MARGIN = 0.25  # around what was found, of its longer side
CLOSER_SHARE = 0.8  # of the photo: a larger product is seen closely already
CLOSER_WEIGHT = 0.6  # of the second look, where there is one


class Masker:
    """The mask model of a bundle, loaded once."""

    def __init__(self, bundle: Bundle) -> None:
        self.model = load_model(bundle, ProductMask, "product_mask")

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
        soft = refine(working, by_colours(working, self.look_closer(working)))
        return cv2.resize(np.round(soft * 255).astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)

    def look_closer(self, rgb: np.ndarray) -> np.ndarray:
        """Probability of 'product' float32 [H, W]: of the whole photo, and again of the part where it was found."""
        height, width = rgb.shape[:2]
        whole = cv2.resize(self.probability(rgb), (width, height), interpolation=cv2.INTER_LINEAR)
        rows, columns = np.nonzero(large_parts(whole))
        if not rows.size:
            return whole
        margin = round(CLOSER_MARGIN * max(np.ptp(rows), np.ptp(columns)))
        part = np.s_[
            max(0, rows.min() - margin) : rows.max() + 1 + margin,
            max(0, columns.min() - margin) : columns.max() + 1 + margin,
        ]
        inside = whole[part]
        if inside.size > CLOSER_SHARE * whole.size:
            return whole
        closer = cv2.resize(self.probability(rgb[part]), inside.shape[::-1], interpolation=cv2.INTER_LINEAR)
        both = whole / 2  # outside of the part is nothing that was found: halved, it stays so
        both[part] = CLOSER_WEIGHT * closer + (1 - CLOSER_WEIGHT) * inside
        return both

    @torch.inference_mode()
    def probability(self, rgb: np.ndarray) -> np.ndarray:
        """Probability of 'product' [SIDE, SIDE], the mean over two sizes of the photo and of its mirror image."""
        seen = np.zeros((SIDE, SIDE), np.float32)
        for side in SIDES:
            small = cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA)
            x = torch.from_numpy(small).permute(2, 0, 1).float()[None] / 127.5 - 1
            both = torch.sigmoid(self.model(torch.cat([x, x.flip(-1)])))
            mean = ((both[0, 0] + both[1, 0].flip(-1)) / 2).numpy()
            seen += cv2.resize(mean, (SIDE, SIDE), interpolation=cv2.INTER_AREA) / len(SIDES)
        return seen
