"""Caches: quality and speed of ours, of the same sampler with fewer steps, and of cache-dit, on trained models.

Quality is the PSNR of decoded frames. Requests that are measured are never those that were calibrated on. Which setting
is taken is decided on the calibration requests; speed is measured in turns, one request after another, as the mean over
all: those that the guard catches take longer.
"""

from __future__ import annotations

import copy
import functools
import logging
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engine.cache.apply import Cache, Report
from engine.cache.budget import Calibration, Setting
from engine.cache.calibrate import calibrate
from engine.conditions import GRIDS
from engine.costs import forward_flops, token_count
from engine.denoise import Row
from engine.film import Prepared
from engine.generate import Engine
from engine.latent_video import LatentVideo
from engine.media.compose import Compositor
from engine.media.layers import build_layers
from engine.media.photo import Photo
from engine.models.single_dit import SingleDiT
from engine.requests import ImageToVideo
from engine.samplers import shifted_times
from engine.seen import Seen, depths_of, picture_tensor
from trainer.evaluate.plan import plan_clips
from trainer.evaluate.scenes import make_world

REFERENCE = 100  # steps
COUNTS = (4, 6, 8, 10, 12, 16, 20, 24, 32, 40)
GOOD, WORST, NEAR = 35.0, 30.0, 40.0  # dB
MOMENTS = (0.25, 0.5, 0.75, 1.0)  # of nano's clip
TINY = Path(__file__).parents[3] / "engine" / "bundled" / "tiny-video"


@dataclass
class Subject:
    """A model and its requests: `denoise(i, steps)` gives final latents, `decode(i, latents)` frames uint8."""

    name: str
    model: nn.Module
    shift: float
    guidance: float
    forward: float  # FLOPs of one guided call
    denoise: Callable[[int, int], Tensor]
    decode: Callable[[int, Tensor], np.ndarray]

    def times(self, steps: int) -> list[float]:
        return shifted_times(steps, self.shift).tolist()


@dataclass
class Size:
    """How much is run."""

    calibration: int
    requests: int
    rounds: int


def rows(reduced: bool) -> list[dict[str, Any]]:
    """All rows; tiny_video's where its bundle is there."""
    torch.set_num_threads(1)
    size = Size(3, 3, 2) if reduced else Size(12, 64, 5)
    subjects = [nano(), *([tiny_video(TINY)] if TINY.is_dir() else [])]
    return [row for subject in subjects for row in rows_of(subject, size)]


@torch.inference_mode()
def rows_of(subject: Subject, size: Size) -> list[dict[str, Any]]:
    learn, held_out = range(1000, 1000 + size.calibration), range(size.requests)
    exact = {i: subject.decode(i, subject.denoise(i, REFERENCE)) for i in (*learn, *held_out)}
    fewer = {n: films(subject, learn, n) for n in COUNTS}
    steps = next((n for n in COUNTS if mean_psnr(exact, fewer[n]) >= NEAR), COUNTS[-1])
    samples = [functools.partial(subject.denoise, i, steps) for i in learn]
    found = calibrate(subject.model, samples, subject.times(steps), subject.guidance)
    chosen = fastest(subject, found, steps, learn, half_call(subject, size.rounds))
    return [
        speed_row(subject, found, chosen, steps, held_out, size.rounds, exact),
        flops_row(subject, learn, 2 * steps, held_out, exact),
        *peer_rows(subject, found, chosen, steps, learn, held_out, size.rounds),
    ]


# --- the rows ---


