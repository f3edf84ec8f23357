"""How a film moves, against what was asked and what is exact. Everything is read from the film's decoded pixels.

Signs as in `datapipe.worlds.motion`: pan-left makes the picture travel right, tilt-up down, dolly-in grow, roll-left
turn clockwise; on orbit-left the product travels to the right of what lies behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np

from datapipe.worlds.motion import Motion
from trainer.evaluate import flow
from trainer.evaluate.scenes import Exact, World, at_full_strength, exact_motion

ENOUGH = 0.012  # share of the frame that has to be measurable for a fit
LEAST = 0.1  # of the exact travel: less than this does not count as a move
PARALLAX = 0.004  # of the width: a scene has parallax where no homography comes nearer to the exact flow on average
_SAMPLES = 1500  # values kept of a clip for pooled statistics
_EDGE = 3  # pixels kept away from the product's outline


@dataclass(frozen=True)
class MotionScores:
    """What one film scored; None or empty where its scene or its move says nothing about a figure."""

    travel: float | None = None  # along the asked move, as a share of the exact move's; below 0: the wrong way
    strength: float | None = None  # along the asked move, as a share of the exact move at full strength
    endpoint_error: float | None = None  # mean, share of the width; on scenes with parallax
    bend: list[float] = field(default_factory=list)  # inside the product, off the best homography; shares of the width
    inside_error: list[float] = field(default_factory=list)  # inside the product, against the exact flow
    light: float | None = None  # light on the product: how far it is the exact sweep's, 1 at best
    moved: float = 0.0  # mean travel of all textured pixels at the end, share of the width


class Answers:
    """What is exact about one clip, and where its motion can be measured: shared by all films of it."""

    def __init__(self, world: World, asked: Motion) -> None:
        self.world, self.asked = world, asked
        window = world.window
        self.first = flow.small(world.photo[window])
        self.shape = self.first.shape
        self.width = self.shape[1]
        self.mask = flow.small_mask(world.mask[window])
        self.textured = flow.textured(self.first)
        self.near = flow.eroded(self.mask > 0.98, _EDGE) & self.textured
        self.far = flow.eroded(self.mask < 0.02, _EDGE) & self.textured
        self.exact = self._exact(asked)

    @property
    def turning(self) -> bool:
        return self.asked.subject == "turn"

    @cached_property
    def homography(self) -> np.ndarray:
        """The backward map, in pixels, that comes nearest to the exact flow: it knows the answer, but bends nothing."""
        return flow.plain_homography(self.pixels(self.exact.flow), self.valid)

    @cached_property
    def valid(self) -> np.ndarray:
        """Pixels of the last frame whose exact source was seen in the photo, with texture to find it by."""
        source = self.sources(self.exact.flow)
        inside = (source >= 0).all(-1) & (source[..., 0] <= self.width - 1) & (source[..., 1] <= self.shape[0] - 1)
        hidden = (self.exact.alpha < 0.5) & (self.at(self.mask, source) > 0.02)
        return inside & ~hidden & (self.at(self.textured.astype(np.float32), source) > 0.5)

    @cached_property
    def parallax(self) -> float:
        """What the best homography misses of the exact flow: mean, share of the width."""
        missed = flow.homography_flow(self.homography, self.shape) - self.pixels(self.exact.flow)
        return float(np.linalg.norm(missed, axis=-1)[self.valid].mean()) / self.width

    @cached_property
    def full(self) -> Exact:
        return self._exact(at_full_strength(self.asked))

    def pixels(self, shares: np.ndarray) -> np.ndarray:
        """Fractions of the frame -> measuring pixels."""
        return shares * np.array([self.width, self.shape[0]], np.float32)

    def sources(self, shares: np.ndarray) -> np.ndarray:
        y, x = np.mgrid[0 : self.shape[0], 0 : self.width].astype(np.float32)
        return np.stack([x, y], -1) + self.pixels(shares)

    def at(self, image: np.ndarray, places: np.ndarray) -> np.ndarray:
        x, y = np.moveaxis(places.astype(np.float32), -1, 0)
        return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderValue=0.0)

    def enough(self, where: np.ndarray) -> bool:
        return bool(where.mean() > ENOUGH)

    def _exact(self, motion: Motion) -> Exact:
        return exact_motion(self.world, motion, 1.0, self.shape)


def score_motion(answers: Answers, frames: list[np.ndarray]) -> MotionScores:
    """Score a film: its frames at u = 0, 1/8 .. 1."""
    pictures = [flow.small(frame) for frame in frames]
    forward, back = flow.forward_flows(pictures), flow.backward_flows(pictures)[-1]
    travel, strength = _along_the_move(answers, forward[-1])
    return MotionScores(
        travel=travel,
        strength=strength,
        endpoint_error=_endpoint_error(answers, back),
        bend=_bend(answers, forward),
        inside_error=_inside_error(answers, back),
        light=_light(answers, pictures, forward),
        moved=float(np.linalg.norm(forward[-1], axis=-1)[answers.textured].mean()) / answers.width
        if answers.textured.any()
        else 0.0,
    )


def along(camera: str, near: np.ndarray, far: np.ndarray, answers: Answers) -> float | None:
    """How far a camera move goes, in its own measure and asked direction; None where it cannot be seen.

    `near`, `far`: forward flows of product and scene. Read off the scene, or off the product where the scene is blank.
    """
    move, _, way = camera.partition("-")
    sign = -1.0 if way in ("right", "down", "out") else 1.0
    sees_far, sees_near = answers.enough(answers.far), answers.enough(answers.near) and not answers.turning
    if move == "orbit":
        if not (sees_far and sees_near):
            return None
        apart = flow.fit_similarity(near, answers.near)[0] - flow.fit_similarity(far, answers.far)[0]
        return sign * apart / answers.width
    if not (sees_far or sees_near):
        return None
    fitted = flow.fit_similarity(far, answers.far) if sees_far else flow.fit_similarity(near, answers.near)
    index = {"pan": 0, "tilt": 1, "dolly": 2, "roll": 3}[move]
    return sign * fitted[index] / (answers.width if index < 2 else 1.0)


def _along_the_move(answers: Answers, forward: np.ndarray) -> tuple[float | None, float | None]:
    camera = answers.asked.camera
    if camera == "static":
        return None, None
    made = along(camera, forward, forward, answers)
    exact, full = (
        along(camera, -answers.pixels(true.product), -answers.pixels(true.scene), answers)
        for true in (answers.exact, answers.full)
    )
    if made is None or exact is None or full is None or abs(exact) < 1e-6:
        return None, None
    return made / exact, made / full


def _endpoint_error(answers: Answers, back: np.ndarray) -> float | None:
    if not answers.enough(answers.valid) or answers.parallax < PARALLAX:
        return None
    missed = np.linalg.norm(back - answers.pixels(answers.exact.flow), axis=-1)
    return float(missed[answers.valid].mean()) / answers.width


def _bend(answers: Answers, forward: list[np.ndarray]) -> list[float]:
    """Only where the product's exact motion is that of one plane, and its light stays."""
    asked = answers.asked
    if asked.subject not in ("still", "float") or asked.camera.startswith("orbit"):
        return []
    ends = answers.sources(-answers.exact.product)
    limit = np.array([answers.width, answers.shape[0]]) - 1 - _EDGE
    stays = ((ends >= _EDGE) & (ends <= limit)).all(-1)
    where = answers.near & stays
    if not answers.enough(where):
        return []
    found = [bend_of(moved, where) / answers.width for moved in forward[1::2]]
    return _thinned(np.concatenate(found))


