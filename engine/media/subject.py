"""What is to be framed: a photo's size, its product, and where that goes. Lengths in photo pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import NamedTuple

import cv2
import numpy as np

from engine.media.background import Background
from engine.media.islands import SOLID, Box, Islands

Span = tuple[float, float]

AIR = 0.02  # of the window, kept free around the product
_CUT = 0.004  # of the photo's side: a product this near to the border is taken to be cut by it
_STRIP = 256  # rows that are looked at together
_MAIN = 0.25  # of the largest island: what is smaller may be left out of a format that it would not fit
_FLOOR = 0.08  # of the product's height: room for its shadow below it


class Sides(NamedTuple):
    """One value for each side; fractions of the window's width (left, right) and height (top, bottom), or flags."""

    left: float = 0.0
    top: float = 0.0
    right: float = 0.0
    bottom: float = 0.0

    def scaled(self, factor: float) -> Sides:
        return Sides(*(side * factor for side in self))


NOTHING = Sides()


@dataclass(frozen=True)
class Travel:
    """`air`: what the product needs on each side. `lean`: the sine of the angle by which it turns with the picture.
    `left`, `right`: how far its outline goes to these sides, in widths of its own. `shows`: how far beyond each side
    the picture's border looks at the end.
    """

    air: Sides = NOTHING
    lean: float = 0.0
    left: float = 0.0
    right: float = 0.0
    shows: Sides = NOTHING

    def scaled(self, factor: float) -> Travel:
        turns = self.lean * factor, self.left * factor, self.right * factor
        return Travel(self.air.scaled(factor), *turns, self.shows.scaled(factor))

    def and_also(self, other: Travel) -> Travel:
        air, shows = (
            Sides(*(one + more for one, more in zip(*both, strict=True)))
            for both in ((self.air, other.air), (self.shows, other.shows))
        )
        return Travel(air, self.lean + other.lean, self.left + other.left, self.right + other.right, shows)

    def swept(self, outline: np.ndarray, middle: np.ndarray) -> Box:
        """The box of all that a product covers on its way, but for what `air` says, where it turns about `middle`;
        `outline` [N, 2] of (x, y).
        """
        x, y = (outline - middle).T
        cosine = (1 - self.lean**2) ** 0.5
        both = (self.lean, -self.lean)
        turned = [np.stack([cosine * x - lean * y, cosine * y + lean * x], -1) + middle for lean in both]
        every = np.concatenate([outline, *turned])
        (x0, y0), (x1, y1), width = every.min(0), every.max(0), np.ptp(outline[:, 0])
        return float(x0 - self.left * width), float(y0), float(x1 + self.right * width), float(y1)


