"""From what was asked to what a model makes natively, and back: sizes, lengths, and the scaling of a finished video.

Torch-free.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from engine.events import Notice
from engine.media.colour import to_yuv
from engine.pretrained.families import Native
from engine.requests import FORMATS, Format

SLOWEST = 1.25  # times longer than made; beyond, it is another film


@dataclass(frozen=True)
class Plan:
    """What the model makes for one request: `width` x `height`, `frames` at `fps`; and what is shown of it, in frames
    of its own: output frame i is native frame i * `pace`."""

    width: int
    height: int
    frames: int
    fps: int
    pace: float
    notices: tuple[Notice, ...]


def plan_native(native: Native, format: Format, size: tuple[int, int], frames: int, fps: int) -> Plan:
    """The nearest that the model makes to `frames` of `size` (width, height) at `fps`.

    ValueError where the video would be more than SLOWEST times as long as the model's longest.
    """
    width, height = native.size or _size(native, format)
    needed = (frames - 1) / fps * native.fps  # native frames after the first
    made = min(native.frames, math.ceil(round(needed, 6) / native.step) * native.step + 1)
    slower = max(1.0, needed / (made - 1))
    if slower > SLOWEST:
        longest = SLOWEST * (native.frames - 1) / native.fps
        raise ValueError(
            f"This model makes videos of at most {longest:.1f} seconds; {frames / fps:.1f} were asked. Ask for less."
        )
    pace = native.fps / fps / slower
    told = [f"The model made {made} frames of {width}x{height} at {native.fps} a second"]
    if (width, height) != size:
        told.append(f"each was scaled and cropped to {size[0]}x{size[1]}")
    if abs(pace - 1) > 1e-9:
        told.append(f"frames between them were blended for {fps} a second")
    notices = [Notice("native_size", "; ".join(told) + ".")] if len(told) > 1 else []
    if slower > 1.001:
        notices.append(Notice("slowed", f"The model's longest video was shown {slower:.2f} times as long."))
    return Plan(width, height, made, native.fps, pace, tuple(notices))


def _size(native: Native, format: Format) -> tuple[int, int]:
    """(width, height) of the trained number of pixels, in this format as nearly as multiples allow."""
    w, h = FORMATS[format]
    unit = math.sqrt(native.pixels / (w * h)) / native.multiple
    return max(1, round(w * unit)) * native.multiple, max(1, round(h * unit)) * native.multiple


def fitted(frames_THWC: np.ndarray, plan: Plan, size: tuple[int, int], frames: int) -> Iterator[np.ndarray]:
    """The output's frames one after another, uint8 RGB [H, W, 3]: between two native frames their blend.

    Blending shows both neighbours faintly where motion is fast; it invents nothing.
    """
    last = len(frames_THWC) - 1
    for i in range(frames):
        place = min(i * plan.pace, last)
        before = min(int(place + 1e-6), last)
        share = max(0.0, place - before)
        frame = frames_THWC[before]
        if share > 1e-6:
            frame = cv2.addWeighted(frame, 1 - share, frames_THWC[before + 1], share, 0)
        yield covered(frame, size)


def covered(image_HWC: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The picture scaled to cover `size` (width, height), what stands over cut off evenly."""
    tall, wide = image_HWC.shape[:2]
    if (wide, tall) == size:
        return image_HWC
    how = cv2.INTER_AREA if max(size[0] / wide, size[1] / tall) < 1 else cv2.INTER_CUBIC
    return cv2.resize(cropped(image_HWC, *size), size, interpolation=how)


def cropped(image_HWC: np.ndarray, width: int, height: int) -> np.ndarray:
    """The largest part of the middle that has the form of the video."""
    left, top, columns, rows = middle(image_HWC.shape[1::-1], width, height)
    return np.ascontiguousarray(image_HWC[top : top + rows, left : left + columns])


def middle(size: tuple[int, ...], width: int, height: int) -> tuple[int, int, int, int]:
    """Of a picture of `size` (width, height) what `cropped` keeps: (left, top, width, height)."""
    wide, tall = size
    scale = min(wide / width, tall / height)
    columns, rows = max(1, round(width * scale)), max(1, round(height * scale))
    return (wide - columns) // 2, (tall - rows) // 2, columns, rows


def surrounded(image_HWC: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The reverse of `cropped`: in the middle of a picture of `size` (width, height), mirrored where that is wider."""
    tall, wide = image_HWC.shape[:2]
    left, top = (size[0] - wide) // 2, (size[1] - tall) // 2
    right, bottom = size[0] - wide - left, size[1] - tall - top
    return cv2.copyMakeBorder(image_HWC, top, bottom, left, right, cv2.BORDER_REFLECT_101)


def to_i420(rgb_HWC: np.ndarray) -> np.ndarray:
    """[H, W, 3] uint8 RGB -> the planes that `VideoWriter` takes; chroma averaged over 2 x 2."""
    yuv = to_yuv(rgb_HWC)
    height, width = yuv.shape[:2]
    half = cv2.resize(yuv, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    chroma = half[..., 1:].transpose(2, 0, 1).reshape(height // 2, width)
    return np.concatenate([yuv[..., 0], chroma])