def speed_row(
    subject: Subject,
    found: Calibration,
    chosen: Setting,
    steps: int,
    requests: Sequence[int],
    rounds: int,
    exact: dict[int, np.ndarray],
) -> dict[str, Any]:
    """With and without the cache in turns."""
    plain = films(subject, requests, steps)
    reports: list[Report] = []
    ours = films(subject, requests, steps, found, chosen, reports)
    cached, uncached = over_requests(
        requests,
        rounds,
        lambda i: cached_request(subject, i, steps, found, chosen),
        lambda i: subject.denoise(i, steps),
    )
    work = mean_work(reports)
    quality = [psnr(plain[i], ours[i]) for i in requests]
    good = statistics.mean(quality) >= GOOD and min(quality) >= WORST
    detail = {
        "mean dB": statistics.mean(quality),
        "worst dB": min(quality),
        "dB to 100 steps, without": mean_psnr(exact, plain),
        "dB to 100 steps, with": mean_psnr(exact, ours),
        "work": work,
        "saved FLOPs": (1 - work) * steps * subject.forward,
        "setting": chosen.arguments,
        "work of a request that is not caught": chosen.work,
        "caught": sum(report.caught or 0 for report in reports),
        "below the worst dB allowed": sum(q < WORST for q in quality),
        "requests": len(requests),
    }
    what = f"{subject.name}: a denoising of {steps} steps (the fewest within {NEAR:g} dB of {REFERENCE})"
    goal = f">= 1.5x, mean >= {GOOD:g} dB, worst >= {WORST:g} dB"
    return row(what, cached * 1000, uncached * 1000, "ms", goal, good and uncached / cached >= 1.5, detail)


