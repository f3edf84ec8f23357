"""The engine's command line: `python -m engine generate | plan | inspect | import | bench`.

A command is two functions in COMMANDS: one adds its options, one runs and gives what `--json` prints, or prints itself.
What a user did wrong is a ValueError: its sentence goes to standard error, and the exit code is 2.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from engine import events, timing
from engine.bundles import SHIPPED, Bundle, explained, read_bundle
from engine.media.photo import open_photo
from engine.media.video import write_frames
from engine.models.presets import MULTIMODAL_DIT, SINGLE_DIT
from engine.options import CONTROLS, DEFAULTS, FILM, OF_LATENTS, add_video_options, image_to_video, refuse_unused
from engine.planner import WAN_VAE, Model, Video, make_plan
from engine.pretrained.command import accelerations, add_import, import_model, in_lines, may_use, text_to_video
from engine.requests import MAX_SEED

WRONG, CANCELED = 2, 130  # what a shell reports for wrong use, and for a command that Ctrl-C has ended
BENCHMARK = Path(__file__).parents[1] / "tests" / "benchmarks" / "engine.py"
PRESETS = {"2b": SINGLE_DIT["2b"], "13b": MULTIMODAL_DIT["13b"]}
T5_XXL_GB = 9.5  # the text encoder that the presets are made for: 4.76 B parameters in bf16
DITS = ("single_dit", "multimodal_dit")
PARTS = {
    "single_dit": "data, cfg, ring, ulysses and tensor parallel; caches; sharded, offloaded or 8-bit weights",
    "multimodal_dit": "data, cfg, ring, ulysses and tensor parallel; caches; sharded, offloaded or 8-bit weights",
    "vae": "decoding over devices, or in strips on one",
}
Options = argparse.Namespace


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m engine", description="Make videos, and say what it would take.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (add, run) in COMMANDS.items():
        command = commands.add_parser(name, help=(run.__doc__ or "").splitlines()[0])
        if name != "bench":  # whose options are the benchmark's own, and its result a file
            command.add_argument("--json", action="store_true", help="the result as JSON on standard output")
        add(command)
        command.set_defaults(run=run)
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command != "bench":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    try:
        return options.run(options) or 0
    except ValidationError as error:
        return _wrong(" ".join(f"{'.'.join(map(str, at['loc']))}: {at['msg']}." for at in error.errors()))
    except (ValueError, OSError) as error:
        return _wrong(str(error))
    except (events.Canceled, KeyboardInterrupt):
        print("Canceled. Nothing was written.", file=sys.stderr)
        return CANCELED


def _wrong(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return WRONG


def _print_json(found: Any) -> None:
    print(json.dumps(found, indent=2, default=str))


# --- generate ---


def add_generate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photo", type=Path, nargs="?", help="a JPEG, PNG (its transparency is the mask) or WebP")
    add_video_options(parser)
    only = parser.add_argument_group("of bundles of latent video, which read a photo only where one is given")
    only.add_argument("--dit", choices=("single", "multimodal"), help="single by default")
    only.add_argument("--frames", type=int, help="1 + 4n; what the bundle was trained for by default")
    only.add_argument("--size", metavar="WxH", help="what the bundle was trained for by default")
    only.add_argument("--guidance", type=float, help="1: none; the bundle's own by default")
    learnt = parser.add_argument_group("of bundles of latent video, and of imported ones")
    learnt.add_argument(
        "--adapter", type=Path, help="the folder of an adapter bundle that was trained on this very bundle"
    )
    imported = parser.add_argument_group("of imported bundles")
    imported.add_argument("--device", help="cpu by default, in float32; on any other that torch knows, in bfloat16")


def generate(options: Options) -> None:
    """Make a video from a product photo, or by a bundle of latent video from words."""
    bundle = read_bundle(options.bundle or SHIPPED)
    for file in filter(None, (options.photo, options.mask)):
        if not file.is_file():
            raise ValueError(f"There is no file {file}.")
    if options.out.is_dir() or not options.out.parent.is_dir():
        raise ValueError(f"{options.out} cannot be written: name an MP4 in a folder that is there.")
    with _bar() as bar:
        task = bar.add_task("load", total=1.0)
        told = partial(bar.update, task)
        if "vae.json" in bundle.files:
            made = _from_words(bundle, options, told)
        else:
            made = _from_photo(bundle, options, told, bar.console.print)
        told(completed=1.0)
    if options.json:
        _print_json(made)
    else:
        print(f"{made['path']}: {made['width']}x{made['height']}, {made['seconds']:g} s at {made['fps']} fps")


def _bar() -> Progress:
    columns = TextColumn("{task.description:>8}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    return Progress(*columns, console=Console(stderr=True))


def _from_photo(
    bundle: Bundle, options: Options, told: Callable[..., None], say: Callable[[str], None]
) -> dict[str, Any]:
    if options.photo is None and "text_to_video" not in bundle.kinds:
        raise ValueError(f"The bundle {bundle.name} makes videos from photos: name a photo.")
    request = (image_to_video if options.photo else text_to_video)(vars(options))
    _refuse_unused(bundle, options)

    def on_event(event: events.Progress | events.Preview | events.Notice) -> None:
        if isinstance(event, events.Progress):
            told(description=event.stage, completed=event.fraction)
        if isinstance(event, events.Notice):
            say(event.message)

    engine, worn = _engine(bundle, options.device, options.adapter)
    made = engine.generate(request, options.photo, options.out, mask=options.mask, on_event=on_event)
    made.settings.update(worn)
    return dataclasses.asdict(made)


def _refuse_unused(bundle: Bundle, options: Options) -> None:
    """ValueError for options that would change nothing."""
    what, used = f"The bundle {bundle.name}", (*FILM, *CONTROLS)
    if bundle.layout == "diffusers":
        used = (*FILM, *(("camera", "subject", "mask") if options.photo else ()), "device", "adapter")
        what += "" if options.photo else ", from words alone,"
    refuse_unused(vars(options), used, what)


def _engine(bundle: Bundle, device: str | None, adapter: Path | None) -> tuple[Any, dict[str, Any]]:
    """The engine of a bundle, and what the settings say of its adapter."""
    if bundle.layout == "diffusers":
        from engine.pretrained.generate import PretrainedEngine

        engine = PretrainedEngine.load(bundle, device=device or "cpu")
        return engine, _wear(engine.denoisers[0], adapter, bundle, "transformer")
    from engine.generate import Engine  # needs torch, which the other commands do without

    return Engine(bundle), {}


def _wear(model: Any, adapter: Path | None, base: Bundle, part: str) -> dict[str, Any]:
    """Put the adapter on, where one is asked for; what the settings say of it."""
    if adapter is None:
        return {}
    from engine.adapters import put_on

    worn = read_bundle(adapter)
    put_on(model, worn, base, part)
    return {"adapter": worn.identity}


def _from_words(bundle: Bundle, options: Options, told: Callable[..., None]) -> dict[str, Any]:
    from engine.latent_video import LatentVideo

    refuse_unused(vars(options), OF_LATENTS, f"The bundle {bundle.name}")
    prompt, dit = options.prompt or "", options.dit or "single"
    fps = DEFAULTS.fps if options.fps is None else options.fps
    native = bundle.capabilities.get("latents") or {}
    width, height = _size(options.size) if options.size else (native.get("width", 64), native.get("height", 64))
    seed = secrets.randbelow(MAX_SEED) if options.seed is None else options.seed
    asked = {
        "frames": native.get("frames", 17) if options.frames is None else options.frames,
        "height": height,
        "width": width,
        "steps": DEFAULTS.steps if options.steps is None else options.steps,
        "seed": seed,
        "guidance": options.guidance,
    }
    model = LatentVideo(bundle, dit)
    worn = _wear(model.dit, options.adapter, bundle, f"{dit}_dit")
    known = None if options.photo is None else cropped(open_photo(options.photo).rgb, width, height)[None]
    latents = None
    for step, (_, data) in enumerate(model.denoise(prompt, known=known, **asked), 1):
        latents = data
        told(description="denoise", completed=0.9 * step / asked["steps"])
    assert latents is not None
    frames = model.decode(latents)
    write_frames(frames, options.out, fps)
    size = {"width": width, "height": height, "fps": fps, "frames": len(frames)}
    about = {"path": options.out, **size, "seconds": len(frames) / fps}
    return {**about, "settings": {"prompt": prompt, "dit": dit, **asked, **worn}, "model": bundle.identity}


def cropped(picture_HW3: np.ndarray, width: int, height: int) -> np.ndarray:
    """The largest part of the middle that has the form of the video."""
    tall, wide = picture_HW3.shape[:2]
    scale = min(wide / width, tall / height)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (tall - rows) // 2, (wide - columns) // 2
    return np.ascontiguousarray(picture_HW3[top : top + rows, left : left + columns])


# --- plan ---


def add_plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="2b", help="2b, 13b, or the folder of a bundle")
    parser.add_argument("--dit", choices=("single", "multimodal"), help="of a bundle with both transformers")
    parser.add_argument("--machine", default="h100", help=f"{', '.join(timing.published()['machines'])}, or any name")
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--memory", type=float, metavar="GB", help="of each device; needed for a machine not known")
    parser.add_argument("--tflops", type=float, help="dense bf16, of each device; needed for a machine not known")
    parser.add_argument("--link", type=float, metavar="GB/S", help="from device to device, one way (32: PCIe 4.0 x16)")
    parser.add_argument("--frames", type=int, default=81)
    parser.add_argument("--size", default="832x480", metavar="WxH")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--videos", type=int, default=1, help="made at once")
    parser.add_argument("--no-guidance", action="store_true")
    parser.add_argument("--budget", type=float, help="error that a cache may cost, as a share; of a calibrated bundle")


def plan(options: Options) -> None:
    """Say which devices would do what, how long it would take, and why; or what would fit."""
    width, height = _size(options.size)
    counts = {name: getattr(options, name) for name in ("devices", "frames", "steps", "videos")}
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"--{name} has to be at least 1, not {count}.")
    model, machine = _model(options.model, options.dit), _machine(options)
    cache, saved = ("", 0.0) if options.budget is None else _cache(options.model, options.budget, options.devices)
    guidance = not options.no_guidance
    video = Video(options.frames, width, height, options.steps, guidance, options.videos, saved, cache)
    made = make_plan(model, video, machine)
    if options.json:
        _print_json({"machine": dataclasses.asdict(machine), **dataclasses.asdict(made)})
        return
    print(f"{made.layout}; {made.memory}")
    print("\n".join(f"- {reason}" for reason in made.reasons))
    print(
        f"Predicted: {made.times.step:.3g} s a step, {made.times.total:.4g} s a video with decoding, "
        f"{made.speedup:.2f} x one device; peak {max(made.peaks_gb.values()):.1f} GB a device."
    )


def _size(text: str) -> tuple[int, int]:
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) >= 16 for side in sides):
        raise ValueError(f"--size is WIDTHxHEIGHT in pixels, each at least 16, for example 832x480, not {text!r}.")
    return int(sides[0]), int(sides[1])


def _model(name: str, dit: str | None) -> Model:
    if name in PRESETS:
        return Model(name, PRESETS[name], WAN_VAE, T5_XXL_GB)
    if not Path(name).is_dir():
        raise ValueError(f"There is no model {name!r}: name a preset ({', '.join(PRESETS)}) or the folder of a bundle.")
    bundle = read_bundle(name)
    there = [part for part in DITS if f"{part}.json" in bundle.files and dit in (None, part.removesuffix("_dit"))]
    if not there or "vae.json" not in bundle.files:
        raise ValueError(f"The bundle {bundle.name} has no such latent video transformer: there is nothing to plan.")
    config, vae = (json.loads(bundle.file(f"{part}.json").read_text()) for part in (there[0], "vae"))
    text = bundle.file("text.safetensors").stat().st_size / 1e9 if "text.safetensors" in bundle.files else 0.0
    return Model(f"{bundle.name} ({there[0]})", config, vae, text)


def _cache(name: str, budget: float, devices: int) -> tuple[str, float]:
    """The policy of a calibrated bundle that saves most within the budget, and the share that it saves."""
    if name in PRESETS:
        raise ValueError(f"--budget needs a bundle whose cache was calibrated; the preset {name} has no weights.")
    bundle = read_bundle(name)
    file = bundle.file("cache.json")
    # Where the halves of guidance are on two devices, leaving one out saves none of the time.
    half = 0.5 if devices > 1 else 0.0
    with explained(bundle, file.name):
        settings = json.loads(file.read_text())["settings"]
        costs = [(s["work"] + half * s["halves"], str(s["policy"])) for s in settings if s["error"] <= budget]
    if not costs:
        raise ValueError(f"No setting of the cache of {bundle.name} stays within an error of {budget:g}.")
    cost, policy = min(costs)
    return policy, max(0.0, 1 - cost)


def _machine(options: Options) -> timing.Machine:
    given = {"memory_gb": options.memory, "tflops": options.tflops, "link_gb_s": options.link}
    for name, value in given.items():
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"The machine's {name} has to be more than 0, not {value}.")
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


# --- inspect ---


def add_inspect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, nargs="?", default=SHIPPED, help="its folder; the shipped one by default")


def inspect(options: Options) -> None:
    """Verify a bundle and say what is in it, how it was made, and what may be done with its parts."""
    bundle = read_bundle(options.bundle)
    uses = may_use(bundle) if bundle.layout == "diffusers" else PARTS
    found: dict[str, Any] = {
        "name": bundle.name,
        "version": bundle.version,
        "digest": bundle.digest,
        "kinds": bundle.kinds,
        "parts": {name.removesuffix(".safetensors"): _part(bundle, name, uses) for name in _weights(bundle)},
        "sampling": bundle.capabilities.get("sampling"),
        "provenance": {name: bundle.provenance.get(name) for name in ("recipe", "data", "command", "commit")},
        "files": bundle.files,
    }
    if bundle.layout == "diffusers":
        found["accelerations"] = accelerations(bundle)
    if options.json:
        _print_json(found)
        return
    print(f"{bundle.name} {bundle.version}, {bundle.digest}\nkinds: {', '.join(bundle.kinds)}")
    for name, part in found["parts"].items():
        print(f"{name}: {part['parameters']:,} parameters, {part['bytes']:,} bytes; {part['may_use']}")
    print("\n".join(f"{name}: {value}" for name, value in found["provenance"].items() if value))
    if bundle.layout == "diffusers":
        print(in_lines(found["accelerations"]))


# --- import ---


def import_(options: Options) -> None:
    """Make a bundle from a diffusers directory on this machine."""
    found = import_model(options)
    if options.json:
        _print_json(found)
        return
    print(f"{found['bundle']}: {found['name']}, {', '.join(found['kinds'])}\n{in_lines(found['accelerations'])}")


def _weights(bundle: Bundle) -> list[str]:
    return sorted(name for name in bundle.files if name.endswith(".safetensors"))


def _part(bundle: Bundle, name: str, uses: Mapping[str, str]) -> Mapping[str, Any]:
    """Parameters of a safetensors file, from its header alone (huggingface.co/docs/safetensors)."""
    path, part = bundle.file(name), name.removesuffix(".safetensors")
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    shapes = [tensor["shape"] for key, tensor in header.items() if key != "__metadata__"]
    return {
        "parameters": sum(math.prod(shape) for shape in shapes),
        "bytes": path.stat().st_size,
        "sha256": bundle.files[name],
        "may_use": uses.get(part.split("/")[0], "one device"),
    }


# --- bench ---


def add_bench(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Further options are the benchmark's own: tests/benchmarks/engine.py --help."


def bench(options: Options) -> int:
    """Run the engine's benchmark, where this is a checkout of the repository."""
    if not BENCHMARK.is_file():
        raise ValueError(f"The benchmark is not here ({BENCHMARK}): it is part of the repository, not of the package.")
    return subprocess.run([sys.executable, str(BENCHMARK), *options.rest], check=False).returncode


Command = tuple[Callable[[argparse.ArgumentParser], None], Callable[[Options], int | None]]
COMMANDS: dict[str, Command] = {
    "generate": (add_generate, generate),
    "plan": (add_plan, plan),
    "inspect": (add_inspect, inspect),
    "import": (add_import, import_),
    "bench": (add_bench, bench),
}

if __name__ == "__main__":
    sys.exit(main())
