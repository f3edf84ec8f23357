"""`python -m engine generate`: a video from a photo or from words, by any bundle."""

from __future__ import annotations

import argparse
import dataclasses
import secrets
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from engine import events
from engine.axes import MeshShape
from engine.bundles import SHIPPED, Bundle, explained, read_bundle, sampling_of, steps_of
from engine.cache.budget import of_bundle
from engine.commands import Options, print_json
from engine.commands.plan import model_of
from engine.costs import check_size
from engine.media.photo import open_photo
from engine.media.video import write_frames
from engine.options import (
    CONTROLS,
    DEFAULTS,
    FILM,
    OF_LATENTS,
    add_video_options,
    between,
    check_files,
    image_to_video,
    refuse_unused,
    size_of,
    understood_of,
)
from engine.planner import Video, make_plan
from engine.pretrained.command import text_to_video
from engine.pretrained.fitting import cropped
from engine.requests import MAX_SEED, Sampled, TextToVideo
from engine.timing import this_machine

if TYPE_CHECKING:
    from engine.latent_video import LatentVideo


def add_generate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photo", type=Path, nargs="?", help="a JPEG, PNG (its transparency is the mask) or WebP")
    add_video_options(parser)
    fps, steps = (between(Sampled, name) for name in ("fps", "steps"))
    only = parser.add_argument_group(
        "of bundles of latent video, which read a photo only where one is given",
        f"They take --fps {fps} and --steps {steps}; --frames and --size in the place of --seconds and --format.",
    )
    only.add_argument("--dit", choices=("single", "multimodal"), help="single by default")
    only.add_argument("--frames", type=int, help="1 + 4n; what the bundle was trained for by default")
    only.add_argument("--size", metavar="WxH", help="what the bundle was trained for by default")
    only.add_argument("--guidance", type=float, help="1: none; the bundle's own by default")
    learnt = parser.add_argument_group("of bundles of latent video, and of imported ones")
    learnt.add_argument(
        "--adapter", type=Path, help="the folder of an adapter bundle that was trained on this very bundle"
    )
    parser.add_argument(
        "--cache", type=float, metavar="BUDGET", help="error that a cache may cost, as a share; of a calibrated bundle"
    )
    parser.add_argument(
        "--mesh",
        metavar="AXES",
        help="processes that share the denoising, as cfg=2,ulysses=2; of latent video their number will do",
    )
    imported = parser.add_argument_group(
        "of imported bundles", f"From words alone they take --seconds {between(TextToVideo, 'seconds')}."
    )
    imported.add_argument("--device", help="cpu by default, in float32; on any other that torch knows, in bfloat16")


def generate(options: Options) -> None:
    """Make a video from a product photo, or by a bundle of latent video from words."""
    bundle = read_bundle(options.bundle or SHIPPED)
    check_files(options.out, options.photo, options.mask)
    _check_cache(bundle, options)
    with _bar() as bar:
        task = bar.add_task("load", total=1.0)
        told = partial(bar.update, task)
        if "vae.json" in bundle.files:
            made = _from_words(bundle, options, told, bar.console.print)
        else:
            made = _from_photo(bundle, options, told, bar.console.print)
        told(completed=1.0)
    if options.json:
        print_json(made)
    else:
        print(f"{made['path']}: {made['width']}x{made['height']}, {made['seconds']:g} s at {made['fps']} fps")
        if understood := understood_of(made["settings"]):
            print(understood)


def _check_cache(bundle: Bundle, options: Options) -> None:
    """Before anything loads; a calibration is for one number of steps, which are those where none are asked."""
    if not options.cache:
        return
    if options.adapter:
        raise ValueError("A cache is calibrated on the bundle without an adapter: leave --cache or --adapter out.")
    found = of_bundle(bundle)
    found.setting(options.cache)  # refuses what is no budget
    options.steps = len(found.times) if options.steps is None else options.steps


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
    if request.kind not in bundle.kinds:
        served = ", ".join(bundle.kinds)
        raise ValueError(f"The bundle {bundle.name} does not serve {request.kind}: it serves {served}.")

    def on_event(event: events.Progress | events.Preview | events.Notice) -> None:
        if isinstance(event, events.Progress):
            told(description=event.stage, completed=event.fraction)
        if isinstance(event, events.Notice):
            say(event.message)

    engine, worn = _engine(bundle, options)
    with closing(engine):
        made = engine.generate(request, options.photo, options.out, mask=options.mask, on_event=on_event)
    made.settings.update(worn)
    return dataclasses.asdict(made)


def _refuse_unused(bundle: Bundle, options: Options) -> None:
    """ValueError for options that would change nothing."""
    what, used = f"The bundle {bundle.name}", (*FILM, *CONTROLS)
    if bundle.layout == "diffusers":
        used = (*FILM, *(("camera", "subject", "mask") if options.photo else ()), "device", "adapter", "cache")
        what += "" if options.photo else ", from words alone,"
    refuse_unused(vars(options), used, what)


