"""Videos of held-out scenes: the engine's own path from the framed photo to the MP4, with given parts exchanged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from engine.generate import Engine, Prepared
from engine.media.fields import MotionFields
from engine.media.layers import build_layers
from engine.media.photo import Photo
from engine.media.video import decode_frames, render_video
from engine.requests import ImageToVideo
from engine.seen import picture_tensor
from trainer.evaluate.scenes import World

MOMENTS = 8  # flows are measured at u = 1/8 .. 8/8 of the clip


@dataclass(frozen=True)
class Film:
    """A decoded clip: the frames at u = 0, 1/8 .. 1 (uint8 RGB), and how much consecutive frames differ."""

    frames: list[np.ndarray]
    changes: np.ndarray  # mean absolute difference of each frame to the one before, 0..255


def prepare(world: World, request: ImageToVideo) -> Prepared:
    """What `Engine.prepare` makes of a photo, for a window and a mask that are known exactly."""
    layers = build_layers(Photo(world.photo, None), world.mask, world.framing, request.size)
    return Prepared(layers, world.framing, picture_tensor(layers, request.format), request.camera, [])


def make_fields(engine: Engine, request: ImageToVideo, prepared: Prepared) -> MotionFields:
    """The fields that are rendered: the last denoising step, kept within the canvas."""
    assert request.seed is not None
    *_, fields = engine.denoise(request, prepared, request.seed)
    assert fields is not None, "the last step is looked at"
    return within_canvas(fields, prepared)


def within_canvas(fields: MotionFields, prepared: Prepared) -> MotionFields:
    return prepared.fit(fields)[0]


def film(prepared: Prepared, fields: MotionFields, folder: Path, *, fps: int, frames: int) -> Film:
    """Write the MP4 and decode it again."""
    path = folder / "clip.mp4"
    render_video(prepared.layers, fields, path, fps=fps, frames=frames)
    try:
        return watch(path, frames)
    finally:
        path.unlink()


def watch(path: Path, count: int) -> Film:
    """Decode a clip of `count` frames."""
    wanted = {round(k * (count - 1) / MOMENTS) for k in range(MOMENTS + 1)}
    kept, changes = [], []
    before: np.ndarray | None = None
    for index, frame in enumerate(_rgb_frames(path)):
        if index in wanted:
            kept.append(frame)
        if before is not None:
            changes.append(float(cv2.absdiff(frame, before).mean()))
        before = frame
    assert len(kept) == MOMENTS + 1, f"{path} has fewer than {count} frames"
    return Film(kept, np.array(changes))


def random_weights(engine: Engine, seed: int = 0) -> None:
    """Replace the DiT's weights by random ones, in place: the control that every motion row has to fail."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in engine.dit.parameters():
            scale = max(parameter.shape[-1], 1) ** -0.5 if parameter.dim() > 1 else 0.1
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)


def _rgb_frames(path: Path) -> Iterator[np.ndarray]:
    for _, frame in decode_frames(path):
        yield frame
