"""Does a bundle repeat what it was trained on? Every film beside the training clip that is nearest to it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

_SIDE, _EVERY = 12, 4  # pixels a side and frames of a film's gist


@dataclass(frozen=True)
class Nearest:
    """Of one film: its nearest training clip, and the distance to it, 0 (the same) to 2."""

    index: int
    distance: float


def gist(film: np.ndarray) -> np.ndarray:
    """What of a film is compared: small grey frames, whatever the brightness and contrast, as one unit vector."""
    frames = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in film[::_EVERY]]
    small = np.stack([cv2.resize(frame, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for frame in frames])
    values = small.astype(np.float32).reshape(-1)
    values = values - values.mean()
    return values / max(float(np.linalg.norm(values)), 1e-6)


def nearest(film: np.ndarray, training: np.ndarray) -> Nearest:
    """The training clip of the greatest likeness; `training` holds gists [clips, features]."""
    distances = 1 - training @ gist(film)
    index = int(distances.argmin())
    return Nearest(index, max(0.0, float(distances[index])))


def memorised(found: list[Nearest], unseen: list[Nearest]) -> float:
    """Median over films of their distance over that of the exact film of the same scene, which nobody has seen.

    About 1: no nearer to the training clips than new clips are. Near 0: copies of training clips.
    """
    pairs = zip(found, unseen, strict=True)
    return float(np.median([one.distance / max(other.distance, 1e-6) for one, other in pairs]))