@dataclass(frozen=True, eq=False)
class Subject:
    """A photo's size (width, height), the window's aspect, the product's box, and the sides where the photo cuts it.

    `way`: how the product goes within the frame. At the sides where the photo cuts it anyway it needs nothing for that.
    """

    size: tuple[int, int]
    aspect: float
    box: Box | None
    cut: Sides
    left_out: bool = False  # small islands of the mask, which the format would not hold
    outline: np.ndarray | None = None  # around the product, [N, 2] of (x, y)
    way: Travel = Travel()
    floor: float = 0.0  # room for its shadow below it
    is_most: bool = True  # of the product's area, where islands are left out

    def cropped(self, share: float, margins: Sides) -> Subject:
        """The same product without `share` of its length where the photo cuts it, on the axis that is the longer."""
        if self.box is None or self.outline is None:
            return self
        across, down = self._lengths(margins, AIR)
        (x0, y0, x1, y1), cut = self.box, self.cut
        low, high = (cut.left, cut.right) if across >= down else (cut.top, cut.bottom)
        each = share / max(1, low + high)
        if across >= down:
            x0, x1 = x0 + low * each * (x1 - x0), x1 - high * each * (x1 - x0)
        else:
            y0, y1 = y0 + low * each * (y1 - y0), y1 - high * each * (y1 - y0)
        return replace(self, box=(x0, y0, x1, y1), outline=np.clip(self.outline, (x0, y0), (x1, y1)))

    @property
    def travel(self) -> Sides:
        """What the product needs on each side for going there, in fractions of the window."""
        return Sides(*(0.0 if is_cut else side for side, is_cut in zip(self.way.air, self.cut, strict=True)))

    @cached_property
    def covered(self) -> Box | None:
        """The box of what the product covers on its way, turned about its own middle; about the frame's: `stays_in`."""
        if self.box is None or self.outline is None:
            return self.box
        x0, y0, x1, y1 = self._swept(self.box, self.outline, (self.outline.min(0) + self.outline.max(0)) / 2)
        return x0, y0, x1, y1 + self.floor

    def stays_in(self, window: Box) -> bool:
        """Whether the product stays in a window that turns: about its own middle, so what is far off shifts as well."""
        if self.box is None or self.outline is None or not self.way.lean:
            return True
        (x0, y0, x1, y1), cut = window, self.cut
        left, top, right, bottom = self._swept(self.box, self.outline, np.array([(x0 + x1) / 2, (y0 + y1) / 2]))
        inside = left >= x0, top >= y0, right <= x1, bottom <= y1
        return all(is_in or is_cut for is_in, is_cut in zip(inside, cut, strict=True))

    def _swept(self, box: Box, outline: np.ndarray, middle: np.ndarray) -> Box:
        swept = self.way.swept(outline, middle)
        x0, y0, x1, y1 = (own if is_cut else far for own, far, is_cut in zip(box, swept, self.cut, strict=True))
        return x0, y0, x1, y1

    def spans(self, width: float) -> tuple[Span, Span] | tuple[None, None]:
        """The product's extent in x and in y, with its way through a window of `width`."""
        if self.covered is None:
            return None, None
        (x0, y0, x1, y1), t, height = self.covered, self.travel, width / self.aspect
        return (x0 - t.left * width, x1 + t.right * width), (y0 - t.top * height, y1 + t.bottom * height)

    @property
    def widest(self) -> float:
        """Width of the largest window inside the photo."""
        return min(self.size[0], self.size[1] * self.aspect)

    def widest_with(self, margins: Sides) -> float:
        """Width of the largest window that leaves `margins` inside the photo."""
        across, down = 1 + margins.left + margins.right, 1 + margins.top + margins.bottom
        return min(self.size[0] / across, self.size[1] * self.aspect / down)

    def needed(self, margins: Sides, air: float = AIR) -> float:
        """Width of the smallest window that holds the product, its way and its air; 0 without a product.

        A product that the photo cuts anyway may lose the margin there.
        """
        return max(self._lengths(margins, air))

    def _lengths(self, margins: Sides, air: float) -> tuple[float, float]:
        """The widths that windows need for the product's own width and for its height."""
        if self.covered is None:
            return 0.0, 0.0
        sides, (left, top, right, bottom) = zip(margins, self.travel, self.cut, strict=True), self.covered
        spared = [margin if is_cut else -max(air, travel) for margin, travel, is_cut in sides]
        return (
            (right - left) / (1 + spared[0] + spared[2]),
            (bottom - top) / (1 + spared[1] + spared[3]) * self.aspect,
        )

    def beyond(self, window: Box) -> float:
        """The share of a window that lies beyond the photo."""
        (pw, ph), (x0, y0, x1, y1) = self.size, window
        inside = max(0.0, min(x1, pw) - max(x0, 0.0)) * max(0.0, min(y1, ph) - max(y0, 0.0))
        return 1 - inside / ((x1 - x0) * (y1 - y0))

    def made_up(self, window: Box, margins: Sides) -> float:
        """The most of the picture that lies beyond the photo, at first or once the move has used its margins: those on
        all sides together, else those on one of them.
        """
        (x0, y0, x1, y1), width, height = window, window[2] - window[0], window[3] - window[1]
        left, top, right, bottom = margins[0] * width, margins[1] * height, margins[2] * width, margins[3] * height
        seen = [window]
        if min(margins) == max(margins):
            seen.append((x0 - left, y0 - top, x1 + right, y1 + bottom))
        else:
            seen += [(x0 + x, y0, x1 + x, y1) for x in (-left, right)] + [
                (x0, y0 + y, x1, y1 + y) for y in (-top, bottom)
            ]
        return max(map(self.beyond, seen))

    @property
    def fits(self) -> bool:
        """Whether a window in the photo holds it at rest."""
        return self.box is None or _needed(self.box, self.aspect) <= self.widest

    def limit(self, margins: Sides) -> float:
        """Width up to which a window need not reach past a product that the photo cuts on two opposite sides."""
        (width, height), cut = self.size, self.cut
        across = width / (1 + margins.left + margins.right) if cut.left and cut.right else np.inf
        down = height / (1 + margins.top + margins.bottom) if cut.top and cut.bottom else np.inf
        return float(min(across, down * self.aspect))


