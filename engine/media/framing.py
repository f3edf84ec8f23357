"""Where the output window lies in the photo, and how much picture there must be around it for the camera to move.

The order is fixed: real pixels around the window first; a plain or transparent background is continued instead; only
then is the move made smaller, never below half; mirrored edges are the last resort, and said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Protocol

import cv2
import numpy as np

from engine.events import Notice
from engine.media.photo import Photo

Background = Literal["scene", "plain", "transparent"]
Box = tuple[float, float, float, float]

ASPECTS = {"9:16": 9 / 16, "1:1": 1.0, "4:5": 4 / 5, "16:9": 16 / 9}
MAX_MARGIN = 0.12
AIR = 0.02  # of the window, kept free around the product
MIN_SCALE = 0.5
# Canvas beyond what the move needs, in fractions of the window: the floor before the product travels further than the
# product itself. Real pixels where the photo has them, mirrored ones where not.
SPARE = 0.07
MAX_MIRRORED = 0.15  # of the window on one side; where a photo lacks more, the product is cropped instead
_MORE_CROP = 0.07  # a window may be this much smaller than the largest one to give the product its room
_CUT = 0.004  # of the photo's side: a product this near to the border is taken to be cut by it
_SOLID = 127


class Sides(NamedTuple):
    """One value for each side; fractions of the window's width (left, right) and height (top, bottom), or flags."""

    left: float = 0.0
    top: float = 0.0
    right: float = 0.0
    bottom: float = 0.0

    def scaled(self, factor: float) -> Sides:
        return Sides(*(side * factor for side in self))


NOTHING = Sides()
# Room each move needs at strength 1. `pan-left` turns the camera left and shows what lies left of the window.
MOVE_MARGINS: dict[str, Sides] = {
    "auto": Sides(0.08, 0.08, 0.08, 0.08),
    "static": Sides(),
    "pan-left": Sides(left=MAX_MARGIN),
    "pan-right": Sides(right=MAX_MARGIN),
    "tilt-up": Sides(top=MAX_MARGIN),
    "tilt-down": Sides(bottom=MAX_MARGIN),
    "dolly-in": Sides(),
    "dolly-out": Sides(MAX_MARGIN, MAX_MARGIN, MAX_MARGIN, MAX_MARGIN),
    "orbit-left": Sides(MAX_MARGIN, 0.03, MAX_MARGIN, 0.03),
    "orbit-right": Sides(MAX_MARGIN, 0.03, MAX_MARGIN, 0.03),
    "roll-left": Sides(MAX_MARGIN, MAX_MARGIN, MAX_MARGIN, MAX_MARGIN),
    "roll-right": Sides(MAX_MARGIN, MAX_MARGIN, MAX_MARGIN, MAX_MARGIN),
}


class CameraLike(Protocol):
    @property
    def move(self) -> str: ...
    @property
    def strength(self) -> float: ...


