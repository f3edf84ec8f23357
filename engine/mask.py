"""The automatic product mask: a small network looks at the photo, then closer; the outline follows its edges."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from engine.bundles import SHIPPED, Bundle, read_bundle
from engine.device import mixed
from engine.media.photo import open_photo
from engine.models.product_mask import SIDE, ProductMask
from engine.outline import large_parts, refine
from engine.weights import load_model

WORKING_SIDE = 768  # longest side at which the outline is refined
CLOSER_MARGIN = 0.25  # around what was found, of its longer side
CLOSER_SHARE = 0.8  # of the photo: a larger product is seen closely already
CLOSER_WEIGHT = 0.6  # of the second look, where there is one


class Masker:
    """The mask model of a bundle, loaded once."""

    def __init__(self, bundle: Bundle) -> None:
        model = load_model(bundle, ProductMask, "product_mask")
        self.model = model.to(memory_format=torch.channels_last)

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
        whole = _working(photo)
        found = _enlarged(self.probability(whole), whole.shape)
        part = _where(found)
        if part is None:
            return _enlarged(_drawn(whole, found), photo.shape)
        # What was found is looked at once more, and its outline drawn, as finely as its own part of the photo allows.
        inside = tuple(
            slice(*(round(edge * scale) for edge in (cut.start, cut.stop)))
            for cut, scale in zip(part, (photo.shape[0] / whole.shape[0], photo.shape[1] / whole.shape[1]), strict=True)
        )
        closer = _working(photo[inside])
        seen = CLOSER_WEIGHT * _enlarged(self.probability(closer), closer.shape)
        seen += (1 - CLOSER_WEIGHT) * cv2.resize(found[part], closer.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        mask = np.zeros(photo.shape[:2], np.uint8)
        mask[inside] = _enlarged(_drawn(closer, seen), mask[inside].shape)
        return mask

    @torch.inference_mode()
    def probability(self, rgb: np.ndarray) -> np.ndarray:
        """Probability of 'product' [SIDE, SIDE], the mean over the photo and its mirror image."""
        small = cv2.resize(rgb, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        x = torch.from_numpy(small).permute(2, 0, 1).float()[None] / 127.5 - 1
        with mixed(x.device):
            both = torch.sigmoid(self.model(torch.cat([x, x.flip(-1)])).float())
        mean: np.ndarray = ((both[0, 0] + both[1, 0].flip(-1)) / 2).numpy()
        return mean


def _working(photo: np.ndarray) -> np.ndarray:
    """The photo at the size at which outlines are drawn."""
    height, width = photo.shape[:2]
    factor = min(1.0, WORKING_SIDE / max(height, width))
    size = max(8, round(width * factor)), max(8, round(height * factor))
    return cv2.resize(photo, size, interpolation=cv2.INTER_AREA)


def _where(found: np.ndarray) -> tuple[slice, slice] | None:
    """Rows and columns of what was found, with a margin; None where that is nothing, or nearly the whole photo."""
    rows, columns = np.nonzero(large_parts(found))
    if not rows.size:
        return None
    margin = round(CLOSER_MARGIN * max(np.ptp(rows), np.ptp(columns)))
    part = tuple(
        slice(max(0, int(places.min()) - margin), min(length, int(places.max()) + 1 + margin))
        for places, length in zip((rows, columns), found.shape, strict=True)
    )
    return None if found[part].size > CLOSER_SHARE * found.size else (part[0], part[1])


def _drawn(rgb: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Soft mask uint8 [H, W] with its outline along the picture's edges."""
    return np.round(refine(rgb, probability) * 255).astype(np.uint8)


def _enlarged(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return cv2.resize(image, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