def _engine(bundle: Bundle, options: Options) -> tuple[Any, dict[str, Any]]:
    """The engine of a bundle, and what the settings say of its adapter."""
    if bundle.layout == "diffusers":
        from engine.pretrained.generate import PretrainedEngine

        engine = PretrainedEngine.load(bundle, device=options.device or "cpu", cache=options.cache or 0.0)
        return engine, _wear(engine.denoisers[0], options.adapter, bundle, "transformer")
    cache = {"cache": options.cache} if options.cache else {}
    if options.mesh:
        shape = MeshShape.read(options.mesh)
        from engine.runtime.denoise import engine_on

        return engine_on(bundle, vars(shape), **cache), {"mesh": options.mesh}
    from engine.generate import Engine  # needs torch, which the other commands do without

    return Engine(bundle, **cache), {}


def _wear(model: Any, adapter: Path | None, base: Bundle, part: str) -> dict[str, Any]:
    """Put the adapter on, where one is asked for; what the settings say of it."""
    if adapter is None:
        return {}
    from engine.adapters import put_on

    worn = read_bundle(adapter)
    put_on(model, worn, base, part)
    return {"adapter": worn.identity}


def _from_words(
    bundle: Bundle, options: Options, told: Callable[..., None], say: Callable[[str], None]
) -> dict[str, Any]:
    refuse_unused(vars(options), OF_LATENTS, f"The bundle {bundle.name}")
    prompt, dit = options.prompt or "", options.dit or "single"
    said = {name: getattr(options, name) for name in Sampled.model_fields if getattr(options, name) is not None}
    numbers = Sampled.model_validate(said)
    with explained(bundle, "capabilities.latents"):
        native = {"frames": 17, "width": 64, "height": 64} | dict(bundle.capabilities.get("latents") or {})
        own_frames, *own_size = (int(native[name]) for name in ("frames", "width", "height"))
    width, height = size_of(options.size) if options.size else own_size
    asked: dict[str, Any] = {
        "frames": own_frames if options.frames is None else options.frames,
        "height": height,
        "width": width,
        "steps": numbers.steps or steps_of(bundle, DEFAULTS.steps),
        "seed": secrets.randbelow(MAX_SEED) if numbers.seed is None else numbers.seed,
        "guidance": numbers.guidance,
    }
    bundle.file(f"{dit}_dit.json")
    described = model_of(bundle, dit)
    check_size(described.config, described.vae, asked["frames"], height, width)
    model, shared = _latent_video(bundle, dit, asked, options)
    known = None if options.photo is None else cropped(open_photo(options.photo).rgb, width, height)[None]
    latents = None
    with closing(model):
        notices = [events.PROMPT_CUT] if model.denoiser.is_cut(prompt) else []
        for notice in notices:
            say(notice.message)
        for step, (_, data) in enumerate(model.denoise(prompt, known=known, **asked), 1):
            latents = data
            told(description="denoise", completed=0.9 * step / asked["steps"])
    assert latents is not None
    worn = shared | ({"cache": model.denoiser.saved} if model.denoiser.saved else {})
    frames = model.decode(latents)
    write_frames(frames, options.out, numbers.fps)
    size = {"width": width, "height": height, "fps": numbers.fps, "frames": len(frames)}
    told_of = [dataclasses.asdict(notice) for notice in notices]
    about = {"path": options.out, **size, "seconds": len(frames) / numbers.fps, "notices": told_of}
    return {**about, "settings": {"prompt": prompt, "dit": dit, **asked, **worn}, "model": bundle.identity}


def _latent_video(
    bundle: Bundle, dit: str, asked: dict[str, Any], options: Options
) -> tuple[LatentVideo, dict[str, Any]]:
    """The models, in this process or on ranks, and what the settings say of adapter and mesh."""
    cache, adapter = options.cache or 0.0, options.adapter
    worn: dict[str, Any] = {"adapter": read_bundle(adapter).identity} if adapter else {}
    shape = _mesh(bundle, dit, asked, options.mesh) if options.mesh else None
    from engine.latent_denoise import LatentDenoiser  # needs torch, which takes seconds: what is refused is so before
    from engine.latent_video import LatentVideo

    if shape is None:
        return LatentVideo(bundle, dit, LatentDenoiser(bundle, dit, cache=cache, adapter=adapter)), worn
    from engine.runtime.latent_video import latent_video_on

    return latent_video_on(bundle, shape, dit, cache=cache, adapter=adapter), {**worn, "mesh": str(shape)}


def _mesh(bundle: Bundle, dit: str, asked: dict[str, Any], said: str) -> MeshShape:
    """As it is said or, of a mere number of ranks, as the planner lays them out."""
    if not said.isdecimal():
        return MeshShape.read(said)
    guidance = sampling_of(bundle)["guidance"] if asked["guidance"] is None else asked["guidance"]
    video = Video(asked["frames"], asked["width"], asked["height"], asked["steps"], guidance=guidance != 1)
    return make_plan(model_of(bundle, dit), video, this_machine(int(said)), resident=True).layout
