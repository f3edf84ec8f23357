"""The pieces that a mask consists of, and which of them a framing may give up. Lengths in photo pixels."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

Box = tuple[float, float, float, float]

SOLID = 127
_CELLS = 512  # of the coarse grid along the long side, on which islands are told apart
_SPECK = 0.005  # of the product's area: smaller islands of an automatic mask are mistakes, and decide no framing
_MOST = 0.5  # of the product's area: what stays is this much
_RIVAL = 0.8  # of the largest island: one as large may be the product as well
_TRIED = 6  # islands that are given up one after the other; then all but the main one


class Islands:
    """Connected parts of a mask, uint8 [H, W]. On a coarse grid, since forms ask at every turn."""

    def __init__(self, mask: np.ndarray) -> None:
        self.mask = mask
        self._solid = (mask > SOLID).view(np.uint8)
        height, width = mask.shape
        scale = min(1.0, _CELLS / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        cells = cv2.resize(self._solid * np.uint8(255), size, interpolation=cv2.INTER_AREA) > 0  # thin parts too
        _, self._labels, stats, centres = cv2.connectedComponentsWithStats(cells.view(np.uint8))
        self._areas = stats[1:, cv2.CC_STAT_AREA]
        self._boxes: dict[bytes, Box | None] = {}
        self._off_middle = np.hypot(*((centres[1:] / size - 0.5).T)) if len(centres) > 1 else np.zeros(0)

    def counting(self, of_largest: float = 0.0) -> np.ndarray:
        """bool [N]: those that count; with `of_largest` only those of at least that share of the largest one."""
        least = max(_SPECK * self._areas.sum(), of_largest * self._areas.max(initial=0))
        return np.asarray(self._areas >= least)

    def box(self, kept: np.ndarray) -> Box | None:
        """Around those that are kept, bool [N]. Found once: each format asks for the same."""
        key = kept.tobytes()
        if key not in self._boxes:
            self._boxes[key] = self._box_of(kept)
        return self._boxes[key]

    def _box_of(self, kept: np.ndarray) -> Box | None:
        flags = np.concatenate([[0], kept]).astype(np.uint8)
        near = cv2.dilate(flags[self._labels], np.ones((3, 3), np.uint8))
        height, width = self._solid.shape
        near = cv2.resize(near, (width, height), interpolation=cv2.INTER_NEAREST)
        x, y, width, height = cv2.boundingRect(cv2.bitwise_and(self._solid, near))
        return (float(x), float(y), float(x + width), float(y + height)) if width else None

    def fewer(self, kept: np.ndarray) -> Iterator[tuple[np.ndarray, bool]]:
        """`kept` without its smallest island, without the two smallest, and so on, as long as most of the area stays;
        last the main one alone, of several of a size the nearest to the middle. With each, whether it is most of it.
        """
        kept = kept.copy()
        whole = self._areas[kept].sum()
        rivals = np.flatnonzero(kept & (self._areas >= _RIVAL * self._areas.max(initial=0)))
        if not len(rivals):
            return
        main = rivals[self._off_middle[rivals].argmin()]
        others = [index for index in np.argsort(self._areas, kind="stable") if kept[index] and index != main]
        kept[others[:-_TRIED]] = False
        for index in others[-_TRIED:]:
            kept[index] = False
            is_most = bool(self._areas[kept].sum() >= _MOST * whole)
            if is_most or index == others[-1]:
                yield kept.copy(), is_most
