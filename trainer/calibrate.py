"""`python -m trainer calibrate BUNDLE --out NEW --steps N`: what each diffusion cache costs a bundle's Single-DiT.

The new bundle is the old one and `cache.json`, by which `python -m engine generate --cache BUDGET` chooses.
"""

from __future__ import annotations

import argparse
import functools

from torch import Tensor

from engine.bundles import read_bundle
from engine.cache.budget import Calibration
from engine.cache.bundled import with_calibration
from engine.cache.calibrate import calibrate
from engine.latent_video import LatentVideo
from engine.samplers import shifted_times
from trainer.evaluate.held_out import HeldOutFilms

FIRST = 100  # of the held-out films: those that an evaluation draws are others


def run_calibrate(options: argparse.Namespace) -> int:
    """ValueError says what is wrong with the bundle or the options."""
    if options.steps < 3 or options.requests < 1:
        raise ValueError("A cache is calibrated at 3 steps or more, on at least one request.")
    bundle = read_bundle(options.bundle)
    if "vae.json" not in bundle.files or "single_dit.json" not in bundle.files:
        raise ValueError(f"The bundle {bundle.name} has no Single-DiT of latent video: there is nothing to calibrate.")
    if not {"frames", "height", "width", "mean", "std"} <= set(bundle.capabilities.get("latents") or {}):
        raise ValueError(f"The bundle {bundle.name} does not say what it was trained for: export it again.")
    if options.out.exists():
        raise ValueError(f"{options.out} is there already: name a new folder.")
    found = calibrated(LatentVideo(bundle), options.steps, options.requests)
    made = with_calibration(bundle, found, options.out)
    print(f"{made.name} {made.version} {made.digest} in {made.path}: {len(found.settings)} settings")
    return 0


def calibrated(model: LatentVideo, steps: int, requests: int) -> Calibration:
    """On the first frames of films that no training set and no evaluation holds."""
    latents = model.bundle.capabilities["latents"]
    films = HeldOutFilms.draw(requests, latents["height"], latents["width"], first=FIRST)

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

    times = shifted_times(steps, model.sampling["shift"]).tolist()
    samples = [functools.partial(sample, index) for index in range(requests)]
    return calibrate(model.dit, samples, times, model.sampling["guidance"])