def find_subjects(
    product: Islands | Box | None, size: tuple[int, int], aspect: float, background: Background
) -> Iterator[Subject]:
    """`product`: the islands of a mask of the photo's size, or its box, or None. In front of a scene the first is
    followed by others with fewer islands, the smallest given up first.
    """
    may_be_cut, is_scene = background != "transparent", background == "scene"
    if not isinstance(product, Islands):
        cut = _cut_sides(None, product, size) if may_be_cut else Sides()
        yield _with_floor(Subject(size, aspect, product, cut, outline=_corners(product)), background)
        return
    islands, mask = product, product.mask
    kept = islands.counting()
    box = whole = islands.box(kept)
    if is_scene and whole and _needed(whole, aspect) > min(size[0], size[1] * aspect):
        # Where it is small islands that do not fit, most likely mistakes of an automatic mask, a crop of the photo
        # shows all that matters, with no backdrop made up around it.
        for fewer, _ in islands.fewer(kept):
            if not (fewer >= islands.counting(_MAIN)).all():
                break
            main = islands.box(fewer)
            if main and _needed(main, aspect) <= min(size[0], size[1] * aspect):
                box, kept = main, fewer
                break
    less = islands.fewer(kept) if is_scene else iter(())
    for count, (one, is_most) in enumerate(chain([(kept, True)], less)):
        smaller = islands.box(one) if count else box
        if count and (smaller is None or smaller == box):
            continue
        box = smaller
        cut = _cut_sides(mask, box, size) if may_be_cut else Sides()
        subject = Subject(size, aspect, box, cut, box != whole, box and _outline(mask, box), is_most=is_most)
        yield _with_floor(subject, background)


def _with_floor(subject: Subject, background: Background) -> Subject:
    """With room for the shadow, which on a plain ground lies below the product and belongs to it, where it is free."""
    if background != "plain" or subject.box is None or any(subject.cut):
        return subject
    (_, top, _, bottom), height = subject.box, subject.size[1]
    return replace(subject, floor=max(0.0, min(height - bottom, _FLOOR * (bottom - top))))


def _needed(box: Box, aspect: float) -> float:
    """Width of the smallest window that holds a box."""
    return max(box[2] - box[0], (box[3] - box[1]) * aspect)


def _outline(mask: np.ndarray, box: Box) -> np.ndarray:
    """The hull of what is solid inside a box: the first and the last solid pixel of each row decide it."""
    x0, y0, x1, y1 = (round(end) for end in box)
    ends = []
    for top in range(y0, y1, _STRIP):  # a whole copy of a 100-megapixel mask would be large
        solid = mask[top : min(top + _STRIP, y1), x0:x1] > SOLID
        rows = np.flatnonzero(solid.any(1))
        first, last = solid[rows].argmax(1), solid.shape[1] - solid[rows, ::-1].argmax(1)
        ends += [np.stack([x, top + y], -1) for x in (first, last) for y in (rows, rows + 1)]
    hull = cv2.convexHull(np.concatenate(ends).astype(np.float32))
    return np.asarray(hull[:, 0] + (x0, 0), float)


def _corners(box: Box | None) -> np.ndarray | None:
    return None if box is None else np.array([[x, y] for x in (box[0], box[2]) for y in (box[1], box[3])], float)


def _cut_sides(mask: np.ndarray | None, box: Box | None, size: tuple[int, int]) -> Sides:
    """Sides where the product runs into the photo's border along more than a touch."""
    if box is None:
        return Sides()
    (width, height), (left, top, right, bottom) = size, box
    near_x, near_y = max(1, round(_CUT * width)), max(1, round(_CUT * height))
    flags = Sides(left < near_x, top < near_y, right > width - near_x, bottom > height - near_y)
    if mask is None:
        return flags
    strips = mask[:, :near_x], mask[:near_y].T, mask[:, -near_x:], mask[-near_y:].T
    lengths = bottom - top, right - left, bottom - top, right - left
    contact = [(strip > SOLID).any(1).sum() > 0.1 * length for strip, length in zip(strips, lengths, strict=True)]
    return Sides(*(bool(flag and touches) for flag, touches in zip(flags, contact, strict=True)))
