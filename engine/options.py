"""The options of `generate`, alike on every command line. Torch-free."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Collection, Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, get_args

from annotated_types import Ge, Le
from pydantic import BaseModel

from engine.requests import MAX_SEED, Camera, CameraMove, Format, ImageToVideo, Subject, SubjectMotion

DEFAULTS = ImageToVideo()
FILM = ("format", "seconds", "fps", "short_side", "prompt", "seed", "steps")
CONTROLS = ("camera", "strength", "subject", "subject_strength", "mask", "cache", "mesh")
OF_LATENTS = ("prompt", "seed", "steps", "fps", "dit", "frames", "size", "guidance", "adapter", "cache", "mesh")
OPTIONS = tuple(dict.fromkeys((*FILM, *CONTROLS, *OF_LATENTS, "device")))


def add_video_options(parser: ArgumentParser) -> None:
    """Everything that an `ImageToVideo` may ask. What is not said is None, and as DEFAULTS has it."""
    seconds, steps = (between(ImageToVideo, name) for name in ("seconds", "steps"))
    fps, pixels = (either(ImageToVideo, name) for name in ("fps", "short_side"))
    camera, subject, decides = DEFAULTS.camera, DEFAULTS.subject, "the prompt or the model decides"
    parser.add_argument("-o", "--out", type=Path, required=True, help="the MP4 to write")
    parser.add_argument("--mask", type=Path, help="a gray picture in which the product is white (the automatic one)")
    parser.add_argument("--format", choices=get_args(Format), help=f"width to height ({DEFAULTS.format})")
    parser.add_argument("--seconds", type=float, help=f"{seconds} ({DEFAULTS.seconds:g})")
    parser.add_argument("--fps", type=int, help=f"{fps} ({DEFAULTS.fps})")
    parser.add_argument("--short-side", type=int, help=f"{pixels} pixels ({DEFAULTS.short_side})")
    parser.add_argument("--camera", choices=get_args(CameraMove), help=f"auto: {decides} ({camera.move})")
    strength = f"of the camera, {between(Camera, 'strength')} ({camera.strength})"
    parser.add_argument("--strength", type=float, help=strength)
    parser.add_argument("--subject", choices=get_args(SubjectMotion), help=f"auto: {decides} ({subject.motion})")
    strength = f"{between(Subject, 'strength')} ({subject.strength})"
    parser.add_argument("--subject-strength", type=float, help=strength)
    parser.add_argument("--prompt", help="plain English words (none)")
    parser.add_argument("--seed", type=int, help=f"0 to {MAX_SEED}; the same seed gives the same video (any)")
    told = f"denoising steps, {steps} (those that the bundle was distilled to, else {DEFAULTS.steps})"
    parser.add_argument("--steps", type=int, help=told)
    parser.add_argument("--bundle", type=Path, help="the folder of the model to use; the studio's own by default")


def between(model: type[BaseModel], name: str) -> str:
    """The bounds of a field, as `3 to 15`."""
    limits = model.model_fields[name].metadata
    (low,) = (limit.ge for limit in limits if isinstance(limit, Ge))
    (high,) = (limit.le for limit in limits if isinstance(limit, Le))
    return f"{low:g} to {high:g}"


def either(model: type[BaseModel], name: str) -> str:
    """The values of a field, as `24, 25 or 30`."""
    *values, last = map(str, get_args(model.model_fields[name].annotation))
    return f"{', '.join(values)} or {last}"


def image_to_video(options: Mapping[str, Any]) -> ImageToVideo:
    """The request of these options; pydantic's ValidationError where one is out of bounds."""

    def said(**fields: str) -> dict[str, Any]:
        return {field: options[name] for field, name in fields.items() if options[name] is not None}

    return ImageToVideo.model_validate(
        {
            **said(**{name: name for name in FILM}),
            "camera": said(move="camera", strength="strength"),
            "subject": said(motion="subject", strength="subject_strength"),
        }
    )


def check_files(out: Path, *given: Path | None) -> None:
    """Before any work: ValueError where a given file cannot be read, or the video cannot be written as `out`."""
    files = [file for file in given if file is not None]
    for file in files:
        try:
            if not file.is_file():
                raise ValueError(f"There is no file {file}.")
            file.open("rb").close()
        except OSError as error:
            raise ValueError(f"The file {file} cannot be read: {error.strerror}.") from error
    try:
        if out.is_dir():
            raise ValueError(f"{out} is a folder. Name the MP4 to write in it.")
        if not out.parent.is_dir():
            raise ValueError(f"There is no folder {out.parent} to write into.")
        if out.exists() and any(map(out.samefile, files)):
            raise ValueError(f"The video would replace {out}, which it is made of. Name another file.")
        if out.suffix.lower() != ".mp4":
            raise ValueError(f"The video is an MP4: end its name in .mp4, unlike {out}.")
        TemporaryFile(dir=out.parent).close()
    except OSError as error:
        raise ValueError(f"The folder {out.parent} cannot be written into: {error.strerror}.") from error


def understood_of(settings: Mapping[str, Any]) -> str | None:
    """A line of what a prompt was taken for, from the settings of its video; None where it was not asked."""
    free = [name for name, by in settings.get("decided_by", {}).items() if by != "control"]
    if not free or not str(settings.get("prompt", "")).strip():
        return None
    said = [f"{name} {settings['understood'][name]}" for name in free if name in settings["understood"]]
    return f"Understood from the prompt: {', '.join(said) or 'nothing of ' + ' or '.join(free)}."


def size_of(text: str) -> tuple[int, int]:
    """Width and height of `832x480`; ValueError where it is no size."""
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) >= 16 for side in sides):
        raise ValueError(f"--size is WIDTHxHEIGHT in pixels, each at least 16, for example 832x480, not {text!r}.")
    return int(sides[0]), int(sides[1])


def refuse_unused(options: Mapping[str, Any], used: Collection[str], what: str) -> None:
    """ValueError that names what was said and is not used by `what`."""
    unused = [f"--{name.replace('_', '-')}" for name in OPTIONS if name not in used and options[name] is not None]
    if unused:
        raise ValueError(f"{what} does not use {', '.join(unused)}: leave that out.")
