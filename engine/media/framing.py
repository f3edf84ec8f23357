"""Where the output window lies in the photo, and how much picture there must be around it for the camera to move.

A plain or transparent background is continued. Of a scene as little as possible is made up (see `continuation`), and
that is said. This is given up for it, in this order: the air around the product; up to half of the move; smaller
islands of the mask; some of a product that the photo cuts anyway, and all that does not fit of such a one before a
large part of the picture is made up. One that the photo has whole is never cropped, neither at first nor where the move
carries it (see `travel`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np

from engine.media.background import Background
from engine.media.framed import Framing, with_canvas
from engine.media.framing_notices import AT_BORDER, LEFT_OUT, NO_PRODUCT, cropped, reduced
from engine.media.islands import SOLID, Box, Islands
from engine.media.subject import AIR, NOTHING, Sides, Subject, find_subjects
from engine.media.travel import Motion, camera_travel, subject_travel
from engine.media.windows import fit_inside, place_growing, place_inside, raised

ASPECTS = {"9:16": 9 / 16, "1:1": 1.0, "4:5": 4 / 5, "16:9": 16 / 9}
MAX_MARGIN = 0.12
MIN_SCALE = 0.5
_LITTLE_MADE_UP = 0.08  # of the picture: something is given up before there is more
_MUCH_MADE_UP = 0.25  # of the picture: more is a backdrop with a photo in it, and a crop is better
_SAME = 0.005  # of the picture: no gain
_LITTLE_AIR = 0.005  # of the window
_MORE_OF_CUT = 0.35  # of the length of a product that the photo cuts: at most this much more is cut of it
_CROPPED = cropped(True, [])  # until it is known whether another format shows more

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
    if isinstance(mask, np.ndarray) and mask.shape != (size[1], size[0]):
        raise ValueError(f"The mask is {mask.shape[1]} x {mask.shape[0]}, the photo {size[0]} x {size[1]}.")
    product = Islands(mask) if isinstance(mask, np.ndarray) else mask
    asked = _Asked(size, product, camera, motion, background)
    framing = _plan(asked, format)
    if any(notice.code == "product_cropped" for notice in framing.notices):
        framing = _with_hint(framing, asked, format)
    if isinstance(mask, np.ndarray) and not (mask > SOLID).any():
        framing = replace(framing, notices=(*framing.notices, NO_PRODUCT))
    return framing


class _Asked(NamedTuple):
    size: tuple[int, int]
    product: Islands | Box | None
    camera: CameraLike
    motion: Motion | None
    background: Background


def _plan(asked: _Asked, format: str) -> Framing:
    subjects = find_subjects(asked.product, asked.size, ASPECTS[format], asked.background)
    if asked.background != "scene":
        subject = next(subjects)
        return _frame_growing(subject, _moves(subject, asked), continued=True)
    subject, framing = _frame_scene(subjects, asked)
    if subject.left_out and _CROPPED not in framing.notices:
        framing = replace(framing, notices=(*framing.notices, LEFT_OUT))
    return framing


def _with_hint(framing: Framing, asked: _Asked, format: str) -> Framing:
    """The formats named that show all that the photo has of the product."""
    others = {name: {notice.code for notice in _plan(asked, name).notices} for name in ASPECTS if name != format}
    whole_in = [name for name, codes in others.items() if not codes & {"product_cropped", "part_left_out"}]
    told = [cropped(any(framing.cut_by_photo), whole_in) if one is _CROPPED else one for one in framing.notices]
    return replace(framing, notices=tuple(told))


def _moves(subject: Subject, asked: _Asked) -> list[_Move]:
    """The camera move at the strengths that may be left of it, the whole first."""
    camera = asked.camera
    # What the model chooses itself has no strength that was asked for.
    strength = 1.0 if camera.move == "auto" else camera.strength
    margins = MOVE_MARGINS[camera.move].scaled(strength)
    by_camera = camera_travel(camera.move, subject.aspect).scaled(strength)
    by_itself = subject_travel(asked.motion, subject.aspect)
    scales = [1.0] if camera.move == "static" else [round(float(one), 2) for one in np.linspace(1.0, MIN_SCALE, 26)]
    return [
        _Move(one, replace(subject, way=by_camera.scaled(one).and_also(by_itself)), margins.scaled(one))
        for one in scales
    ]


class _Tried(NamedTuple):
    """A framing, how much of it is made up, and of which subject."""

    made_up: float
    framing: Framing
    subject: Subject


def _frame_scene(subjects: Iterator[Subject], asked: _Asked) -> tuple[Subject, Framing]:
    best: _Tried | None = None
    for subject in subjects:
        if best and best.made_up <= _MUCH_MADE_UP and not subject.is_most:
            break
        for tried in _ways(subject, _moves(subject, asked)):
            if tried.made_up <= _LITTLE_MADE_UP:
                return tried.subject, tried.framing
            if best is None or tried.made_up < best.made_up - _SAME:
                best = tried
    assert best is not None
    last = _moves(best.subject, asked)[-1]
    less = list(_cropped_more(last))
    if less and not last.subject.fits:
        # The smallest crop that is enough, or that gains all there is to gain: the other axis may limit what it does.
        enough = max(_LITTLE_MADE_UP, min(one.made_up for one in less) + _SAME)
        smallest = next(one for one in less if one.made_up <= enough)
        if smallest.made_up < best.made_up - _SAME:
            best = smallest
    if best.made_up <= _MUCH_MADE_UP or best.subject.fits or not (any(best.subject.cut) and any(subject.cut)):
        return best.subject, best.framing
    return subject, _frame_cropped(_moves(subject, asked)[0], continued=False)


def _ways(subject: Subject, moves: list[_Move]) -> Iterator[_Tried]:
    """Framings of the whole subject, in the order of what is given up for them: first air, then the move."""
    for move in moves:
        for air in (AIR, _LITTLE_AIR):
            window = fit_inside(move.subject, move.margins, air)
            if window:
                yield _tried(move, with_canvas(move.subject, window, move.margins, continued=False))
                return
    last, found = moves[-1], False
    if subject.needed(last.margins, air=0.0) <= subject.widest:
        for air in (AIR, _LITTLE_AIR):
            held = _frame_held(last, last.subject.limit(NOTHING), continued=False, air=air)
            yield _Tried(last.subject.made_up(held.window, last.margins), held, last.subject)
        return
    for move in moves:
        whole = _frame_whole(move, continued=False, air=_LITTLE_AIR)
        if whole:
            found = True
            yield _tried(move, whole)
    if not found:
        growing = _frame_growing(subject, moves, continued=False)
        yield _Tried(subject.made_up(growing.window, last.margins), growing, subject)


def _cropped_more(move: _Move) -> Iterator[_Tried]:
    """Framings that lose a little more of a product where the photo cuts it."""
    if not any(move.subject.cut):
        return
    for share in np.linspace(0.0, _MORE_OF_CUT, 15)[1:]:
        less = replace(move, subject=move.subject.cropped(float(share), move.margins))
        framing = _frame_whole(less, continued=False, air=_LITTLE_AIR)
        if framing:
            yield _tried(less, replace(framing, notices=(*framing.notices, _CROPPED)))


def _tried(move: _Move, framing: Framing) -> _Tried:
    made_up = move.subject.made_up(framing.window, move.margins) if framing.extended else 0.0
    return _Tried(made_up, _at_scale(framing, move.scale), move.subject)


def _frame_growing(subject: Subject, moves: list[_Move], *, continued: bool) -> Framing:
    """The whole product with as much of the move as keeps it in; what the photo lacks is continued."""
    for move in moves:
        framing = _frame_whole(move, continued=continued)
        if framing:
            return _at_scale(framing, move.scale)
    last = moves[-1]
    if subject.needed(last.margins, air=0.0) > subject.limit(last.margins) + 1e-6:
        return _frame_cropped(moves[0], continued=continued)
    held = [_frame_held(move, move.subject.limit(move.margins), continued=continued) for move in moves]
    return next((framing for framing in held if AT_BORDER not in framing.notices), held[-1])


def _frame_whole(move: _Move, *, continued: bool, air: float = AIR) -> Framing | None:
    """The product with its way and its air, or None where that reaches past one that the photo cuts."""
    subject, margins = _with_free_floor(move.subject, move.margins), move.margins
    limit = subject.limit(margins)
    width = max(subject.needed(margins, air), min(subject.widest, limit))
    if width > limit + 1e-6:
        return None
    window = place_growing(subject, width, margins)
    if not continued:
        window = raised(subject, window)
    return with_canvas(subject, window, margins, continued=continued) if subject.stays_in(window) else None


def _with_free_floor(subject: Subject, margins: Sides) -> Subject:
    """With as much room for its shadow as does not alone make the window larger than the photo."""
    bare = replace(subject, floor=0.0)
    if not subject.floor or bare.needed(margins) > subject.widest:
        return subject
    tried = (replace(subject, floor=share * subject.floor) for share in (1.0, 0.75, 0.5, 0.25))
    return next((one for one in tried if one.needed(margins) <= subject.widest), bare)


def _frame_held(move: _Move, limit: float, *, continued: bool, air: float = AIR) -> Framing:
    """The product at rest in a window of at most `limit`, beyond which it would show more of a cut one than there is:
    the move may take it to the border.
    """
    subject, margins = move.subject, move.margins
    needed = subject.needed(margins, air)
    with_air = needed if continued else min(needed, subject.widest)
    width = min(max(with_air, subject.needed(margins, air=0.0), subject.widest_with(margins)), limit)
    window = place_growing(subject, width, margins)
    framing = with_canvas(subject, window, margins, continued=continued)
    if width < subject.needed(margins, air=0.0) - 1e-6 or not subject.stays_in(window):
        framing = replace(framing, notices=(*framing.notices, AT_BORDER))
    return _at_scale(framing, move.scale)


def _frame_cropped(move: _Move, *, continued: bool) -> Framing:
    """The product does not fit, or not without much that is made up: show its middle."""
    window = place_inside(move.subject, move.subject.widest_with(move.margins), move.margins)
    framing = with_canvas(move.subject, window, move.margins, continued=continued)
    return replace(framing, notices=(*framing.notices, _CROPPED))


def _at_scale(framing: Framing, scale: float) -> Framing:
    if scale >= 1:
        return framing
    return replace(framing, strength_scale=scale, notices=(*framing.notices, reduced(scale)))
