"""Which clips a run makes: every camera move, subject motion and format about equally often, however many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from datapipe.worlds.motion import CAMERA_MOVES, SUBJECT_MOTIONS, Motion
from engine.requests import Camera, Format, ImageToVideo, Subject
from trainer.evaluate.scenes import asked_motion

FORMATS: tuple[Format, ...] = get_args(Format)
Sentence = Literal["camera", "subject", "contradicted"]
Control = Literal["random", "exact", "seeds"]
CONTROLS: tuple[Control, ...] = get_args(Control)
SECONDS = 3.0
_GOLDEN = 0.6180339887  # strengths are spread by the golden ratio: any stretch of clips covers them evenly
_WEAKEST = 0.15
_CYCLE = len(CAMERA_MOVES) * len(SUBJECT_MOTIONS)
_LARGE_EVERY, _LARGE_AT = 7, 3  # these clips are made at full size, for the rows on pictures
_CONTROL_EVERY = 5  # these clips are also filmed with random weights, with exact fields, with another seed


@dataclass(frozen=True)
class Clip:
    """One scene and what is asked of it."""

    index: int
    format: Format
    short_side: Literal[540, 720, 1080]
    camera: str
    camera_strength: float
    subject: str
    subject_strength: float
    controls: tuple[Control, ...] = ()

    @property
    def asked(self) -> Motion:
        return asked_motion(self.camera, self.camera_strength, self.subject, self.subject_strength)

    @property
    def is_large(self) -> bool:
        return self.short_side == 1080

    @property
    def sentence(self) -> Sentence:
        return ("camera", "subject", "contradicted")[self.index % 3]

    def request(self, seed: int | None = None) -> ImageToVideo:
        """The request with explicit controls."""
        return ImageToVideo.model_validate(
            {
                "format": self.format,
                "seconds": SECONDS,
                "short_side": self.short_side,
                "camera": Camera.model_validate({"move": self.camera, "strength": self.camera_strength}),
                "subject": Subject.model_validate({"motion": self.subject, "strength": self.subject_strength}),
                "seed": self.index if seed is None else seed,
            }
        )


def plan_clips(count: int, short_side: Literal[540, 720, 1080] = 540, *, large: bool = True) -> list[Clip]:
    """The first `count` clips; `large` ones at 1080 among them."""
    return [_clip(index, short_side, large) for index in range(count)]


def _clip(index: int, short_side: Literal[540, 720, 1080], large: bool) -> Clip:
    cycle = index // _CYCLE
    return Clip(
        index=index,
        format=FORMATS[(index + cycle) % len(FORMATS)],
        short_side=1080 if large and index % _LARGE_EVERY == _LARGE_AT else short_side,
        camera=CAMERA_MOVES[index % len(CAMERA_MOVES)],
        camera_strength=round(_WEAKEST + (1 - _WEAKEST) * (index * _GOLDEN % 1), 3),
        subject=SUBJECT_MOTIONS[index // len(CAMERA_MOVES) % len(SUBJECT_MOTIONS)],
        subject_strength=round(_WEAKEST + (1 - _WEAKEST) * ((index + 0.5) * _GOLDEN**2 % 1), 3),
        controls=CONTROLS if index % _CONTROL_EVERY == 0 else (),
    )
