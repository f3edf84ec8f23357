"""A video from the wish to the file: what is asked, what is on its way, what was made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from engine.clock import Clock, OnEvent
from engine.events import Canceled, Notice, Preview
from engine.media.compose import preview_jpeg
from engine.media.fields import MotionFields, fit_to_canvas, share_that_keeps
from engine.media.framing import Framing
from engine.media.layers import Layers
from engine.requests import Camera, ImageToVideo

IsCanceled = Callable[[], bool]
PREVIEW_EVERY = 3  # denoising steps


@dataclass(frozen=True)
class Generated:
    """A finished video, and all that is needed to make it again."""

    path: Path
    width: int
    height: int
    fps: int
    frames: int
    seconds: float
    settings: dict[str, Any]
    model: dict[str, str]
    notices: list[Notice] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    """A photo taken apart for one request."""

    layers: Layers
    framing: Framing
    picture_BCHW: Tensor  # rgb in [-1, 1] and mask in [0, 1], on the model's grid
    camera: Camera  # as the framing allows it
    notices: list[Notice]

    def fit(self, fields: MotionFields) -> tuple[MotionFields, float]:
        """The model's fields within the canvas, with the product in the picture, and the factor that this took beyond
        what the framing announced.

        A camera that is left to the model has no strength to be asked for less: there the path itself is shortened.
        """
        if self.camera.move == "auto" and self.framing.strength_scale < 1:
            fields = fields.scaled(self.framing.strength_scale)
        return fit_to_canvas(fields, self.framing, self.layers.window_mask() if any(self.framing.keeps) else None)

    def share_kept(self, made: MotionFields) -> float:
        """How much of a motion that was made to fit leaves the product in the picture: below 1 where half of what was
        asked, which is always left, takes it out.
        """
        if not any(self.framing.keeps):
            return 1.0
        return share_that_keeps(made.product_flow, self.layers.window_mask(), self.framing)


@dataclass(frozen=True)
class Task:
    """One video to make: what is asked, of which photo, to which file, and who is told of it."""

    request: ImageToVideo
    photo: Path
    out: Path
    mask: Path | None = None
    on_event: OnEvent = lambda event: None
    is_canceled: IsCanceled = lambda: False

    def go_on(self) -> None:
        """Raises Canceled where the caller has had enough."""
        if self.is_canceled():
            raise Canceled


@dataclass
class Film:
    """A task that is being worked on."""

    task: Task
    seed: int
    clock: Clock
    prepared: Prepared
    small: Layers
    fields: MotionFields | None = None

    def show(self, step: int, fields: MotionFields | None) -> None:
        """Step `step` of denoising is done; `fields` is what came of it, where that was looked at."""
        steps = self.task.request.steps
        self.clock.step(step)
        self.task.go_on()
        self.fields = fields
        if fields is not None and step < steps and step % PREVIEW_EVERY == 0:
            shown, _ = self.prepared.fit(fields)
            self.task.on_event(Preview(preview_jpeg(self.small, shown, step / steps), step))
