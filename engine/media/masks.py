"""Masks that come with a photo: white or opaque where the product is."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from engine.media.photo import decode, is_cut_out

_SAME_SHAPE = 0.01  # by which the aspects of a mask and its photo may differ


def read_mask(path: str | os.PathLike[str], size: tuple[int, int]) -> np.ndarray:
    """A mask picture (see `open_mask`) as uint8 [H, W] of `size` (width, height).

    Raises ValueError for a mask of another shape than the photo, MediaError for one that cannot be read.
    """
    mask = open_mask(path)
    (width, height), (across, down) = size, (mask.shape[1], mask.shape[0])
    # A small mask's sides are rounded to whole pixels: half of one each makes no other shape.
    if abs(across * height - down * width) > max(_SAME_SHAPE * across * height, (width + height) / 2):
        raise ValueError(
            f"The mask is {across} x {down}, but the photo {width} x {height}: it has to be of the photo's own shape, "
            "as the photo is shown upright."
        )
    if (across, down) == size:
        return mask
    # Averaged where it is made smaller: single pixels out of a large mask would leave thin parts out.
    smaller = across > width or down > height
    return cv2.resize(mask, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def open_mask(path: str | os.PathLike[str]) -> np.ndarray:
    """A mask picture as uint8 [H, W], upright: its alpha where it is cut out, else its brightness.

    An editor that writes a white shape on opaque black as RGBA means the shape and not its opacity, also where a few
    pixels are soft. Unlike a photo a mask may be empty. MediaError codes as `open_photo`, but for empty.
    """
    image = decode(Path(path))
    alpha = np.asarray(image.getchannel("A")) if image.mode == "RGBA" else None
    return np.array(alpha if alpha is not None and is_cut_out(alpha) else image.convert("L"))