def bend_of(moved: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Pixels by which a flow is off its own best homography, at every pixel of `where`."""
    matrix = flow.fit_homography(moved, where)
    off = moved - flow.homography_flow(matrix, (moved.shape[0], moved.shape[1]))
    return np.linalg.norm(off, axis=-1)[where]


def _inside_error(answers: Answers, back: np.ndarray) -> list[float]:
    if not (answers.turning or answers.asked.camera.startswith("orbit")):
        return []
    where = flow.eroded(answers.exact.alpha > 0.98, _EDGE) & answers.valid
    if not answers.enough(where):
        return []
    missed = np.linalg.norm(back - answers.pixels(answers.exact.product), axis=-1)[where]
    return _thinned(missed / answers.width)


def _light(answers: Answers, pictures: list[np.ndarray], forward: list[np.ndarray]) -> float | None:
    """How far the light on the product is the exact sweep's: of one that goes as it goes, how strong it is beside it,
    or it beside that, whichever is less; about 0 of any other light, however bright.
    """
    if answers.asked.subject != "light-sweep" or not answers.enough(answers.near):
        return None
    from datapipe.worlds.clip import exact_fields

    shape = (answers.shape[0] // 4, answers.shape[1] // 4)
    fields = exact_fields(answers.world.scene, answers.world.layers, answers.asked, *shape, keys=len(pictures))
    both = made = exact = 0.0
    for picture, moved, light in zip(pictures[1:], forward, fields.light, strict=True):
        found = change_of_light(pictures[0], picture, moved)[answers.near]
        true = 255 * followed(cv2.resize(light, answers.shape[::-1]), moved)[answers.near]
        both, made, exact = both + float(found @ true), made + float(found @ found), exact + float(true @ true)
    return both / max(made, exact) if exact else None


def brightened(first: np.ndarray, later: np.ndarray, moved: np.ndarray, where: np.ndarray) -> float:
    """Mean absolute change of brightness of the pixels of `where`, followed along their flow."""
    return float(np.abs(change_of_light(first, later, moved))[where].mean())


def change_of_light(first: np.ndarray, later: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """How much brighter each pixel of the first picture is in the later one [h, w], followed along its flow."""
    smooth = [cv2.GaussianBlur(image.astype(np.float32), (0, 0), 3) for image in (first, followed(later, moved))]
    return smooth[1] - smooth[0]


def followed(later: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """The later picture, each pixel where it was in the first one."""
    y, x = np.mgrid[0 : later.shape[0], 0 : later.shape[1]].astype(np.float32)
    return cv2.remap(later, x + moved[..., 0], y + moved[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _thinned(values: np.ndarray) -> list[float]:
    step = max(1, len(values) // _SAMPLES)
    return [float(value) for value in values[::step]]
