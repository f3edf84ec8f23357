"""What a user gets who uploads a photo and asks for a move: the engine's own framing and its own mask.

The other rows know the mask exactly and leave room around the frame. Here the photo ends where its frame ends, is of
another format than the video, and nothing is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from datapipe.worlds.motion import CAMERA_MOVES
from engine.generate import Engine
from engine.requests import Camera, ImageToVideo, Subject
from trainer.evaluate import flow, pictures
from trainer.evaluate.films import make_fields, watch
from trainer.evaluate.motion import ENOUGH, LEAST
from trainer.evaluate.plan import FORMATS, SECONDS, plan_clips
from trainer.evaluate.prompts import WAYS, camera_shares
from trainer.evaluate.rows import Goal, Row, halo_rows, plain_row
from trainer.evaluate.scenes import View, World, make_world

MOVES = tuple(move for move in CAMERA_MOVES if move != "static")
SHORT_SIDE = 1080
_EDGE = 3


@dataclass(frozen=True)
class UserScores:
    """One film. `applied`: the strength that the settings report, as a share of the asked one; `obeyed`: the camera
    goes the asked way by a tenth of the asked travel at least (None: the scene cannot show it); `halo`: pixels.
    """

    index: int
    applied: float
    obeyed: bool | None
    halo: float | None


def score_as_user(engine: Engine, index: int, folder: Path) -> UserScores:
    """Film number `index`: a held-out scene as a photo, a move, the whole engine."""
    world = make_world(index, FORMATS[index % len(FORMATS)], SHORT_SIDE)
    request, photo, out = request_of(index), folder / "photo.png", folder / "film.mp4"
    frame = np.ascontiguousarray(world.photo[world.window])
    cv2.imwrite(str(photo), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    made = engine.generate(request, photo, out)
    frames = watch(out, made.frames).frames
    out.unlink()
    view = view_of(world, made.settings["window"], (made.width, made.height))
    fields = make_fields(engine, request, engine.prepare(request, photo))  # the same seed: the fields of the film
    return UserScores(
        index,
        applied=made.settings["applied_strength"] / request.camera.strength,
        obeyed=goes_the_asked_way(frames, view.of(world.mask), request.camera.move, request.camera.strength),
        halo=pictures.halo(world, fields, frames[-1], view),
    )


def user_rows(scores: list[UserScores]) -> list[Row]:
    """Framing and mask as users get them: what is left of the asked strength, and how it looks."""
    applied = [score.applied for score in scores]
    signs = [score.obeyed for score in scores if score.obeyed is not None]
    halos = [score.halo for score in scores if score.halo is not None]
    share = 100 * float(np.mean(signs)) if signs else None
    rows = [
        plain_row("as users get it: applied of the asked strength, median", "x", Goal(low=0.9), np.median, applied),
        plain_row("as users get it: applied of the asked strength, least", "x", Goal(low=0.5), np.min, applied),
        Row("as users get it: camera goes the asked way", "% of films", Goal(low=90), share, scenes=len(signs)),
        *halo_rows("as users get it: halo", halos),
    ]
    return [row for row in rows if row.scenes]


def request_of(index: int) -> ImageToVideo:
    """Every move, and every pair of formats of photo and video; strengths as in the plan."""
    strength = plan_clips(index + 1)[index].camera_strength
    return ImageToVideo.model_validate(
        {
            "format": FORMATS[(index + 1 + index // len(FORMATS) % (len(FORMATS) - 1)) % len(FORMATS)],
            "seconds": SECONDS,
            "short_side": SHORT_SIDE,
            "camera": Camera.model_validate({"move": MOVES[index % len(MOVES)], "strength": strength}),
            "subject": Subject(motion="still"),
            "seed": index,
        }
    )


def view_of(world: World, window: list[float], size: tuple[int, int]) -> View:
    """A window in pixels of the photo, which is the frame, as a view of the whole canvas."""
    x, y = world.layers.pad_x, world.layers.pad_y
    return View((window[0] + x, window[1] + y, window[2] + x, window[3] + y), size)


def goes_the_asked_way(frames: list[np.ndarray], mask: np.ndarray, camera: str, strength: float) -> bool | None:
    """Judged by the film's frames at u = 0, 1/8 .. 1 and the product's exact mask in the first, uint8."""
    small = [flow.small(frame) for frame in frames]
    textured, product = flow.textured(small[0]), flow.small_mask(mask)
    near, far = flow.eroded(product > 0.98, _EDGE) & textured, flow.eroded(product < 0.02, _EDGE) & textured
    if near.mean() < ENOUGH or far.mean() < ENOUGH:
        return None
    move, _, way = camera.partition("-")
    sign = 1.0 if way == WAYS[move][0] else -1.0
    return bool(sign * camera_shares(flow.forward_flows(small)[-1], near, far)[move] > LEAST * strength)
