"""The product from close, as `models/roundness` sees it: a square around it, always of the same size."""

from __future__ import annotations

import cv2
import numpy as np

SIDE = 64
_AIR = 1.15  # the square's side, of the product's longer one
_BEYOND = (127, 127, 127, 0)  # what no picture shows


def closeup(rgb_HW3: np.ndarray, mask_HW: np.ndarray) -> np.ndarray:
    """[SIDE, SIDE, 4] uint8, rgb and mask, of a picture of any size; of all of it where there is no product."""
    rows, columns = (np.flatnonzero((mask_HW > 127).any(axis)) for axis in (1, 0))
    height, width = mask_HW.shape
    y0, y1, x0, x1 = (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) if len(rows) else (0, height, 0, width)
    side = max(2, round(_AIR * max(y1 - y0, x1 - x0)))
    top, left = int(y0 + y1 - side) // 2, int(x0 + x1 - side) // 2
    inside = np.s_[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)]
    part = np.concatenate([rgb_HW3[inside], mask_HW[inside][..., None]], -1)
    above, before = max(-top, 0), max(-left, 0)
    below, after = side - above - part.shape[0], side - before - part.shape[1]
    square = cv2.copyMakeBorder(part, above, below, before, after, cv2.BORDER_CONSTANT, value=_BEYOND)
    return cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA if side > SIDE else cv2.INTER_LINEAR)
