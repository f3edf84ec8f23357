"""Where an output window can lie over a photo: the geometry that `framing` decides with. Lengths in photo pixels."""

from __future__ import annotations

from operator import mul

import numpy as np

from engine.media.subject import AIR, Box, Sides, Span, Subject

_MORE_CROP = 0.07  # a window may be this much smaller than the largest one to give the product its room
_LOWEST = 0.65  # of the window's height: the middle of a product that lies lower looks as if it fell out
_MORE_WINDOW = 1.4  # times as wide a window is looked for that holds a product which a roll turns out of it


def fit_inside(subject: Subject, margins: Sides, air: float = AIR) -> Box | None:
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
                width = min(width, room / (margin + max(air, travel)))
    if width < (1 - _MORE_CROP) * widest or width < subject.needed(margins, air):
        return None
    window = place_inside(subject, width, margins)
    return window if subject.stays_in(window) else None


def place_inside(subject: Subject, width: float, margins: Sides) -> Box:
    """A window of `width` with `margins` inside the photo, the product's way in its middle as far as they allow."""
    (pw, ph), height, (span_x, span_y) = subject.size, width / subject.aspect, subject.spans(width)
    x = _place(width, span_x, margins.left * width, pw - margins.right * width)
    y = _place(height, span_y, margins.top * height, ph - margins.bottom * height)
    x, y = _pushed_away(subject, x, y, width, subject.way.shows)
    return x, y, x + width, y + height


def _pushed_away(subject: Subject, x: float, y: float, width: float, shows: Sides) -> tuple[float, float]:
    """The window's corner, away from the sides that the camera goes to as far as the photo is free and the product
    stays in. Of one that the photo cuts there a little more is cut.
    """
    (pw, ph), (span_x, span_y), cut = subject.size, subject.spans(width), subject.cut
    x = _pushed(x, width, span_x, pw, (shows.left, shows.right), (cut.left, cut.right))
    return x, _pushed(y, width / subject.aspect, span_y, ph, (shows.top, shows.bottom), (cut.top, cut.bottom))


def _pushed(
    start: float, length: float, product: Span | None, size: float, shows: Span, cut: tuple[float, float]
) -> float:
    air = AIR * length
    if shows[0]:
        free = product[0] - air if product and not cut[0] else size
        start = max(start, min(shows[0] * length, free, size - length))
    if shows[1]:
        free = product[1] + air - length if product and not cut[1] else 0.0
        start = min(start, max(size - (1 + shows[1]) * length, free, 0.0))
    return start


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


def raised(subject: Subject, window: Box) -> Box:
    """A window higher than the photo, with what is made up above it rather than below, as far as the product keeps to
    its middle: walls run on better than tables, and one seam is better than two.
    """
    x0, y0, x1, y1 = window
    height, (_, span) = y1 - y0, subject.spans(x1 - x0)
    if height <= subject.size[1] or not span:
        return window
    lowest = max(span[1] + AIR * height - height, sum(span) / 2 - _LOWEST * height)
    start = min(y0, max(subject.size[1] - height, lowest))
    return x0, start, x1, start + height


def _place_growing(subject: Subject, width: float, margins: Sides, nearer: float) -> Box:
    (pw, ph), cut, height, box = subject.size, subject.cut, width / subject.aspect, subject.box
    span_x, span_y = subject.spans(width)
    left, right = margins.left * width if cut.left else None, margins.right * width if cut.right else None
    top, bottom = margins.top * height if cut.top else None, margins.bottom * height if cut.bottom else None
    x = _grow(width, span_x, box and (box[0], box[2]), pw, left, right, nearer)
    y = _grow(height, span_y, box and (box[1], box[3]), ph, top, bottom, nearer)
    # At a side that cuts the product, beyond which there is no more of it.
    x, y = _pushed_away(subject, x, y, width, Sides(*map(mul, map(float, cut), subject.way.shows)))
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
