"""The options of `generate`, alike on every command line. Torch-free."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from engine.requests import MAX_SEED, CameraMove, Format, ImageToVideo, SubjectMotion

DEFAULTS = ImageToVideo()


def add_video_options(parser: ArgumentParser) -> None:
    """Everything that an `ImageToVideo` may ask."""
    parser.add_argument("-o", "--out", type=Path, required=True, help="the MP4 to write")
    parser.add_argument("--mask", type=Path, help="a gray picture in which the product is white")
    parser.add_argument("--format", choices=get_args(Format), default=DEFAULTS.format)
    parser.add_argument("--seconds", type=float, default=DEFAULTS.seconds, help="3 to 15")
    parser.add_argument("--fps", type=int, default=DEFAULTS.fps, help="24, 25 or 30")
    parser.add_argument("--short-side", type=int, default=DEFAULTS.short_side, help="540, 720 or 1080 pixels")
    parser.add_argument("--camera", choices=get_args(CameraMove), default=DEFAULTS.camera.move)
    parser.add_argument("--strength", type=float, default=DEFAULTS.camera.strength, help="of the camera, 0.1 to 1")
    parser.add_argument("--subject", choices=get_args(SubjectMotion), default=DEFAULTS.subject.motion)
    parser.add_argument("--subject-strength", type=float, default=DEFAULTS.subject.strength, help="0.1 to 1")
    parser.add_argument("--prompt", default=DEFAULTS.prompt)
    parser.add_argument("--seed", type=int, help=f"0 to {MAX_SEED}; the same seed gives the same video")
    parser.add_argument("--steps", type=int, default=DEFAULTS.steps, help="denoising steps, 4 to 50")
    parser.add_argument("--bundle", type=Path, help="the folder of the model to use; the studio's own by default")


def image_to_video(options: Mapping[str, Any]) -> ImageToVideo:
    """The request of these options; pydantic's ValidationError where one is out of bounds."""
    plain = ("format", "seconds", "fps", "short_side", "prompt", "seed", "steps")
    return ImageToVideo.model_validate(
        {
            **{name: options[name] for name in plain},
            "camera": {"move": options["camera"], "strength": options["strength"]},
            "subject": {"motion": options["subject"], "strength": options["subject_strength"]},
        }
    )
