"""`python -m engine import`, and what `inspect` says of an imported bundle. Torch-free."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from engine.bundles import Bundle
from engine.pretrained.directory import read_directory
from engine.pretrained.families import SPREAD, applies
from engine.pretrained.importing import import_directory
from engine.requests import TextToVideo

MODELS = Path("var", "models")
VAE = "from Python: engine.parallel.vae.ParallelVae, engine.memory.tiling.Strips"


def add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path, help="the folder that holds the model's model_index.json")
    parser.add_argument(
        "--out", type=Path, metavar="BUNDLE", help=f"the bundle, a new folder; {MODELS}/<name> by default"
    )
    parser.add_argument("--name", help="the folder's own by default")
    parser.add_argument("--pixels", metavar="WxH", help="the size it was trained for; its family's usual by default")
    parser.add_argument("--frames", type=int, help="the most that it makes at once")
    parser.add_argument("--fps", type=int, help="the rate that it was trained for")
    parser.add_argument(
        "--copy", action="store_true", help="copy the files instead of sharing them, as another disk needs"
    )


def import_model(options: argparse.Namespace) -> dict[str, Any]:
    """Make a bundle from a diffusers directory on this machine. Returns what `--json` prints."""
    native = {name: getattr(options, name) for name in ("frames", "fps") if getattr(options, name) is not None}
    if options.pixels is not None:
        native["pixels"] = _pixels(options.pixels)
    out = options.out or MODELS / (options.name or options.path.resolve().name)
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("hashing", total=None)
        bundle = import_directory(
            options.path,
            out,
            name=options.name,
            native=native,
            copy=options.copy,
            on_bytes=lambda done, total: bar.update(task, completed=done, total=total),
        )
    return {
        "bundle": str(bundle.path),
        "name": bundle.name,
        "digest": bundle.digest,
        "kinds": bundle.kinds,
        "capabilities": bundle.capabilities,
        "accelerations": accelerations(bundle),
    }


def accelerations(bundle: Bundle) -> dict[str, dict[str, Any]]:
    """Which of our accelerations an imported bundle can use, and why not the others."""
    return applies(bundle.capabilities, read_directory(bundle.path).transformers)


def may_use(bundle: Bundle) -> dict[str, str]:
    """What may be done with an imported bundle's components, but for those that run on one device only."""
    index = read_directory(bundle.path).index
    found = {}
    if accelerations(bundle)["sequence"]["applies"]:
        found = dict.fromkeys(("transformer", "transformer_2"), f"cfg, ring and ulysses parallel, {SPREAD}")
    if index["vae"][1] == "AutoencoderKLWan":
        found["vae"] = f"decoding over devices, or in strips on one, {VAE}"
    return found


def in_lines(accelerations: dict[str, dict[str, Any]]) -> str:
    """The same in lines for people."""
    return "\n".join(
        f"{name}: {'applies, ' + said['how'] if said['applies'] else 'does not apply: ' + said['because']}"
        for name, said in accelerations.items()
    )


def text_to_video(options: Mapping[str, Any]) -> TextToVideo:
    """The request of these options; pydantic's ValidationError where one is out of bounds."""
    said = {name: options[name] for name in TextToVideo.model_fields if options.get(name) is not None}
    return TextToVideo.model_validate({"prompt": ""} | said)


def _pixels(text: str) -> int:
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() for side in sides):
        raise ValueError(f"--pixels is WIDTHxHEIGHT, for example 1280x720, not {text!r}.")
    return int(sides[0]) * int(sides[1])
