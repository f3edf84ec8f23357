"""What a running generation tells its caller. Torch-free, plain frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Stage = Literal["load", "prepare", "denoise", "render"]


@dataclass(frozen=True)
class Progress:
    """`step` of `steps` within `stage`; `fraction` (0..1) and `eta_seconds` (None: not known yet) are of the whole
    job.
    """

    stage: Stage
    step: int
    steps: int
    fraction: float
    eta_seconds: float | None = None


@dataclass(frozen=True)
class Preview:
    """A small JPEG of what the video looks like after denoising step `step`."""

    jpeg: bytes
    step: int


@dataclass(frozen=True)
class Notice:
    """Something the user should know; `code` is stable, `message` a sentence."""

    code: str
    message: str


PROMPT_CUT = Notice("prompt_cut", "The prompt is long: only its beginning is read. Put what matters most first.")


class Canceled(Exception):
    """Raised out of a generation when its caller asked it to stop; nothing was written."""
