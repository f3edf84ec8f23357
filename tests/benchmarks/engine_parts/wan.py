"""Our caches on a Wan pipeline: a tiny WanTransformer3DModel trained here, diffusers' own loop against ours.

The training is that of `tests.benchmarks.tiny_wan`: latents are unshuffled pixels, the loop is the benchmark's own. The
model counts only where its estimates of held-out films beat their own first frame held still, and shuffled prompts.
Calibrated on other requests than those measured; times are taken in turns. PSNR is of frames, against those of
diffusers' own loop.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, WanPipeline
from torch import Tensor

from engine.cache.apply import Cache, Report
from engine.cache.budget import Calibration, Setting
from engine.cache.calibrate import calibrate
from engine.cache.policies import ALL, Choice, Compute, Schedule
from engine.pretrained.arguments import times_of
from engine.pretrained.halves import Halves
from tests.benchmarks.engine_parts.cache import mean_work, over_requests, psnr, row
from tests.benchmarks.tiny_wan import HELD_OUT, WIDTH, WORDS, Films, estimated, films, frames_of, trained

GOOD, BAD, FASTER = 35.0, 25.0, 1.5
STEPS, GUIDANCE = 30, 3.0
MOVING, TOLD = 0.5, 0.9  # times of rectified flow: 1 is noise
UNASKED = torch.zeros(1, WORDS, WIDTH)


def rows(reduced: bool) -> list[dict[str, Any]]:
    torch.set_num_threads(1)
    model = trained(250, 400) if reduced else trained(1000, 3000)
    held_out = films(HELD_OUT, 16 if reduced else 64, 2)
    learn, measured = (2, 4) if reduced else (6, 32)
    with torch.inference_mode():
        return [*trained_rows(model, held_out), *cache_rows(model, held_out, learn, measured, 2 if reduced else 5)]


def trained_rows(model: Any, held_out: Films) -> list[dict[str, Any]]:
    """Whether it has learnt motion and words: the error of its estimates of held-out films, from within the noise."""

    def error(made: Tensor) -> float:
        return float((made - held_out.latents).square().mean())

    made = estimated(model, held_out, held_out.text, MOVING)
    moving, still = error(made), error(made[:, :, :1].expand_as(made))
    told = error(estimated(model, held_out, held_out.text, TOLD))
    shuffled = error(estimated(model, held_out, held_out.text.roll(2, 0), TOLD))  # two films a scene
    what = "tiny Wan, held-out films estimated at a time of"
    return [
        row(f"{what} {MOVING:g}, beside its first frame held still", moving, still, "MSE", "below", moving < still, {}),
        row(f"{what} {TOLD:g}, beside shuffled prompts", told, shuffled, "MSE", "below", told < shuffled, {}),
    ]


def cache_rows(model: Any, held_out: Films, learn: int, measured: int, rounds: int) -> list[dict[str, Any]]:
    pipe = WanPipeline(None, None, None, FlowMatchEulerDiscreteScheduler(shift=3.0), model)
    pipe.set_progress_bar_config(disable=True)
    requests = [(held_out.text[i][None], i) for i in range(learn + measured)]
    found = calibrated(pipe, requests[:learn])
    chosen = chosen_of(pipe, found, requests[:learn])
    asked = requests[learn:]
    theirs = [frames_of(made(pipe, *one)) for one in asked]
    reports: list[Report] = []
    ours = [frames_of(made(pipe, *one, chosen.build(), reports)) for one in asked]
    reused = [frames_of(made(pipe, *one, reuse_everything())) for one in asked]
    quality = [psnr(a, b) for a, b in zip(theirs, ours, strict=True)]
    nothing = statistics.mean(psnr(a, b) for a, b in zip(theirs, reused, strict=True))
    numbers = range(len(asked))
    cached, plain = over_requests(
        numbers, rounds, lambda i: made(pipe, *asked[i], chosen.build()), lambda i: made(pipe, *asked[i])
    )
    mean, worst = statistics.mean(quality), min(quality)
    what = (
        f"tiny Wan, {STEPS} steps: ours with {chosen.policy}, {mean:.1f} dB (worst {worst:.1f}), beside diffusers' own"
    )
    goal, met = f">= {FASTER:g}x at >= {GOOD:g} dB", plain / cached >= FASTER and mean >= GOOD
    control = "tiny Wan, the control: reusing the first output for all steps"
    about = {"mean dB": mean, "worst dB": worst, "work": mean_work(reports), "requests": measured}
    return [
        row(what, cached * 1000, plain * 1000, "ms", goal, met, about),
        row(control, nothing, None, "dB", f"< {BAD:g} dB", nothing < BAD, {}),
    ]


def made(pipe: Any, text: Tensor, seed: int, policy: Any = None, reports: list[Report] | None = None) -> Tensor:
    """Final latents by diffusers' pipeline, its transformer under a policy or as it is; `reports` takes what ran."""
    times = times_of(pipe, STEPS)
    halves = Halves(pipe.transformer, UNASKED) if policy else None
    cache = Cache(halves, policy) if halves else nullcontext()
    try:
        with cache, cache.request(times[:-1]) if isinstance(cache, Cache) else nullcontext() as report:
            latents = called(pipe, text, seed)
        if reports is not None and report is not None:
            reports.append(report)
        return latents
    finally:
        if halves:
            halves.remove()


def called(pipe: Any, text: Tensor, seed: int) -> Tensor:
    """What diffusers' pipeline makes: 5 latent frames of 8 x 8."""
    found: Tensor = pipe(
        prompt_embeds=text, negative_prompt_embeds=UNASKED, height=64, width=64, num_frames=17,
        num_inference_steps=STEPS, guidance_scale=GUIDANCE, generator=torch.Generator().manual_seed(seed),
        output_type="latent", return_dict=False,
    )[0]  # fmt: skip
    return found


def calibrated(pipe: Any, requests: Sequence[tuple[Tensor, int]]) -> Calibration:
    halves = Halves(pipe.transformer, UNASKED)
    samples: list[Callable[[], Tensor]] = [lambda one=one: called(pipe, *one) for one in requests]  # type: ignore[misc]
    try:
        return calibrate(halves, samples, times_of(pipe, STEPS), GUIDANCE)
    finally:
        halves.remove()


def chosen_of(pipe: Any, found: Calibration, requests: Sequence[tuple[Tensor, int]]) -> Setting:
    """The least work that keeps the frames of the calibration's requests a decibel above the goal."""
    theirs = [frames_of(made(pipe, *one)) for one in requests]
    for setting in sorted(found.settings, key=lambda setting: setting.work):
        ours = [frames_of(made(pipe, *one, setting.build())) for one in requests]
        if statistics.mean(psnr(a, b) for a, b in zip(theirs, ours, strict=True)) >= GOOD + 1:
            return setting
    raise AssertionError(f"no setting keeps {GOOD + 1:g} dB")


def reuse_everything() -> Schedule:
    return Schedule([ALL, *[Choice(Compute.NONE, (1.0,))] * (STEPS - 1)])