def flops_row(
    subject: Subject, learn: Sequence[int], steps: int, requests: Sequence[int], exact: dict[int, np.ndarray]
) -> dict[str, Any]:
    """The curves of both against the reference: ours at a fine grid, most of it forecast, and coarser grids without.

    The ratio is the median over the counts of steps whose quality ours reaches.
    """
    samples = [functools.partial(subject.denoise, i, steps) for i in learn]
    found = calibrate(subject.model, samples, subject.times(steps), subject.guidance, only=["schedule"])
    fewer = {n: mean_psnr(exact, films(subject, requests, n)) for n in COUNTS if n <= steps}
    ours = {}
    for setting in ladder_of(found, 0.5):
        reports: list[Report] = []
        quality = mean_psnr(exact, films(subject, requests, steps, found, setting, reports))
        ours[mean_work(reports) * steps] = quality
    ratios = {}
    for n, quality in fewer.items():
        reaching = [work for work, ours_quality in ours.items() if ours_quality >= quality]
        if reaching and n < steps:
            ratios[n] = n / min(reaching)
    ratio = statistics.median(ratios.values()) if ratios else 0.0
    print(f"{subject.name}: calls of the model -> dB to {REFERENCE} steps")
    print("  fewer steps", {n: round(quality, 1) for n, quality in fewer.items()})
    print("  ours       ", {round(work, 1): round(quality, 1) for work, quality in sorted(ours.items())})
    middle = sorted(ratios, key=ratios.__getitem__)[len(ratios) // 2] if ratios else steps
    detail = {"fewer steps": fewer, "ours": ours, "ratios": ratios}
    what = f"{subject.name}: FLOPs at equal PSNR, against fewer steps (median of {len(ratios)})"
    peer = middle * subject.forward / 1e9
    return row(what, peer / ratio if ratio else None, peer, "GFLOPs", ">= 1.3x fewer", ratio >= 1.3, detail)


def peer_rows(
    subject: Subject,
    found: Calibration,
    chosen: Setting,
    steps: int,
    learn: Sequence[int],
    requests: Sequence[int],
    rounds: int,
) -> list[dict[str, Any]]:
    """cache-dit on the same transformer: the fastest of its settings that come within half a decibel of ours."""
    if not isinstance(subject.model, SingleDiT):
        return []
    plain = films(subject, learn, steps)
    wanted = mean_psnr(plain, films(subject, learn, steps, found, chosen)) - 0.5
    best: tuple[float, str, nn.Module] | None = None
    ours_model, tried = subject.model, {}
    for name, settings in peer_settings().items():
        theirs = with_cache_dit(ours_model, steps, **settings)
        subject.model = theirs
        quality = mean_psnr(plain, films(subject, learn, steps))
        [taken] = in_turns(rounds, lambda: subject.denoise(learn[0], steps))
        tried[name] = (round(quality, 1), round(taken * 1000, 1))
        if quality >= wanted and (best is None or taken < best[0]):
            best = taken, name, theirs
    subject.model = ours_model
    print(f"{subject.name}: cache-dit (dB, ms)", tried)
    what = f"{subject.name}: beside cache-dit's best setting of at least {wanted:.0f} dB"
    if best is None:
        detail = {"tried": tried}
        return [row(what + ": it reaches none", None, None, "ms", ">= 1.15x", True, detail)]
    theirs = best[2]

    def peer(i: int) -> None:
        subject.model = theirs
        subject.denoise(i, steps)
        subject.model = ours_model

    mine, other = over_requests(requests, rounds, lambda i: cached_request(subject, i, steps, found, chosen), peer)
    detail = {"tried": tried, "chosen": best[1]}
    return [row(what, mine * 1000, other * 1000, "ms", ">= 1.15x", other / mine >= 1.15, detail)]


def row(
    what: str, ours: float | None, peer: float | None, unit: str, goal: str, met: bool, detail: dict[str, Any]
) -> dict[str, Any]:
    ratio = peer / ours if peer and ours else None
    return {
        "what": what,
        "ours": ours,
        "peer": peer,
        "ratio": ratio,
        "unit": unit,
        "goal": goal,
        "met": met,
        "detail": detail,
    }


# --- measuring ---


def films(
    subject: Subject,
    requests: Iterable[int],
    steps: int,
    found: Calibration | None = None,
    setting: Setting | None = None,
    reports: list[Report] | None = None,
) -> dict[int, np.ndarray]:
    """Frames of each request, with a setting or without a cache; what became of its steps is put into `reports`."""
    if found is None or setting is None:
        return {i: subject.decode(i, subject.denoise(i, steps)) for i in requests}
    return {i: subject.decode(i, cached_request(subject, i, steps, found, setting, reports)) for i in requests}


def cached_request(
    subject: Subject,
    i: int,
    steps: int,
    found: Calibration,
    setting: Setting,
    reports: list[Report] | None = None,
) -> Tensor:
    with Cache(subject.model, setting.build()) as cache, cache.request(found.times) as report:
        made = subject.denoise(i, steps)
    if reports is not None:
        reports.append(report)
    return made


def mean_work(reports: Sequence[Report]) -> float:
    return statistics.mean(report.work for report in reports)


def fastest(subject: Subject, found: Calibration, steps: int, learn: Sequence[int], half: float) -> Setting:
    """The cheapest guarded setting that is good enough on the calibration requests, with a decibel to spare."""
    ladder = ladder_of(found, half)
    plain = films(subject, learn, steps)
    low, high = 0, len(ladder) - 1
    while low < high:
        middle = (low + high) // 2
        made = films(subject, learn, steps, found, ladder[middle])
        quality = [psnr(plain[i], made[i]) for i in learn]
        if statistics.mean(quality) >= GOOD + 1 and min(quality) >= WORST + 1:
            high = middle
        else:
            low = middle + 1
    return ladder[low]


def ladder_of(found: Calibration, half: float) -> list[Setting]:
    """The guarded settings from the cheapest on, each nearer than all before it."""
    settings = sorted((s for s in found.settings if "limits" in s.arguments), key=lambda s: (s.cost(half), s.error))
    return [s for n, s in enumerate(settings) if all(s.error < before.error for before in settings[:n])]


def half_call(subject: Subject, rounds: int) -> float:
    """What a call with the asked rows alone takes of a whole one's time, from whole denoisings."""
    half = Setting("guidance", {"every": 1000})
    found = Calibration(tuple(subject.times(8)[:-1]), subject.guidance, 0, ())
    asked, both = in_turns(rounds, lambda: cached_request(subject, 0, 8, found, half), lambda: subject.denoise(0, 8))
    return min(1.0, max(0.5, (asked / both - 1 / 8) * 8 / 7))


def in_turns(rounds: int, *works: Callable[[], Any]) -> list[float]:
    """Median seconds of each, one after another in every round, after one round to warm up."""
    taken: list[list[float]] = [[] for _ in works]
    for number in range(rounds + 1):
        for work, times in zip(works, taken, strict=True):
            began = time.perf_counter()
            work()
            if number:
                times.append(time.perf_counter() - began)
    return [statistics.median(times) for times in taken]


def over_requests(requests: Sequence[int], rounds: int, *works: Callable[[int], Any]) -> list[float]:
    """The mean over the requests of what each work takes of them, in turns."""
    taken = [in_turns(rounds, *(functools.partial(work, i) for work in works)) for i in requests]
    return [statistics.mean(of_one) for of_one in zip(*taken, strict=True)]


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Of uint8 frames in decibels; equal ones count as 100."""
    error = float(((one.astype(np.float32) - other) ** 2).mean())
    return min(100.0, 10 * float(np.log10(255**2 / error))) if error else 100.0


def mean_psnr(exact: dict[int, np.ndarray], made: dict[int, np.ndarray]) -> float:
    return statistics.mean(psnr(exact[i], frames) for i, frames in made.items())


# --- cache-dit ---


def peer_settings() -> dict[str, dict[str, Any]]:
    """First-block caching by threshold, holding or with its TaylorSeer."""
    return {
        f"F1B0 {threshold}{' taylor' if taylor else ''}": {"threshold": threshold, "taylor": taylor}
        for threshold in (0.12, 0.2, 0.3, 0.45, 0.7)
        for taylor in (False, True)
    }


def with_cache_dit(model: nn.Module, steps: int, threshold: float, taylor: bool) -> nn.Module:
    """A copy of the model under cache-dit, which begins anew by itself after so many steps."""
    import cache_dit  # slow to import, and only needed here

    logging.getLogger("CACHE_DIT").setLevel(logging.ERROR)
    model = copy.deepcopy(model)
    adapter = cache_dit.BlockAdapter(
        transformer=model, blocks=model.blocks, forward_pattern=cache_dit.ForwardPattern.Pattern_3
    )
    config = cache_dit.DBCacheConfig(
        Fn_compute_blocks=1,
        Bn_compute_blocks=0,
        residual_diff_threshold=threshold,
        max_warmup_steps=2,
        num_inference_steps=steps,
        enable_separate_cfg=False,
    )
    calibrator = cache_dit.TaylorSeerCalibratorConfig(taylorseer_order=1) if taylor else None
    cache_dit.enable_cache(adapter, cache_config=config, calibrator_config=calibrator)
    return model


# --- the models ---


def nano() -> Subject:
    """The shipped image-to-video model on held-out scenes, its clips drawn 160 pixels wide."""
    engine = Engine.load()

    @functools.cache
    def prepared(i: int) -> tuple[Row, ImageToVideo, Prepared, Seen]:
        request = plan_clips(i % 1000 + 1, large=False)[-1].request(seed=i)
        world = make_world(i, request.format, 160)
        layers = build_layers(Photo(world.photo, None), world.mask, world.framing, world.size)
        taken = Prepared(layers, world.framing, picture_tensor(layers, request.format), request.camera, [])
        return engine.row(request, taken, i), request, taken, engine._see(taken.picture_BCHW)

    def denoise(i: int, steps: int) -> Tensor:
        engine.local.dit = subject.model  # whichever is measured
        *_, data = engine.local.denoise([prepared(i)[0]], steps)
        return data

    def decode(i: int, latents: Tensor) -> np.ndarray:
        _, request, taken, seen = prepared(i)
        depths = depths_of(taken.layers, seen, engine.roundness)
        made = engine._fields(request, taken, engine._meant(request, taken), latents[0], seen, depths)
        compositor = Compositor(taken.layers, taken.fit(made)[0])
        return np.stack([compositor.frame(u).copy() for u in MOMENTS])

    config = engine.dit.config
    forward = forward_flops(config, token_count(config, 4, *(n // 8 for n in GRIDS["9:16"])), 16, 2).total
    sampling = engine.sampling
    subject = Subject("nano", engine.dit, sampling["shift"], sampling["guidance"], forward, denoise, decode)
    return subject


def tiny_video(bundle: Path) -> Subject:
    """The small latent-video model: the first frame of a held-out scene goes on, 17 frames of 64 x 64."""
    model = LatentVideo.load(bundle)

    @functools.cache
    def known(i: int) -> tuple[str, np.ndarray]:
        clip = plan_clips(i % 1000 + 1, large=False)[-1]
        world = make_world(i, "1:1", 64)
        return clip.camera.replace("-", " "), world.view.of(world.photo)[None]

    def denoise(i: int, steps: int) -> Tensor:
        prompt, frames = known(i)
        model.local.dit = subject.model  # whichever is measured
        *_, (x, _) = model.denoise(prompt, known=frames, steps=steps, seed=i)
        return x

    config, sampling = model.dit.config, model.sampling
    forward = forward_flops(config, token_count(config, 5, 8, 8), 16, 2, controls=False).total
    subject = Subject(
        "tiny_video",
        model.dit,
        sampling["shift"],
        sampling["guidance"],
        forward,
        denoise,
        lambda i, latents: model.decode(latents),
    )
    return subject
