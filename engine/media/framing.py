"""Where the output window lies in the photo, and how much picture there must be around it for the camera to move.

The order is fixed: real pixels around the window first; a plain or transparent background is continued instead; only
then is the move made smaller, never below half; last, the photo is softly continued (see `continuation`), and said.
For a product that no window in the photo holds, the move gets smaller until at most a quarter of the window is made up.
The product is never cropped, neither at first nor where the move carries it (see `travel`), except where the photo
itself cuts it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from engine.events import Notice
from engine.media.background import Background
from engine.media.subject import NOTHING, Box, Sides, Subject, find_subject
from engine.media.travel import Motion, camera_travel, subject_travel
from engine.media.windows import fit_inside, place_growing, place_inside

ASPECTS = {"9:16": 9 / 16, "1:1": 1.0, "4:5": 4 / 5, "16:9": 16 / 9}
MAX_MARGIN = 0.12
MIN_SCALE = 0.5
_MUCH_MADE_UP = 0.25  # of the window: more is a backdrop with a photo in it
_MORE_OF_CUT = 0.25  # of the length of a product that the photo cuts: at most this much more is cut of it
_TOLD_MADE_UP = 0.1  # of the window: the notice says how much it is
# Canvas beyond what the move needs, in fractions of the window: floors travel further than the product, products float,
# and the model is not exact. Real pixels where the photo has them, continued ones where not. Of 135 clips (every move,
# strengths 0.3 and 1, three photos) 5 % asked for more than 0.053 beyond the margin, and two for more than this.
SPARE = 0.07

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
    sides where the product runs on beyond the photo or the canvas. `strength_scale` 0.5..1 multiplies the asked camera
    strength. `continued`: a plain background runs on beyond the photo, else the photo dissolves into its colours.
    `keeps` flags the sides that the product must not leave the window by.
    """

    window: Box
    canvas: Box
    extend: Sides
    cut: Sides
    strength_scale: float
    continued: bool
    notices: tuple[Notice, ...] = ()
    lacking: Sides = NOTHING
    keeps: Sides = NOTHING

    @property
    def extended(self) -> bool:
        return any(side > 0.5 for side in self.lacking)

    @property
    def room(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Canvas beyond the window: ((left, top), (right, bottom)) in fractions of the window."""
        w, c = self.window, self.canvas
        width, height = w[2] - w[0], w[3] - w[1]
        return ((w[0] - c[0]) / width, (w[1] - c[1]) / height), ((c[2] - w[2]) / width, (c[3] - w[3]) / height)


@dataclass(frozen=True)
class _Move:
    """A camera move at `scale` of its strength: the product on its way, and the room that the scene needs."""

    scale: float
    subject: Subject
    margins: Sides


def plan_framing(
    size: tuple[int, int],
    mask: np.ndarray | Box | None,
    format: str,
    camera: CameraLike,
    *,
    background: Background = "scene",
    motion: Motion | None = None,
) -> Framing:
    """Frame a photo of `size` (width, height) for an output `format`, a camera move and a subject `motion`.

    `mask` is uint8 [H, W] of the photo's size, or the product's box in photo pixels, or None for no product. Raises
    ValueError for a mask of another size.
    """
    subject = find_subject(
        mask, size, ASPECTS[format], may_be_cut=background != "transparent", may_leave_out=background == "scene"
    )
    framing = _frame(subject, camera, motion, background)
    if isinstance(mask, np.ndarray) and subject.box is None:
        framing = replace(framing, notices=(*framing.notices, _NO_PRODUCT))
    if subject.left_out:
        framing = replace(framing, notices=(*framing.notices, _LEFT_OUT))
    return framing


def _frame(subject: Subject, camera: CameraLike, motion: Motion | None, background: Background) -> Framing:
    # What the model chooses itself has no strength that was asked for.
    strength = 1.0 if camera.move == "auto" else camera.strength
    margins = MOVE_MARGINS[camera.move].scaled(strength)
    by_camera = camera_travel(camera.move, subject.aspect).scaled(strength)
    by_itself = subject_travel(motion, subject.aspect)

    def moving(scale: float) -> _Move:
        way = by_camera.scaled(scale).and_also(by_itself)
        return _Move(scale, replace(subject, way=way), margins.scaled(scale))

    scales = [1.0] if camera.move == "static" else np.linspace(1.0, MIN_SCALE, 26)
    moves = [moving(round(float(scale), 2)) for scale in scales]
    if background != "scene":
        return _frame_growing(subject, moves, continued=True)
    for move in moves:
        window = fit_inside(move.subject, move.margins)
        if window:
            return _at_scale(_with_canvas(move.subject, window, move.margins, continued=False), move.scale)
    if subject.needed(moves[-1].margins, air=0.0) <= subject.widest:
        return _frame_tight(moves[-1])
    return _frame_beyond(subject, moves)


def _frame_growing(subject: Subject, moves: list[_Move], *, continued: bool) -> Framing:
    """The whole product with as much of the move as keeps it in; what the photo lacks is continued."""
    for move in moves:
        framing = _frame_whole(move, continued=continued)
        if framing:
            return _at_scale(framing, move.scale)
    last = moves[-1]
    if subject.needed(last.margins, air=0.0) > subject.limit(last.margins) + 1e-6:
        return _frame_cropped(moves[0])
    held = [_frame_held(move, move.subject.limit(move.margins), continued=continued) for move in moves]
    return next((framing for framing in held if _AT_BORDER not in framing.notices), held[-1])


def _frame_whole(move: _Move, *, continued: bool) -> Framing | None:
    """The product with its way and its air, or None where that reaches past one that the photo cuts."""
    subject, margins = move.subject, move.margins
    limit = subject.limit(margins)
    width = max(subject.needed(margins), min(subject.widest, limit))
    if width > limit + 1e-6:
        return None
    window = place_growing(subject, width, margins)
    return _with_canvas(subject, window, margins, continued=continued) if subject.stays_in(window) else None


def _frame_beyond(subject: Subject, moves: list[_Move]) -> Framing:
    """The product fits into no window inside the photo: what is lacking is made up. Before that becomes a large part of
    the picture the move gets smaller, and then a product that the photo cuts loses a little more there.
    """
    for move in moves:
        framing = _frame_whole(move, continued=False)
        if framing and subject.beyond(framing.window) <= _MUCH_MADE_UP:
            return _at_scale(framing, move.scale)
    last = moves[-1]
    whole = _frame_whole(last, continued=False)
    if whole is None:
        return _frame_growing(subject, moves, continued=False)
    framings = [whole]
    for share in np.linspace(0.0, _MORE_OF_CUT, 11)[1:]:
        less = replace(last, subject=last.subject.cropped(float(share), last.margins))
        framings.append(_frame_whole(less, continued=False) or whole)
    # The smallest crop that is enough, or that gains all there is to gain: the other axis may limit what it does.
    made_up = [subject.beyond(framing.window) for framing in framings]
    first = int(np.argmax(np.array(made_up) <= max(_MUCH_MADE_UP, min(made_up) + 0.001)))
    framing = framings[first]
    if first:
        framing = replace(framing, notices=(*framing.notices, _CROPPED))
    return _at_scale(framing, last.scale)


def _frame_tight(move: _Move) -> Framing:
    """The product fits into a window inside the photo, but half the move with it does not."""
    return _frame_held(move, move.subject.limit(NOTHING), continued=False)


def _frame_held(move: _Move, limit: float, *, continued: bool) -> Framing:
    """The product at rest in a window of at most `limit`, beyond which it would show more of a cut one than there is:
    the move may take it to the border.
    """
    subject, margins = move.subject, move.margins
    with_air = subject.needed(margins) if continued else min(subject.needed(margins), subject.widest)
    width = min(max(with_air, subject.needed(margins, air=0.0), subject.widest_with(margins)), limit)
    window = place_growing(subject, width, margins)
    framing = _with_canvas(subject, window, margins, continued=continued)
    if width < subject.needed(margins, air=0.0) - 1e-6 or not subject.stays_in(window):
        framing = replace(framing, notices=(*framing.notices, _AT_BORDER))
    return _at_scale(framing, move.scale)


def _frame_cropped(move: _Move) -> Framing:
    """The photo cuts the product on two opposite sides, and the format is longer that way: show its middle."""
    window = place_inside(move.subject, move.subject.widest_with(move.margins), move.margins)
    framing = _with_canvas(move.subject, window, move.margins, continued=False)
    return replace(framing, notices=(*framing.notices, _CROPPED))


def _at_scale(framing: Framing, scale: float) -> Framing:
    if scale >= 1:
        return framing
    return replace(framing, strength_scale=scale, notices=(*framing.notices, _reduced(scale)))


def _with_canvas(subject: Subject, window: Box, margins: Sides, *, continued: bool) -> Framing:
    canvas, extend = _surround(subject, window, Sides(*(margin + SPARE for margin in margins)))
    _, lacking = _surround(subject, window, margins)
    runs_on = _runs_on(subject, canvas)
    framing = Framing(window, canvas, extend, runs_on, 1.0, continued, lacking=lacking, keeps=_keeps(subject, window))
    if not framing.extended:
        return framing
    return replace(framing, notices=(_CONTINUED if continued else _extended(subject.beyond(window)),))


def _runs_on(subject: Subject, canvas: Box) -> Sides:
    """Flags the sides where the product runs on beyond the photo or the canvas."""
    if subject.box is None:
        return NOTHING
    (x0, y0, x1, y1), box = canvas, subject.box
    beyond = box[0] < x0, box[1] < y0, box[2] > x1, box[3] > y1
    return Sides(*(bool(is_cut or goes_on) for is_cut, goes_on in zip(subject.cut, beyond, strict=True)))


def _keeps(subject: Subject, window: Box) -> Sides:
    """Flags the sides by which the product must not leave: it is inside there, and the photo does not cut it."""
    if subject.box is None:
        return NOTHING
    (x0, y0, x1, y1), box = window, subject.box
    inside = box[0] >= x0, box[1] >= y0, box[2] <= x1, box[3] <= y1
    return Sides(*(bool(is_in and not is_cut) for is_in, is_cut in zip(inside, subject.cut, strict=True)))


def _surround(subject: Subject, window: Box, sides: Sides) -> tuple[Box, Sides]:
    """The window with `sides` around it, and what of that lies outside the photo, in photo pixels."""
    (pw, ph), width, height = subject.size, window[2] - window[0], window[3] - window[1]
    box = (
        window[0] - sides.left * width,
        window[1] - sides.top * height,
        window[2] + sides.right * width,
        window[3] + sides.bottom * height,
    )
    return box, Sides(max(0, -box[0]), max(0, -box[1]), max(0, box[2] - pw), max(0, box[3] - ph))


def _reduced(scale: float) -> Notice:
    return Notice(
        "strength_reduced",
        "There is little room around the product: the camera moves "
        f"{round(scale * 100)} % as far as it otherwise would.",
    )


def _extended(share: float) -> Notice:
    how_much = f" That is {round(share * 100)} % of the picture." if share >= _TOLD_MADE_UP else ""
    return Notice(
        "photo_extended",
        "The photo is too tight for this format and move: beyond its edges its colours run on as a soft backdrop."
        + how_much,
    )


_NO_PRODUCT = Notice(
    "no_product",
    "No product is masked: the whole photo moves as one, and subject motion has nothing to move. "
    "Paint the product with the brush.",
)
_LEFT_OUT = Notice(
    "part_left_out",
    "A small part of the mask lies too far aside for this format and is not framed. Erase it where it is not the "
    "product, or choose a wider format.",
)
_CONTINUED = Notice("background_extended", "The plain background is continued beyond the photo to fit format and move.")
_CROPPED = Notice(
    "product_cropped",
    "The photo itself cuts the product, so it does not fit into this format whole. Try another format.",
)
_AT_BORDER = Notice(
    "product_at_border",
    "The photo itself cuts the product, and around it there is too little room for this motion: the product may reach "
    "past the edge of the picture. Choose a weaker motion or another format.",
)
