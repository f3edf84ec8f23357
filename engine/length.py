"""Videos longer than a model was trained for: chunk after chunk, each begun with the last frames of the one before.

A chunk is made as any video is, so memory does not grow with the length, and each is kept on disk as soon as it is
there: a run that was stopped goes on behind its last whole chunk, to the same frames. What one chunk hands on is its
last frames as they were decoded, for a causal VAE's first latent stands for a single frame wherever a chunk begins.

Legend: T H W time, height, width.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from engine.bundles import steps_of
from engine.events import Canceled
from engine.latent_video import TIME, USUAL_STEPS, LatentVideo

REQUEST = "request.json"


@dataclass(frozen=True)
class LongVideo:
    """What to make: `frames` in all, `chunk` at a time, of which the first `overlap` are those that were last; `steps`
    as in `LatentVideo.denoise`.

    ValueError where the numbers do not go together.
    """

    prompt: str
    frames: int
    chunk: int = 17
    overlap: int = 5
    height: int = 64
    width: int = 64
    steps: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("chunk", "overlap"):
            if (getattr(self, name) - 1) % TIME or getattr(self, name) < 1:
                raise ValueError(f"`{name}` is 1 + {TIME}n frames, not {getattr(self, name)}.")
        if self.overlap >= self.chunk:
            raise ValueError(f"An overlap of {self.overlap} leaves nothing new in a chunk of {self.chunk} frames.")
        for name, count in (("frames", self.frames), ("steps", self.steps)):
            if count is not None and count < 1:
                raise ValueError(f"{count} {name}: a video takes at least one.")

    @property
    def chunks(self) -> int:
        """How many chunks there are."""
        return 1 + max(0, -(-(self.frames - self.chunk) // (self.chunk - self.overlap)))

    @property
    def seams(self) -> list[int]:
        """The first new frame of every chunk but the first."""
        return [self.chunk + i * (self.chunk - self.overlap) for i in range(self.chunks - 1)]


def make_long(
    model: LatentVideo,
    video: LongVideo,
    folder: Path,
    *,
    known: np.ndarray | None = None,
    on_chunk: Callable[[int, int], None] = lambda done, total: None,
    is_canceled: Callable[[], bool] = lambda: False,
) -> Iterator[np.ndarray]:
    """New frames [T, H, W, 3] uint8, chunk after chunk, `video.frames` in all. `known` begins the first chunk.

    `folder` keeps the chunks, and whatever of them is there already is not made again; what a crash left of one is.
    ValueError where it holds chunks of another video, or does not say of which; Canceled between steps, with the whole
    chunks kept.
    """
    _claim(folder, video, model, known)
    left, last = video.frames, known
    for index in range(video.chunks):
        path = folder / f"chunk-{index:04}.npy"
        made = _kept(path, video)
        if made is None:
            made = _chunk(model, video, index, last, is_canceled)
            _keep(path, made)
        new = made[: video.chunk] if index == 0 else made[video.overlap :]
        yield new[:left]
        left, last = left - len(new), made[-video.overlap :]
        on_chunk(index + 1, video.chunks)


def _chunk(
    model: LatentVideo, video: LongVideo, index: int, known: np.ndarray | None, is_canceled: Callable[[], bool]
) -> np.ndarray:
    latents = None
    for _, data in model.denoise(
        video.prompt,
        known=known,
        frames=video.chunk,
        height=video.height,
        width=video.width,
        steps=video.steps,
        seed=video.seed + index,
    ):
        latents = data
        if is_canceled():
            raise Canceled
    assert latents is not None
    return model.decode(latents)


def _kept(path: Path, video: LongVideo) -> np.ndarray | None:
    """The chunk of this file; None where there is none, or none that is whole: it is made again, to the same frames."""
    try:
        frames: np.ndarray = np.load(path)
    except FileNotFoundError:
        return None
    except (ValueError, EOFError):  # of a file that ends too early, or holds something else
        return None
    whole = frames.dtype == np.uint8 and frames.shape == (video.chunk, video.height, video.width, 3)
    return frames if whole else None


def _keep(path: Path, frames: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.save(buffer, frames)
    _write_whole(path, buffer.getvalue())


def _write_whole(path: Path, content: bytes) -> None:
    """Whole or not at all, and on the disk before it has its name."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _claim(folder: Path, video: LongVideo, model: LatentVideo, known: np.ndarray | None) -> None:
    begun = None if known is None else hashlib.sha256(f"{known.shape}".encode() + known.tobytes()).hexdigest()
    about = {"model": model.bundle.digest, "transformer": model.kind.__name__, **model.denoiser.identity}
    steps = steps_of(model.bundle, USUAL_STEPS) if video.steps is None else video.steps
    request = {**asdict(video), **about, "known": begun, "steps": steps}
    request.pop("frames")  # a longer video goes on where a shorter one ended
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / REQUEST
    if not any(folder.glob("chunk-*.npy")):
        _write_whole(path, (json.dumps(request, indent=2) + "\n").encode())
        return
    try:
        before = json.loads(path.read_text())
        other = sorted(name for name in request if before.get(name) != request[name])
    except (FileNotFoundError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{folder} holds chunks, and no {REQUEST} that can be read says of which video. Use another folder, or "
            f"remove it."
        ) from error
    if other:
        raise ValueError(
            f"{folder} holds chunks of another video (other: {', '.join(other)}). Use another folder, or remove it."
        )


def seam_error(frames_THW3: np.ndarray, seams: list[int]) -> float:
    """How much greater the step over a seam is than other steps between frames: mean absolute differences, 1 is none.

    ValueError without a seam, or where nothing moves elsewhere.
    """
    steps = np.abs(np.diff(frames_THW3.astype(np.float32), axis=0)).mean((1, 2, 3))
    at = np.zeros(len(steps), bool)
    at[[seam - 1 for seam in seams if seam <= len(steps)]] = True
    if not at.any() or at.all() or not steps[~at].any():
        raise ValueError("A seam is measured in a moving video that has one.")
    return float(steps[at].mean() / steps[~at].mean())


def drift(frames_THW3: np.ndarray, chunk: int) -> dict[str, float]:
    """How far the last chunk has gone from the first: its mean colour (0 to 255), its contrast and detail (ratios)."""
    first, last = (part.astype(np.float32) for part in (frames_THW3[:chunk], frames_THW3[-chunk:]))
    return {
        "colour": float(np.abs(last.mean((0, 1, 2)) - first.mean((0, 1, 2))).max()),
        "contrast": float(last.std((1, 2)).mean() / max(first.std((1, 2)).mean(), 1e-6)),
        "detail": float(_detail(last) / max(_detail(first), 1e-6)),
    }


def _detail(frames_THW3: np.ndarray) -> float:
    return float(np.abs(np.diff(frames_THW3, axis=2)).mean())
