"""A made voice: syllables whose loudness over time is known exactly, as numbers and as sound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RATE = 16_000  # samples a second
_FORMANTS = ((650.0, 130.0, 1.0), (1250.0, 180.0, 0.5), (2600.0, 260.0, 0.22))  # Hz, bandwidth, gain: an open vowel


@dataclass(frozen=True)
class Voice:
    """Syllables as (middle s, half length s, loudness 0..1); `pitch` in Hz."""

    seconds: float
    pitch: float
    syllables: tuple[tuple[float, float, float], ...]


def sample_voice(rng: np.random.Generator, seconds: float) -> Voice:
    """Words of one to four syllables with pauses between them."""
    syllables: list[tuple[float, float, float]] = []
    at = float(rng.uniform(0.02, 0.12))
    while at < seconds:
        for _ in range(int(rng.integers(1, 5))):
            half = float(rng.uniform(0.11, 0.19))
            syllables.append((at + half, half, float(rng.uniform(0.45, 1.0))))
            at += 2 * half * float(rng.uniform(0.8, 1.0))
        at += float(rng.uniform(0.12, 0.4))
    return Voice(seconds, float(rng.uniform(95, 230)), tuple(syllables))


def envelope(voice: Voice, seconds_N: np.ndarray) -> np.ndarray:
    """Loudness in [0, 1] at these times, float32 [N]: raised cosines, the loudest where two overlap."""
    middle, half, level = np.array(voice.syllables).T[:, :, None]
    away = np.clip((np.asarray(seconds_N, float)[None] - middle) / half, -1, 1)
    return (level * 0.5 * (1 + np.cos(np.pi * away))).max(0).astype(np.float32)


def sound(voice: Voice) -> np.ndarray:
    """The voice as mono samples at RATE, float32 in [-1, 1]: a hum of even loudness, shaped by the envelope."""
    time_N = np.arange(round(voice.seconds * RATE)) / RATE
    glide = 1 + 0.04 * np.sin(2 * np.pi * 0.7 * time_N)
    phase_N = 2 * np.pi * np.cumsum(voice.pitch * glide) / RATE
    hum_N = np.zeros_like(time_N)
    for harmonic in range(1, int(3400 / voice.pitch)):
        pitch = harmonic * voice.pitch
        gain = sum(g / (1 + ((pitch - at) / width) ** 2) for at, width, g in _FORMANTS)
        hum_N += gain / harmonic**0.5 * np.sin(harmonic * phase_N + harmonic**2)
    hum_N /= max(float(np.abs(hum_N).max()), 1e-9)
    return (0.9 * hum_N * envelope(voice, time_N)).astype(np.float32)
