"""What a picture is like behind its subject, in two words: how light, and of which hue."""

from __future__ import annotations

import colorsys

import numpy as np

LIGHTNESS = ((0.25, "deep"), (0.45, "dark"), (0.65, "mid"), (0.82, "light"), (1.0, "pale"))  # up to
HUES = ("red", "amber", "lime", "emerald", "teal", "blue", "violet", "magenta")  # around the circle, 45 degrees each
GREY, LEAST_CHROMA = "grey", 0.1  # below, no hue is seen
EDGE, UPPER = 0.1, 0.6  # of the picture: how wide its edge is, and how far down it is looked at


def backdrop_tone(photo_HW3: np.ndarray) -> str:
    """The tone of a uint8 photo along its upper edges, as "pale blue": the median there, since subjects stand lower."""
    height, width = photo_HW3.shape[:2]
    rim_y, rim_x, low = max(1, round(EDGE * height)), max(1, round(EDGE * width)), max(1, round(UPPER * height))
    parts = (photo_HW3[:rim_y], photo_HW3[:low, :rim_x], photo_HW3[:low, -rim_x:])
    red, green, blue = (float(x) / 255 for x in np.median(np.concatenate([p.reshape(-1, 3) for p in parts]), 0))
    hue, lightness, _ = colorsys.rgb_to_hls(red, green, blue)
    light = next(word for limit, word in LIGHTNESS if lightness <= limit)
    grey = max(red, green, blue) - min(red, green, blue) < LEAST_CHROMA
    return f"{light} {GREY if grey else HUES[round(hue * len(HUES)) % len(HUES)]}"
