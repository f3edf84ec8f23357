"""How far a product goes within the frame: the air it needs on the sides it goes to, so as not to leave the picture.

Measured on the model, aquarius-nano 0.6.0: the forward motion of the product, and what the frame's borders show, at all
keys of 112 clips (every move at strength 1, some at 0.5 and 0.6, with each subject motion; both photos of the demo, a
cut-out and two held-out scenes; 9:16 and 16:9). All of it grew in proportion to the strength.
"""

from __future__ import annotations

from typing import Protocol

from engine.media.subject import Sides, Travel

# All figures are a little more than was measured: what is over is the air that remains at the end.
# A pan or tilt turns the camera as well, so it carries what arrives at the border farther than the middle: 0.12 there,
# 0.125 to 0.131 at the border along the frame's short axis and 0.151 to 0.164 along its long one. To both sides of the
# way products grow by up to 0.03 along the long axis (more in the corners) and by 0.015 along the short one.
_SHIFT, _SHIFT_OF_AXIS, _ASIDE_OF_AXIS = 0.108, 0.052, 0.028
_FLOORS = 0.04  # what is nearer than the product, as the floor before it, goes farther: the border shows as much more
_DOLLY_IN = 0.135  # 1.29 to 1.33 times as large: 0.106 to 0.128 on each side
_ROLL = 0.127  # sine of 7.3 degrees, the most of seven (6.8 to 7.3)
# Of the product's own width: its front goes much farther, its outline little. A mug as wide as the frame lost 0.017 and
# 0.069 of it, and both together 0.097.
_ORBIT, _TURN = 0.03, 0.07
_FLOAT = 0.045  # up and down, of the square root of the frame's area: 0.036 of the height in 9:16, 0.053 in 16:9
_AUTO = 0.04  # without words it hardly moves (0.042 at most); what words ask for is only known to the model


class Motion(Protocol):
    """A subject motion as it is asked for."""

    @property
    def motion(self) -> str: ...
    @property
    def strength(self) -> float: ...


def camera_travel(move: str, aspect: float) -> Travel:
    """What a camera move at strength 1 does to the product in a frame of `aspect`, width to height."""
    kind, _, way = move.partition("-")
    if kind == "auto":
        return Travel(Sides(_AUTO, _AUTO, _AUTO, _AUTO))
    if kind in ("pan", "tilt"):
        axis = aspect**0.5 if kind == "pan" else aspect**-0.5
        along, aside = _SHIFT + _SHIFT_OF_AXIS * axis, _ASIDE_OF_AXIS * axis
        sides = Sides(aside, aside, aside, aside)
        # The camera looks to one side, and the picture travels to the other.
        onward = {"left": "right", "right": "left", "up": "bottom", "down": "top"}[way]
        behind = {"left": "left", "right": "right", "up": "top", "down": "bottom"}[way]
        return Travel(sides._replace(**{onward: along, behind: 0.0}), shows=Sides(**{behind: along + _FLOORS}))
    if move == "dolly-in":
        return Travel(Sides(_DOLLY_IN, _DOLLY_IN, _DOLLY_IN, _DOLLY_IN))
    if kind == "roll":
        return Travel(lean=_ROLL)
    if kind == "orbit":
        return Travel(right=_ORBIT) if way == "left" else Travel(left=_ORBIT)
    return Travel()


def subject_travel(subject: Motion | None, aspect: float) -> Travel:
    """What a subject motion does to the product, at its own strength."""
    if subject is None:
        return Travel()
    lift = _FLOAT * aspect**0.5
    full = {"turn": Travel(right=_TURN), "float": Travel(Sides(top=lift, bottom=lift))}.get(subject.motion, Travel())
    return full.scaled(subject.strength)
