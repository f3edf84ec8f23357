"""Where an output window can lie over a photo: the geometry that `framing` decides with. Lengths in photo pixels."""

from __future__ import annotations

import numpy as np

from engine.media.subject import AIR, Box, Sides, Span, Subject

_MORE_CROP = 0.07  # a window may be this much smaller than the largest one to give the product its room
_MORE_WINDOW = 1.4  # times as wide a window is looked for that holds a product which a roll turns out of it


def fit_inside(subject: Subject, margins: Sides) -> Box | None:
    """The largest window that leaves `margins` inside the photo and holds the product on its way, or None.

    A little more may be cropped to get there, not much: the picture the user chose should stay.
    """
    (pw, ph), aspect = subject.size, subject.aspect
    widest = subject.widest_with(margins)
    width = widest
    if subject.covered:
        left, top, right, bottom = subject.covered
        rooms = left, top * aspect, pw - right, (ph - bottom) * aspect
        for room, margin, travel, is_cut in zip(rooms, margins, subject.travel, subject.cut, strict=True):
            if is_cut:
                continue
            if room < 0:  # its own motion alone takes it past the photo
                return None
            if margin or travel:
                width = min(width, room / (margin + max(AIR, travel)))
    if width < (1 - _MORE_CROP) * widest or width < subject.needed(margins):
        return None
    window = place_inside(subject, width, margins)
    return window if subject.stays_in(window) else None


def place_inside(subject: Subject, width: float, margins: Sides) -> Box:
    """A window of `width` with `margins` inside the photo, the product's way in its middle as far as they allow."""
    (pw, ph), height, (span_x, span_y) = subject.size, width / subject.aspect, subject.spans(width)
    x = _place(width, span_x, margins.left * width, pw - margins.right * width)
    y = _place(height, span_y, margins.top * height, ph - margins.bottom * height)
    return x, y, x + width, y + height


def place_growing(subject: Subject, width: float, margins: Sides) -> Box:
    """A window that may reach beyond the photo; where the photo cuts the product it stays its margin inside.

    One that would turn the product out of it is larger or lies nearer to the product: what makes up least of the
    picture. Where nothing helps it stays as it is.
    """
    window = _place_growing(subject, width, margins, 0.0)
    if subject.stays_in(window):
        return window
    # A larger one would have to stay farther inside the sides where the photo cuts the product, and lose more of it.
    widths = [width] if any(subject.cut) else width * np.linspace(1.0, _MORE_WINDOW, 11)
    tried = [_place_growing(subject, one, margins, nearer) for one in widths for nearer in np.linspace(0.0, 1.0, 6)]
    return min(filter(subject.stays_in, tried), key=subject.beyond, default=window)


def _place_growing(subject: Subject, width: float, margins: Sides, nearer: float) -> Box:
    (pw, ph), cut, height, box = subject.size, subject.cut, width / subject.aspect, subject.box
    span_x, span_y = subject.spans(width)
    left, right = margins.left * width if cut.left else None, margins.right * width if cut.right else None
    top, bottom = margins.top * height if cut.top else None, margins.bottom * height if cut.bottom else None
    x = _grow(width, span_x, box and (box[0], box[2]), pw, left, right, nearer)
    y = _grow(height, span_y, box and (box[1], box[3]), ph, top, bottom, nearer)
    return x, y, x + width, y + height


def _place(length: float, product: Span | None, low: float, high: float) -> float:
    """Start of the window on one axis: the product in its middle, as far as the bounds allow."""
    middle = sum(product) / 2 if product else (low + high) / 2
    return min(max(middle - length / 2, low), max(high - length, low))


def _grow(
    length: float,
    way: Span | None,
    product: Span | None,
    size: float,
    cut_low: float | None,
    cut_high: float | None,
    nearer: float,
) -> float:
    """As `_place`, first within the photo, or around it where the window is longer, and `nearer` 0..1 to the product;
    then around its way, or around itself where the way is longer, and inside the cut sides.
    """
    low, high = (0.0, size) if length <= size else (size - length, length)
    start = _place(length, way, low, high)
    if way:
        start += nearer * (sum(way) / 2 - length / 2 - start)
    for span in (way, product):
        if span and span[1] - span[0] <= length:
            start = min(max(start, span[1] - length), span[0])
    if cut_low is not None and cut_high is not None and cut_low + length + cut_high > size:
        # Both margins are not to be had: each side gets its part of what there is.
        return (size - length) * (cut_low / (cut_low + cut_high) if cut_low + cut_high else 0.5)
    if cut_high is not None:
        start = min(start, size - cut_high - length)
    return start if cut_low is None else max(start, cut_low)
