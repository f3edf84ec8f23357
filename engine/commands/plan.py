"""`python -m engine plan`: which devices would do what, how long it would take, and why."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from engine import timing
from engine.bundles import Bundle, explained, read_bundle, sampling_of
from engine.cache.budget import of_bundle
from engine.commands import Options, print_json
from engine.costs import Config, check_size, decode_bytes, parameters
from engine.models.presets import MULTIMODAL_DIT, SINGLE_DIT
from engine.options import size_of
from engine.planner import WAN_VAE, Model, Video, make_plan

PRESETS = {"2b": SINGLE_DIT["2b"], "13b": MULTIMODAL_DIT["13b"]}
T5_XXL_GB = 9.5  # the text encoder that the presets are made for: 4.76 B parameters in bf16
STEPS = 50
DITS = ("single_dit", "multimodal_dit")


def add_plan(parser: argparse.ArgumentParser) -> None:
    add = partial(_add_with_default, parser)
    add("--model", default="2b", help=f"{', '.join(PRESETS)}, or the folder of a bundle")
    parser.add_argument("--dit", choices=("single", "multimodal"), help="of a bundle with both transformers (single)")
    add("--machine", default="h100", help=f"{', '.join(timing.published()['machines'])}, or any name")
    add("--devices", type=int, default=1, help="how many")
    parser.add_argument("--memory", type=float, metavar="GB", help="of each device; needed for a machine not known")
    parser.add_argument("--tflops", type=float, help="dense bf16, of each device; needed for a machine not known")
    link = "from device to device, one way (32: PCIe 4.0 x16); needed for a machine not known"
    parser.add_argument("--link", type=float, metavar="GB/S", help=link)
    add("--frames", type=int, default=81, help="of the video")
    add("--size", default="832x480", metavar="WxH", help="of the video, in pixels")
    parser.add_argument("--steps", type=int, help=f"{STEPS} by default; with a cache those that it was calibrated for")
    add("--videos", type=int, default=1, help="made at once")
    parser.add_argument("--no-guidance", action="store_true", help="one row a step instead of two")
    parser.add_argument("--budget", type=float, help="error that a cache may cost, as a share; of a calibrated bundle")


def _add_with_default(parser: argparse.ArgumentParser, name: str, *, default: Any, help: str, **how: Any) -> None:
    parser.add_argument(name, default=default, help=f"{help} ({default})", **how)


def plan(options: Options) -> None:
    """Say which devices would do what, how long it would take, and why; or what would fit."""
    width, height = size_of(options.size)
    for name in ("devices", "frames", "steps", "videos"):
        count = getattr(options, name)
        if count is not None and count < 1:
            raise ValueError(f"--{name} has to be at least 1, not {count}.")
    (model, bundle), machine = _model(options.model, options.dit), _machine(options)
    check_size(model.config, model.vae, options.frames, height, width)
    cache, saved, steps = _cache(model, bundle, options) if options.budget else ("", 0.0, options.steps or STEPS)
    guidance = not options.no_guidance and (bundle is None or sampling_of(bundle)["guidance"] != 1)
    video = Video(options.frames, width, height, steps, guidance, options.videos, saved, cache)
    made = make_plan(model, video, machine)
    if options.json:
        print_json({"machine": dataclasses.asdict(machine), **dataclasses.asdict(made)})
        return
    print(f"{made.layout}; {made.memory}")
    print("\n".join(f"- {reason}" for reason in made.reasons))
    what = "a video" if video.videos == 1 else f"for {video.videos:,} videos"
    print(
        f"Predicted: {made.times.step:.3g} s a step, {made.times.total:.4g} s {what} with decoding, "
        f"{made.speedup:.2f} x one device; peak {max(made.peaks_gb.values()):.1f} GB a device."
    )


def _model(name: str, dit: str | None) -> tuple[Model, Bundle | None]:
    """And the bundle, where it is no preset."""
    if name in PRESETS:
        if dit:
            raise ValueError(f"The preset {name} is one transformer: leave --dit out, or name another preset.")
        return Model(name, PRESETS[name], WAN_VAE, T5_XXL_GB), None
    if not Path(name).is_dir():
        raise ValueError(f"There is no model {name!r}: name a preset ({', '.join(PRESETS)}) or the folder of a bundle.")
    bundle = read_bundle(name)
    return model_of(bundle, dit), bundle


def model_of(bundle: Bundle, dit: str | None) -> Model:
    """The latent video model of a bundle, as the planner sees it; ValueError where it has none, or not this."""
    there = [part for part in DITS if f"{part}.json" in bundle.files and dit in (None, part.removesuffix("_dit"))]
    if not there or "vae.json" not in bundle.files:
        raise ValueError(f"The bundle {bundle.name} has no such latent video transformer: there is nothing to plan.")
    config = _config(bundle, there[0], parameters)
    vae = _config(bundle, "vae", partial(decode_bytes, frames=1, height=1, width=1))
    text = [name for name in bundle.files if name.startswith(("text.", "text_encoder/")) and "safetensors" in name]
    text_gb = sum(bundle.file(name).stat().st_size for name in text) / 1e9
    return Model(f"{bundle.name} ({there[0]})", config, vae, text_gb)


def _config(bundle: Bundle, part: str, reads: Callable[[Config], Any]) -> Config:
    """The configuration of a part; BundleError where it is none that the planner can read."""
    with explained(bundle, f"{part}.json"):
        config: Config = json.loads(bundle.file(f"{part}.json").read_text())
        reads(config)
    return config


def _cache(model: Model, bundle: Bundle | None, options: Options) -> tuple[str, float, int]:
    """Of a calibrated bundle the policy that saves most within the budget, the share that it saves, and the steps."""
    if bundle is None:
        raise ValueError(f"--budget needs a bundle whose cache was calibrated; the preset {model.name} has no weights.")
    found, budget = of_bundle(bundle), options.budget
    steps = options.steps or len(found.times)
    if "dual_depth" in model.config:
        raise ValueError("The cache of a bundle is calibrated on its Single-DiT: leave --budget or --dit out.")
    if steps != len(found.times):
        raise ValueError(f"The cache was calibrated for {len(found.times)} steps, not {steps}: leave --steps out.")
    if options.no_guidance and found.guidance != 1:
        raise ValueError(
            f"The cache was calibrated with a guidance of {found.guidance:g}: leave --no-guidance or --budget out."
        )
    # Where the halves of guidance are on two devices, leaving one out saves none of the time.
    half = 1.0 if options.devices > 1 else 0.5
    setting = found.setting(budget, half)
    if setting is None:
        raise ValueError(f"No setting of the cache of {bundle.name} stays within an error of {budget:g}.")
    return setting.policy, max(0.0, 1 - setting.cost(half)), steps


def _machine(options: Options) -> timing.Machine:
    given = {"memory_gb": options.memory, "tflops": options.tflops, "link_gb_s": options.link}
    for name, value in given.items():
        if value is not None and not 0 < value < 1e9:
            raise ValueError(f"The machine's {name} has to be above 0 and below 1e9, not {value}.")
    if options.machine in timing.published()["machines"]:
        known = timing.machine_of(options.machine, options.devices)
        return dataclasses.replace(known, **{name: value for name, value in given.items() if value is not None})
    if None in given.values():
        names = ", ".join(timing.published()["machines"])
        raise ValueError(
            f"There is no machine {options.machine!r}. There are: {names}. "
            "Of any other say --memory, --tflops and --link."
        )
    return timing.Machine(options.machine, options.devices, **given, share=timing.mean_share())
