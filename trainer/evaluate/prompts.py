"""Does a film do what a sentence says? One film, many possible motions: which one does it show?

Every candidate is measured in shares of its own largest move; the largest share wins, unless all are too small.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from datapipe.worlds import captions
from datapipe.worlds.clip import GRIDS
from datapipe.worlds.motion import (
    CAMERA_MOVES,
    DOLLY_IN,
    DOLLY_OUT,
    FLOAT_HEIGHT,
    ORBIT_FAR,
    ROLL,
    SHIFT,
    SUBJECT_MOTIONS,
    SWEEP_GAIN,
)
from engine.generate import Engine, Generated
from engine.requests import ImageToVideo
from trainer.evaluate import flow
from trainer.evaluate.films import film, prepare, watch, within_canvas
from trainer.evaluate.motion import ENOUGH, bend_of, brightened
from trainer.evaluate.plan import Clip
from trainer.evaluate.scenes import View, World, asked_motion, exact_clip

STILL = 0.12  # share of the largest move below which nothing counts as moving
STRENGTH = 0.6  # a user who does not touch the slider
WAYS = {
    "pan": ("left", "right"),
    "tilt": ("up", "down"),
    "dolly": ("in", "out"),
    "orbit": ("left", "right"),
    "roll": ("left", "right"),
}
_TURN = 0.012  # of the width: what the largest turn leaves inside a product after the best homography, and its drift
_LIGHT = 0.25 * SWEEP_GAIN * 255  # a full sweep's mean change of brightness over a product
_ORBIT_DEPTH = 0.6  # how much of an infinitely far background's travel a usual one makes


@dataclass(frozen=True)
class Obedience:
    """One sentence, and whether the film did it."""

    kind: str
    prompt: str
    asked: str
    shown: str
    told: bool  # the settings name who decided, rightly

    @property
    def obeyed(self) -> bool:
        return self.asked == self.shown and self.told


def ask(engine: Engine, world: World, clip: Clip, folder: Path, frames: int | None = None) -> Obedience | None:
    """Generate from a prompt through the whole engine, watch, and judge. None where the scene cannot show it.

    frames: of a film that shows the same motion in less time than a user may ask for.
    """
    rng = np.random.default_rng(7_000_000 + clip.index)
    camera, subject = _wanted(clip)
    prompt = _sentence(camera, subject, world, rng)
    request = clip.request().model_copy(
        update={
            "prompt": prompt,
            "short_side": 540,
            "seconds": clip.request().seconds if frames is None else frames / clip.request().fps,
            "camera": _control(clip, "camera"),
            "subject": _control(clip, "subject"),
        }
    )
    made, watched, mask = _generate(engine, world, request, folder)
    seen = look(watched, mask)
    if seen is None:
        return None
    if clip.sentence == "subject":
        return Obedience("subject", prompt, subject, seen.subject, made.settings["decided_by"]["subject"] == "prompt")
    if clip.sentence == "camera":
        return Obedience("camera", prompt, camera, seen.camera, made.settings["decided_by"]["camera"] == "prompt")
    told = made.settings["decided_by"]["camera"] == "control"
    return Obedience("contradicted", prompt, request.camera.move, seen.camera, told)


def ask_exact(world: World, clip: Clip, folder: Path) -> Obedience | None:
    """The same question to the exact motion: what it does not obey is the judge's own error."""
    camera, subject = _wanted(clip)
    if clip.sentence == "contradicted":
        camera = _explicit(clip)
    request = clip.request().model_copy(update={"short_side": 540})
    prepared, (height, width) = prepare(world, request), GRIDS[clip.format]
    fields = exact_clip(world, asked_motion(camera, STRENGTH, subject, STRENGTH), (height // 2, width // 2))
    made = film(prepared, within_canvas(fields, prepared), folder, fps=request.fps, frames=request.frames)
    seen = look(made.frames, View(world.view.window, request.size).of(world.mask))
    if seen is None:
        return None
    if clip.sentence == "subject":
        return Obedience("subject", "", subject, seen.subject, told=True)
    return Obedience(clip.sentence, "", camera, seen.camera, told=True)


@dataclass(frozen=True)
class Seen:
    """The camera move and the subject motion that a film shows most."""

    camera: str
    subject: str


def look(frames: list[np.ndarray], mask: np.ndarray) -> Seen | None:
    """Judge a film by its frames at u = 0, 1/8 .. 1 and the product's mask in the first, uint8."""
    pictures = [flow.small(frame) for frame in frames]
    textured, product = flow.textured(pictures[0]), flow.small_mask(mask)
    near, far = flow.eroded(product > 0.98, 3) & textured, flow.eroded(product < 0.02, 3) & textured
    if near.mean() < ENOUGH or far.mean() < ENOUGH:
        return None
    forward = flow.forward_flows(pictures)
    return Seen(_camera_of(forward[-1], near, far), _subject_of(pictures, forward, near))


def _camera_of(moved: np.ndarray, near: np.ndarray, far: np.ndarray) -> str:
    shares = camera_shares(moved, near, far)
    move = max(shares, key=lambda name: abs(shares[name]))
    if abs(shares[move]) < STILL:
        return "static"
    return f"{move}-{WAYS[move][0 if shares[move] > 0 else 1]}"


def camera_shares(moved: np.ndarray, near: np.ndarray, far: np.ndarray) -> dict[str, float]:
    """Of each kind of move, how much of its own largest one a forward flow [h, w, 2] shows; above 0: WAYS' first."""
    height, width = moved.shape[:2]
    by_product, by_scene = flow.fit_similarity(moved, near), flow.fit_similarity(moved, far)
    pan, tilt = by_product[0] / width / SHIFT, by_product[1] / height / SHIFT
    dolly = by_product[2] / (-np.log(1 - DOLLY_IN) if by_product[2] > 0 else np.log(1 + DOLLY_OUT))
    orbit = (by_product[0] - by_scene[0]) / width / (ORBIT_FAR * _ORBIT_DEPTH)
    return {"pan": pan, "tilt": tilt, "dolly": dolly, "orbit": orbit, "roll": by_scene[3] / ROLL}


def _subject_of(pictures: list[np.ndarray], forward: list[np.ndarray], near: np.ndarray) -> str:
    height, width = pictures[0].shape
    fitted = [flow.fit_similarity(moved, near) for moved in forward]
    heights = [0.0, *(fit[1] for fit in fitted)]
    area = np.sqrt(height * width)
    floated = (max(heights) - min(heights)) / (2 * FLOAT_HEIGHT * area)
    bend = float(np.median(bend_of(forward[-1], near))) / width
    turned = max(bend / _TURN, abs(fitted[-1][0]) / width / (4 * _TURN))
    light = max(brightened(pictures[0], later, moved, near) for later, moved in zip(pictures[1:], forward, strict=True))
    shares = {"float": floated, "turn": turned, "light-sweep": light / _LIGHT}
    motion = max(shares, key=lambda name: shares[name])
    return motion if shares[motion] > STILL else "still"


def _wanted(clip: Clip) -> tuple[str, str]:
    """What the sentence says. It always speaks of both, so that nothing is left to the model's choice."""
    step = clip.index // 3
    if clip.sentence == "subject":
        return "static", SUBJECT_MOTIONS[step % len(SUBJECT_MOTIONS)]
    if clip.sentence == "camera":
        return CAMERA_MOVES[step % len(CAMERA_MOVES)], "still"
    moves = [move for move in CAMERA_MOVES if move != _explicit(clip)]
    return moves[(step // len(CAMERA_MOVES) + step) % len(moves)], "still"


def _explicit(clip: Clip) -> str:
    return CAMERA_MOVES[clip.index // 3 % len(CAMERA_MOVES)]


def _control(clip: Clip, which: str) -> object:
    request = ImageToVideo()
    if which == "subject":
        return request.subject
    move = _explicit(clip) if clip.sentence == "contradicted" else "auto"
    return request.camera.model_copy(update={"move": move, "strength": STRENGTH})


def _sentence(camera: str, subject: str, world: World, rng: np.random.Generator) -> str:
    motion = asked_motion(camera, STRENGTH, subject, STRENGTH)
    noun = world.scene.words["product"]
    return captions.compose([captions.camera_phrase(motion, rng), captions.subject_phrase(motion, noun, rng)], rng)


def _generate(
    engine: Engine, world: World, request: ImageToVideo, folder: Path
) -> tuple[Generated, list[np.ndarray], np.ndarray]:
    """The film, and the exact mask in the window that the engine chose."""
    photo, mask, out = folder / "photo.png", folder / "mask.png", folder / "prompt.mp4"
    cv2.imwrite(str(photo), cv2.cvtColor(world.photo, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    cv2.imwrite(str(mask), world.mask, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    made = engine.generate(request, photo, out, mask=mask)
    frames = watch(out, made.frames).frames
    out.unlink()
    seen = View(tuple(made.settings["window"]), (made.width, made.height)).of(world.mask)
    return made, frames, seen
