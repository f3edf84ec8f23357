"""Printed words, with the font that Pillow carries."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont


def text(
    pen: ImageDraw.ImageDraw,
    words: str,
    x: int,
    y: int,
    size: int,
    ink: tuple[int, int, int],
    spacing: int = 0,
    bold: int = 0,
) -> None:
    font = ImageFont.load_default(size)
    widths = [pen.textlength(letter, font=font) + spacing for letter in words]
    left = x - (sum(widths) - spacing) / 2
    for letter, width in zip(words, widths, strict=True):
        pen.text((left, y), letter, font=font, fill=ink, anchor="lm", stroke_width=bold, stroke_fill=ink)
        left += width


def linear(picture: Image.Image) -> np.ndarray:
    """An sRGB picture as linear light, float32 [H,W,3]."""
    x = np.asarray(picture, np.float32) / 255
    return np.where(x < 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4).astype(np.float32)
