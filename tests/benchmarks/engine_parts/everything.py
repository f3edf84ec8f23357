"""Everything on against the plain reference settings, and what each contributes.

The reference: float32, 50 steps, guidance in all of them, no compilation, no cache. Added one after another: as few
steps as stay within 40 dB of the 100-step film, bfloat16 where the processor has instructions for it, blocks compiled
where a C++ compiler is found, the cache. Each is kept only where it is faster: on small models bfloat16 may cost more
than it saves. Quality is the PSNR of decoded frames to the reference's own.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.cache.calibrate import calibrate
from engine.device import CPU, narrow
from tests.benchmarks.engine_parts.cache import (
    COUNTS,
    GOOD,
    NEAR,
    REFERENCE,
    TINY,
    WORST,
    Size,
    Subject,
    cached_request,
    fastest,
    half_call,
    in_turns,
    mean_psnr,
    nano,
    over_requests,
    psnr,
    row,
    tiny_video,
)

PLAIN_STEPS = 50
COMPILERS = ("c++", "g++", "clang++")


@dataclass(frozen=True)
class Settings:
    """How a request is denoised."""

    steps: int = PLAIN_STEPS
    bf16: bool = False
    compiled: bool = False
    cache: tuple[Any, Any] | None = None  # calibration and setting


def rows(reduced: bool) -> list[dict[str, Any]]:
    """All rows; tiny_video's where its bundle is there."""
    torch.set_num_threads(1)
    size = Size(3, 2, 2) if reduced else Size(8, 16, 5)
    subjects = [nano(), *([tiny_video(TINY)] if TINY.is_dir() else [])]
    return [found for subject in subjects for found in rows_of(subject, size)]


@torch.inference_mode()
def rows_of(subject: Subject, size: Size) -> list[dict[str, Any]]:
    learn, held_out = range(1000, 1000 + size.calibration), range(size.requests)
    plain = Settings()
    best, found = plain, []
    for name, change in changes(subject, learn, size.rounds):
        tried = change(best)
        ours, before = in_turns(size.rounds, lambda: run(subject, tried, 0), lambda: run(subject, best, 0))  # noqa: B023
        kept = ours < before
        what = f"{subject.name}: {name}{'' if kept else ' (slower, so left off)'}"
        found.append(row(what, ours * 1000, before * 1000, "ms", "a contribution", True, {"kept": kept}))
        best = tried if kept else best
    return [*found, whole_row(subject, plain, best, held_out, size.rounds)]


def whole_row(
    subject: Subject, plain: Settings, best: Settings, requests: Sequence[int], rounds: int
) -> dict[str, Any]:
    """All that was kept, against the reference: its speed, and the PSNR of its films to the reference's."""
    ours, reference = over_requests(requests, rounds, lambda i: run(subject, best, i), lambda i: run(subject, plain, i))
    quality = [
        psnr(subject.decode(i, run(subject, plain, i)), subject.decode(i, run(subject, best, i))) for i in requests
    ]
    good = statistics.mean(quality) >= GOOD and min(quality) >= WORST
    detail = {"mean dB": statistics.mean(quality), "worst dB": min(quality), "requests": len(requests)}
    what = f"{subject.name}: everything on ({describe(best)}) against float32, {PLAIN_STEPS} steps"
    goal = f">= 4x, mean >= {GOOD:g} dB, worst >= {WORST:g} dB"
    return row(what, ours * 1000, reference * 1000, "ms", goal, good and reference / ours >= 4, detail)


def describe(settings: Settings) -> str:
    parts = [f"{settings.steps} steps", "bfloat16" if settings.bf16 else "", "compiled" if settings.compiled else ""]
    cache = settings.cache[1].policy + " cache" if settings.cache else ""
    return ", ".join(part for part in (*parts, cache) if part)


def changes(
    subject: Subject, learn: Sequence[int], rounds: int
) -> Iterator[tuple[str, Callable[[Settings], Settings]]]:
    """What is added, in this order."""
    exact = films(subject, Settings(REFERENCE), learn)
    steps = next((n for n in COUNTS if mean_psnr(exact, films(subject, Settings(n), learn)) >= NEAR), COUNTS[-1])
    yield f"{steps} steps for {PLAIN_STEPS}", lambda best: replace(best, steps=steps)
    if narrow(CPU):
        yield "bfloat16", lambda best: replace(best, bf16=True)
    if any(map(shutil.which, COMPILERS)):
        yield "blocks compiled", lambda best: replace(best, compiled=True)
    yield "cache", lambda best: replace(best, cache=cache_for(subject, best, learn, rounds))


def cache_for(subject: Subject, best: Settings, learn: Sequence[int], rounds: int) -> tuple[Any, Any]:
    """The calibration, and the fastest setting that is good enough, both under the settings kept so far."""
    with applied(subject, best):
        samples = [functools.partial(subject.denoise, i, best.steps) for i in learn]
        found = calibrate(subject.model, samples, subject.times(best.steps), subject.guidance)
        return found, fastest(subject, found, best.steps, learn, half_call(subject, rounds))


def films(subject: Subject, settings: Settings, requests: Sequence[int]) -> dict[int, np.ndarray]:
    return {i: subject.decode(i, run(subject, settings, i)) for i in requests}


def run(subject: Subject, settings: Settings, i: int) -> Tensor:
    with applied(subject, settings):
        if settings.cache is None:
            return subject.denoise(i, settings.steps)
        return cached_request(subject, i, settings.steps, *settings.cache)


@contextlib.contextmanager
def applied(subject: Subject, settings: Settings) -> Iterator[None]:
    """The transformer in this dtype, its blocks compiled or not. Compiled code is kept from one request to the next."""
    eager = [(block, block.forward) for block in subject.model.blocks] if settings.compiled else []
    for block, forward in eager:
        block.forward = compiled(forward)
    try:
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.bf16):
            yield
    finally:
        for block, _ in eager:
            del block.forward


@functools.cache
def compiled(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return torch.compile(forward, dynamic=False)
