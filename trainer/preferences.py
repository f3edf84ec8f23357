"""Preference pairs: a JSON-lines file, one pair a line, as approvals of a studio can supply them.

    {"settings": {...}, "photo": "cup.jpg", "mask": "cup.png", "preferred": 12, "rejected": 34}

`settings` is what both films were asked; what else a studio notes of a film there is passed over. `preferred` and
`rejected` are seeds, from which the base makes its films again, or clips, for bundles of latent video. `photo` (which
bundles of latent video do without, too), `mask` and clips are files, named from the folder of the pairs' file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from engine.bundles import steps_of
from engine.latent_video import LatentVideo
from engine.media.photo import open_photo
from engine.requests import MAX_SEED, Format, ImageToVideo
from engine.samplers import euler, shifted_times
from trainer.lora import cropped, open_item
from trainer.teachers import Inputs, LatentTeacher, MotionTeacher, Teacher, Wish, noise_of, sampled_by

KEYS = {"settings", "photo", "mask", "preferred", "rejected"}
USUAL_STEPS = 12
Choice = int | Path


@dataclass(frozen=True)
class Pair:
    """One line of the file, at `line` of it."""

    line: int
    settings: dict[str, Any]
    photo: Path | None
    mask: Path | None
    preferred: Choice
    rejected: Choice


@dataclass(frozen=True)
class LatentPair:
    """A pair as a transformer learns it: what was given and asked, as `Teacher.inputs` reads it, and both latents."""

    kind: str
    given: np.ndarray
    wish: Wish
    preferred_CThw: Tensor
    rejected_CThw: Tensor


def read_preferences(path: Path) -> list[Pair]:
    """The pairs of a file. ValueError names the line that is wrong, and says how."""
    if not path.is_file():
        raise ValueError(f"There is no file of pairs at {str(path)!r}: --set pairs=FILE.jsonl.")
    lines = [(number, line) for number, line in enumerate(path.read_text().splitlines(), 1) if line.strip()]
    pairs = [_pair(path, number, line) for number, line in lines]
    if not pairs:
        raise ValueError(f"{path} holds no pairs: write one a line.")
    return pairs


def _pair(path: Path, number: int, line: str) -> Pair:
    where = f"{path.name}, line {number}"
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where} is no JSON: {error}.") from None
    if not isinstance(found, dict) or not {"settings", "preferred", "rejected"} <= set(found) <= KEYS:
        raise ValueError(f"{where}: a pair has settings, preferred and rejected, and may have photo and mask.")
    if not isinstance(found["settings"], dict):
        raise ValueError(f"{where}: settings is an object, as {{'prompt': 'a red cup'}}.")
    preferred, rejected = (_choice(path, where, name, found[name]) for name in ("preferred", "rejected"))
    if preferred == rejected:
        raise ValueError(f"{where}: preferred and rejected are the same film.")
    photo, mask = (None if found.get(name) is None else _file(path, where, found[name]) for name in ("photo", "mask"))
    return Pair(number, found["settings"], photo, mask, preferred, rejected)


def _choice(path: Path, where: str, name: str, value: Any) -> Choice:
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value <= MAX_SEED:
            raise ValueError(f"{where}: {name} is a seed from 0 to {MAX_SEED}, not {value}.")
        return value
    if isinstance(value, str):
        return _file(path, where, value)
    raise ValueError(f"{where}: {name} is a seed or the name of a clip, not {value!r}.")


def _file(path: Path, where: str, name: Any) -> Path:
    file = path.parent / str(name)
    if not file.is_file():
        raise ValueError(f"{where}: there is no file {name} in {path.parent}.")
    return file


def encode_pair(teacher: Teacher, pair: Pair) -> LatentPair:
    """What the transformer learns of a pair. ValueError names its line where the bundle cannot have made it."""
    try:
        if isinstance(teacher, MotionTeacher):
            return _motion_pair(teacher, pair)
        assert isinstance(teacher, LatentTeacher)
        return _latent_pair(teacher, pair)
    except ValueError as error:
        said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise ValueError(f"The pair of line {pair.line}: {said}") from error


def _motion_pair(teacher: MotionTeacher, pair: Pair) -> LatentPair:
    if pair.photo is None:
        raise ValueError(f"{teacher.bundle.name} moves a photo: name it as `photo`.")
    seeds = [choice for choice in (pair.preferred, pair.rejected) if isinstance(choice, int)]
    if len(seeds) < 2:
        raise ValueError(f"{teacher.bundle.name} makes motion, which no clip tells: give the films' seeds.")
    known = {name: value for name, value in pair.settings.items() if name in ImageToVideo.model_fields}
    request = teacher.engine.settled(ImageToVideo.model_validate(known))
    prepared = teacher.engine.prepare(request, pair.photo, pair.mask)
    picture = prepared.picture_BCHW[0].permute(1, 2, 0).numpy()
    seen = np.concatenate([picture[..., :3] * 127.5 + 127.5, picture[..., 3:] * 255], -1)
    given = np.round(seen).clip(0, 255).astype(np.uint8)
    controls = [prepared.camera.move, prepared.camera.strength, request.subject.motion, request.subject.strength]
    wish = {"prompt": request.prompt, "controls": controls}
    assert request.format in get_args(Format)
    return LatentPair(
        request.format, given, wish, *made_again(teacher, request.format, given, wish, seeds, request.steps)
    )


def _latent_pair(teacher: LatentTeacher, pair: Pair) -> LatentPair:
    prompt = pair.settings.get("prompt", "")
    if not isinstance(prompt, str):
        raise ValueError(f"prompt is in words, not {prompt!r}.")
    (kind,), video = teacher.kinds, teacher.video
    photo = None if pair.photo is None else cropped(open_photo(pair.photo).rgb, teacher.height, teacher.width)[None]
    given = video.condition(photo, None, teacher.kinds[kind][1:])[0].half().numpy()
    steps = pair.settings.get("steps", steps_of(teacher.bundle, USUAL_STEPS))
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise ValueError(f"steps is a whole number from 1, not {steps!r}: leave it out where it was left open.")
    wish = {"prompt": prompt}
    found = []
    for choice in (pair.preferred, pair.rejected):
        if isinstance(choice, int):
            found += made_again(teacher, kind, given, wish, [choice], steps)
        else:
            found.append(_of_clip(teacher, video, choice))
    return LatentPair(kind, given, wish, *found)


@torch.no_grad()
def made_again(
    teacher: Teacher, kind: str, given: np.ndarray, wish: Wish, seeds: Sequence[int], steps: int
) -> list[Tensor]:
    """The latents [C, T, h, w] that the base makes of these seeds."""
    count = len(seeds)
    inputs: Inputs = teacher.inputs(np.stack([given] * count), [wish] * count, unasked=teacher.guidance != 1)
    velocity = sampled_by(teacher.model, inputs, teacher.guidance)
    *_, (_, data) = euler(velocity, noise_of(teacher, kind, seeds), shifted_times(steps, teacher.shift))
    return list(data.cpu())


def _of_clip(teacher: LatentTeacher, video: LatentVideo, clip: Path) -> Tensor:
    frames = open_item(clip, teacher.frames, teacher.height, teacher.width)
    if len(frames) < teacher.frames:
        raise ValueError(f"{clip.name} has fewer than {teacher.frames} frames: give a whole clip.")
    return video.encode(frames)[0]