@dataclass(frozen=True)
class Framing:
    """The plan, in photo pixels (x0, y0, x1, y1); both boxes may reach outside the photo, where it is continued.

    `window` is what frame 0 shows, `canvas` what any frame may show. `extend` is what the canvas lacks on each side,
    in photo pixels; `lacking` is the part of it that window and move need, the rest being spare. `cut` flags the
    sides where the photo itself cuts the product. `strength_scale` 0.5..1 multiplies
    the asked camera strength. `continued`: colour is continued beyond the photo, else mirrored.
    """

    window: Box
    canvas: Box
    extend: Sides
    cut: Sides
    strength_scale: float
    continued: bool
    notices: tuple[Notice, ...] = ()
    lacking: Sides = NOTHING

    @property
    def extended(self) -> bool:
        return any(side > 0.5 for side in self.lacking)

    @property
    def room(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Canvas beyond the window: ((left, top), (right, bottom)) in fractions of the window."""
        w, c = self.window, self.canvas
        width, height = w[2] - w[0], w[3] - w[1]
        return ((w[0] - c[0]) / width, (w[1] - c[1]) / height), ((c[2] - w[2]) / width, (c[3] - w[3]) / height)


def plan_framing(
    size: tuple[int, int],
    mask: np.ndarray | Box | None,
    format: str,
    camera: CameraLike,
    *,
    background: Background = "scene",
) -> Framing:
    """Frame a photo of `size` (width, height) for an output `format` and a camera move.

    `mask` is uint8 [H, W] of the photo's size, or the product's box in photo pixels, or None for no product.
    """
    box = _product_box(mask, size)
    cut = Sides() if background == "transparent" else _cut_sides(mask, box, size)
    photo = _Photo(size, ASPECTS[format], box, cut)
    margins = MOVE_MARGINS[camera.move].scaled(camera.strength)
    if background != "scene":
        return _frame_continued(photo, margins)
    for scale in np.linspace(1.0, MIN_SCALE, 26):
        window = _fit_inside(photo, margins.scaled(float(scale)))
        if window:
            return _within_photo(photo, window, margins, round(float(scale), 2))
    return _frame_mirrored(photo, margins.scaled(MIN_SCALE))


def background_kind(photo: Photo, mask: np.ndarray | None) -> Background:
    """Whether the background can be continued: transparent, plain (one colour or a smooth gradient) or a scene."""
    if photo.alpha is not None:
        return "transparent"
    scale = 192 / max(photo.size)
    size = tuple(max(8, round(side * scale)) for side in photo.size)
    small = cv2.resize(photo.rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    free = np.ones(small.shape[:2], bool)
    if mask is not None:
        solid = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
        free = cv2.dilate((solid > 12).astype(np.uint8), np.ones((7, 7), np.uint8)) == 0
    ring = np.ones_like(free)
    border = max(2, round(0.08 * min(size)))
    ring[border:-border, border:-border] = False
    if (free & ring).sum() < 0.25 * ring.sum():
        return "scene"
    off = _off_smooth(small, free)
    return "plain" if np.quantile(off[ring[free]], 0.97) < 7 and np.quantile(off, 0.8) < 7 else "scene"


@dataclass(frozen=True)
class _Photo:
    size: tuple[int, int]
    aspect: float
    box: Box | None
    cut: Sides

    @property
    def needed(self) -> float:
        """Width of the smallest window that holds the product and its air; 0 without a product."""
        if self.box is None:
            return 0.0
        wide = (self.box[2] - self.box[0]) / (1 - AIR * (2 - self.cut.left - self.cut.right))
        high = (self.box[3] - self.box[1]) / (1 - AIR * (2 - self.cut.top - self.cut.bottom))
        return max(wide, high * self.aspect)

    @property
    def spans(self) -> tuple[tuple[float, float], tuple[float, float]] | tuple[None, None]:
        """The product's extent in x and in y."""
        return ((self.box[0], self.box[2]), (self.box[1], self.box[3])) if self.box else (None, None)

    @property
    def widest(self) -> float:
        """Width of the largest window inside the photo."""
        return min(self.size[0], self.size[1] * self.aspect)


def _product_box(mask: np.ndarray | Box | None, size: tuple[int, int]) -> Box | None:
    if mask is None or isinstance(mask, tuple):
        return mask
    if mask.shape != (size[1], size[0]):
        raise ValueError(f"The mask is {mask.shape[1]} x {mask.shape[0]}, the photo {size[0]} x {size[1]}.")
    x, y, width, height = cv2.boundingRect((mask > _SOLID).astype(np.uint8))
    return (float(x), float(y), float(x + width), float(y + height)) if width else None


def _cut_sides(mask: np.ndarray | Box | None, box: Box | None, size: tuple[int, int]) -> Sides:
    """Sides where the product runs into the photo's border along more than a touch."""
    if box is None:
        return Sides()
    (width, height), (left, top, right, bottom) = size, box
    near_x, near_y = max(1, round(_CUT * width)), max(1, round(_CUT * height))
    flags = Sides(left < near_x, top < near_y, right > width - near_x, bottom > height - near_y)
    if not isinstance(mask, np.ndarray):
        return flags
    strips = mask[:, :near_x], mask[:near_y].T, mask[:, -near_x:], mask[-near_y:].T
    lengths = bottom - top, right - left, bottom - top, right - left
    contact = [(strip > _SOLID).any(1).sum() > 0.1 * length for strip, length in zip(strips, lengths, strict=True)]
    return Sides(*(bool(flag and touches) for flag, touches in zip(flags, contact, strict=True)))


def _fit_inside(photo: _Photo, margins: Sides) -> Box | None:
    """The largest window that leaves `margins` inside the photo and holds the product, or None.

    A little more may be cropped to get there, not much: the picture the user chose should stay.
    """
    (pw, ph), aspect, cut = photo.size, photo.aspect, photo.cut
    widest = _widest_with(photo, margins)
    width = widest
    if photo.box:
        left, top, right, bottom = photo.box
        for room, margin, is_cut in (
            (left, margins.left, cut.left),
            (pw - right, margins.right, cut.right),
            (top * aspect, margins.top, cut.top),
            ((ph - bottom) * aspect, margins.bottom, cut.bottom),
        ):
            if margin and not is_cut:  # a product that the photo cuts anyway may lose the margin there
                width = min(width, room / (margin + AIR))
    if width < (1 - _MORE_CROP) * widest or width < photo.needed:
        return None
    return _place_inside(photo, width, margins)


def _widest_with(photo: _Photo, margins: Sides) -> float:
    across, down = 1 + margins.left + margins.right, 1 + margins.top + margins.bottom
    return min(photo.size[0] / across, photo.size[1] * photo.aspect / down)


def _place_inside(photo: _Photo, width: float, margins: Sides) -> Box:
    (pw, ph), height, (span_x, span_y) = photo.size, width / photo.aspect, photo.spans
    x = _place(width, span_x, margins.left * width, pw - margins.right * width)
    y = _place(height, span_y, margins.top * height, ph - margins.bottom * height)
    return x, y, x + width, y + height


def _place(length: float, product: tuple[float, float] | None, low: float, high: float) -> float:
    """Start of the window on one axis: the product in its middle, as far as the bounds allow."""
    middle = sum(product) / 2 if product else (low + high) / 2
    return min(max(middle - length / 2, low), max(high - length, low))


def _within_photo(photo: _Photo, window: Box, asked: Sides, scale: float) -> Framing:
    framing = _with_canvas(photo, window, asked.scaled(scale), continued=False)
    if scale >= 1:
        return framing
    return replace(framing, strength_scale=scale, notices=(*framing.notices, _reduced(scale)))


def _frame_continued(photo: _Photo, margins: Sides) -> Framing:
    """A plain background is continued as far as needed, except on sides where the photo cuts the product."""
    width = max(photo.widest, photo.needed)
    if not _can_grow_to(photo, width):
        return _frame_cropped(photo, margins)
    return _with_canvas(photo, _place_growing(photo, width), margins, continued=True)


def _frame_mirrored(photo: _Photo, margins: Sides) -> Framing:
    """No window inside the photo will do: keep the product whole and mirror what is missing, or crop into it."""
    width = max(photo.needed, min(photo.widest, _widest_with(photo, margins)))
    window = _place_growing(photo, width)
    beyond = max(
        -window[0], window[2] - photo.size[0], -window[1] * photo.aspect, (window[3] - photo.size[1]) * photo.aspect
    )
    if beyond > MAX_MIRRORED * width or not _can_grow_to(photo, width):
        return _frame_cropped(photo, margins.scaled(1 / MIN_SCALE))
    framing = _with_canvas(photo, window, margins, continued=False)
    if not any(margins):
        return framing
    return replace(framing, strength_scale=MIN_SCALE, notices=(*framing.notices, _reduced(MIN_SCALE)))


def _frame_cropped(photo: _Photo, margins: Sides) -> Framing:
    """The product does not fit this format: show its middle, with real pixels all around."""
    framing = _with_canvas(photo, _place_inside(photo, _widest_with(photo, margins), margins), margins, continued=False)
    return replace(framing, notices=(*framing.notices, _CROPPED))


def _can_grow_to(photo: _Photo, width: float) -> bool:
    """Whether a window of `width` need not reach past a product that the photo cuts on both of two sides."""
    (pw, ph), cut = photo.size, photo.cut
    return not ((width > pw and cut.left and cut.right) or (width / photo.aspect > ph and cut.top and cut.bottom))


def _place_growing(photo: _Photo, width: float) -> Box:
    """Place a window that may be larger than the photo; it never reaches past a side where the product is cut."""
    (pw, ph), cut, (span_x, span_y), height = photo.size, photo.cut, photo.spans, width / photo.aspect
    x = _place_on(width, span_x, pw, bool(cut.left), bool(cut.right))
    y = _place_on(height, span_y, ph, bool(cut.top), bool(cut.bottom))
    return x, y, x + width, y + height


def _place_on(length: float, product: tuple[float, float] | None, size: float, low: bool, high: bool) -> float:
    if length <= size:
        return _place(length, product, 0.0, size)
    if low or high:
        return 0.0 if low else size - length
    return (sum(product) if product else size) / 2 - length / 2


def _with_canvas(photo: _Photo, window: Box, margins: Sides, *, continued: bool) -> Framing:
    canvas, extend = _surround(photo, window, _with_spare(photo, window, margins))
    _, lacking = _surround(photo, window, margins)
    framing = Framing(window, canvas, extend, photo.cut, 1.0, continued, lacking=lacking)
    if not framing.extended:
        return framing
    return replace(framing, notices=(_CONTINUED if continued else _MIRRORED,))


def _with_spare(photo: _Photo, window: Box, margins: Sides) -> Sides:
    """Margins and SPARE; on sides where the photo cuts the product only as much of it as the photo has."""
    (pw, ph), width, height = photo.size, window[2] - window[0], window[3] - window[1]
    has = window[0] / width, window[1] / height, (pw - window[2]) / width, (ph - window[3]) / height
    return Sides(
        *(
            margin + (min(SPARE, max(0.0, real - margin)) if is_cut else SPARE)
            for margin, real, is_cut in zip(margins, has, photo.cut, strict=True)
        )
    )


def _surround(photo: _Photo, window: Box, sides: Sides) -> tuple[Box, Sides]:
    """The window with `sides` around it, and what of that lies outside the photo, in photo pixels."""
    (pw, ph), width, height = photo.size, window[2] - window[0], window[3] - window[1]
    box = (
        window[0] - sides.left * width,
        window[1] - sides.top * height,
        window[2] + sides.right * width,
        window[3] + sides.bottom * height,
    )
    return box, Sides(max(0, -box[0]), max(0, -box[1]), max(0, box[2] - pw), max(0, box[3] - ph))


def _off_smooth(small: np.ndarray, free: np.ndarray) -> np.ndarray:
    """How far each free pixel is off the best quadratic surface, largest channel, 0..255."""
    height, width = free.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    basis = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1)[free]
    colours = small[free]
    solution, *_ = np.linalg.lstsq(basis, colours, rcond=None)
    return np.abs(colours - basis @ solution).max(-1)


def _reduced(scale: float) -> Notice:
    return Notice(
        "strength_reduced",
        f"There is little room around the product: the camera moves at {round(scale * 100)} % of the asked strength.",
    )


_CONTINUED = Notice("background_extended", "The plain background is continued beyond the photo to fit format and move.")
_MIRRORED = Notice("edges_mirrored", "The photo is too tight for this format and move: its edges are mirrored.")
_CROPPED = Notice("product_cropped", "The product does not fit into this format and is cropped. Try another format.")
