"""`python -m trainer calibrate BUNDLE --out NEW --steps N`: what each diffusion cache costs a bundle's Single-DiT.

The new bundle is the old one and `cache.json`, by which `python -m engine generate --cache BUDGET` and the studio
(`AQ_ENGINE_CACHE`) choose. Bundles that move a photo are calibrated on held-out scenes, each asked for another move;
those of latent video on the first frames of held-out films.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor, nn

from engine.bundles import Bundle, read_bundle
from engine.cache.budget import Calibration
from engine.cache.bundled import with_calibration
from engine.cache.calibrate import calibrate
from engine.generate import Engine
from engine.latent_video import LatentVideo
from engine.samplers import shifted_times
from trainer.evaluate.films import prepare
from trainer.evaluate.held_out import HeldOutFilms
from trainer.evaluate.plan import plan_clips
from trainer.evaluate.scenes import make_world

FIRST_FILM = 100  # of the held-out films: those that an evaluation draws are others
FIRST_SCENE = 10_000  # of the held-out scenes: likewise
SHORT_SIDE = 160  # pixels: what the models see of a photo is smaller


def run_calibrate(options: argparse.Namespace) -> int:
    """ValueError says what is wrong with the bundle or the options."""
    if options.steps < 3 or options.requests < 1:
        raise ValueError("A cache is calibrated at 3 steps or more, on at least one request.")
    bundle = read_bundle(options.bundle)
    if options.out.exists():
        raise ValueError(f"{options.out} is there already: name a new folder.")
    if "single_dit.json" not in bundle.files:
        raise ValueError(f"The bundle {bundle.name} has no Single-DiT: there is nothing to calibrate.")
    if "motion_vae.json" in bundle.files:
        found = calibrated_motion(Engine(bundle), options.steps, options.requests)
    else:
        found = calibrated_video(bundle, options.steps, options.requests)
    made = with_calibration(bundle, found, options.out)
    print(f"{made.name} {made.version} {made.digest} in {made.path}: {len(found.settings)} settings")
    return 0


def calibrated_motion(engine: Engine, steps: int, requests: int) -> Calibration:
    """A transformer of motion latents, on scenes behind those of evaluations and benchmarks."""

    def sample(index: int) -> Tensor:
        clip = plan_clips(FIRST_SCENE + index + 1, large=False)[-1]
        request = clip.request()
        prepared = prepare(make_world(clip.index, clip.format, SHORT_SIDE), request)
        *_, data_BCTHW = engine.local.denoise([engine.row(request, prepared, index)], steps)
        return data_BCTHW

    return _calibrated(engine.dit, engine.sampling, sample, steps, requests)


def calibrated_video(bundle: Bundle, steps: int, requests: int) -> Calibration:
    """A transformer of latent video, on films that no training set and no evaluation holds."""
    latents = bundle.capabilities.get("latents") or {}
    if not {"frames", "height", "width", "mean", "std"} <= set(latents):
        raise ValueError(f"The bundle {bundle.name} does not say what it was trained for: export it again.")
    model = LatentVideo(bundle)
    films = HeldOutFilms.draw(requests, latents["height"], latents["width"], first=FIRST_FILM)

    def sample(index: int) -> Tensor:
        film = films.frames[index]
        *_, (x, _) = model.denoise(
            films.prompts[index],
            known=film[:1],
            frames=latents["frames"],
            height=film.shape[1],
            width=film.shape[2],
            steps=steps,
            seed=index,
        )
        return x

    return _calibrated(model.dit, model.sampling, sample, steps, requests)


def _calibrated(
    dit: nn.Module, sampling: Mapping[str, float], sample: Callable[[int], Tensor], steps: int, requests: int
) -> Calibration:
    times = shifted_times(steps, sampling["shift"]).tolist()
    return calibrate(dit, [partial(sample, index) for index in range(requests)], times, sampling["guidance"])
