"""A framing, as it is planned and told: what is shown, what there is around it, and what of that is made up."""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine.events import Notice
from engine.media.framing_notices import CONTINUED, extended
from engine.media.islands import Box
from engine.media.subject import NOTHING, Sides, Subject

# Canvas beyond what the move needs, in fractions of the window: floors travel further than the product, products float,
# and the model is not exact. Real pixels where the photo has them, continued ones where not. Of 135 clips (every move,
# strengths 0.3 and 1, three photos) 5 % asked for more than 0.053 beyond the margin, and two for more than this.
SPARE = 0.07


@dataclass(frozen=True)
class Framing:
    """The plan, in photo pixels (x0, y0, x1, y1); both boxes may reach outside the photo, where it is continued.

    `window` is what frame 0 shows, `canvas` what any frame may show. `extend` is what the canvas lacks on each side,
    in photo pixels; `lacking` is the part of it that window and move need, the rest being spare. `cut` flags the
    sides where the product runs on beyond the photo or the canvas. `strength_scale` 0.5..1 multiplies the asked camera
    strength. `continued`: a plain background runs on beyond the photo, else the photo dissolves into its colours.
    `keeps` flags the sides that the product must not leave the window by, `cut_by_photo` those where the photo cuts it.
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
    cut_by_photo: Sides = NOTHING

    @property
    def extended(self) -> bool:
        return any(side > 0.5 for side in self.lacking)

    @property
    def room(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Canvas beyond the window: ((left, top), (right, bottom)) in fractions of the window."""
        return self._room(NOTHING)

    @property
    def real_room(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """As `room`, within the photo."""
        return self._room(self.extend)

    @property
    def planned_room(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """As `room`, what the scene may show: where it is not `continued`, no spare that is made up."""
        if self.continued:
            return self.room
        return self._room(Sides(*(all_of - told for all_of, told in zip(self.extend, self.lacking, strict=True))))

    def _room(self, less: Sides) -> tuple[tuple[float, float], tuple[float, float]]:
        w, c = self.window, self.canvas
        width, height = w[2] - w[0], w[3] - w[1]
        return (
            ((w[0] - c[0] - less.left) / width, (w[1] - c[1] - less.top) / height),
            ((c[2] - w[2] - less.right) / width, (c[3] - w[3] - less.bottom) / height),
        )


def with_canvas(subject: Subject, window: Box, margins: Sides, *, continued: bool) -> Framing:
    canvas, extend = _surround(subject, window, Sides(*(margin + SPARE for margin in margins)))
    _, lacking = _surround(subject, window, margins)
    runs_on = _runs_on(subject, canvas)
    keeps = _keeps(subject, window)
    framing = Framing(window, canvas, extend, runs_on, 1.0, continued, (), lacking, keeps, subject.cut)
    if not framing.extended:
        return framing
    return replace(framing, notices=(CONTINUED if continued else extended(subject.made_up(window, margins)),))


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
