"""`python -m trainer run RECIPE --out DIR`: train, resume, export."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from trainer import lora, nano, tiny_video
from trainer.export import export_nano, export_tiny_video
from trainer.recipes.lora import lora as lora_recipe
from trainer.recipes.nano import nano as nano_recipe
from trainer.recipes.nano import nano_smoke
from trainer.recipes.tiny_video import tiny_video as tiny_video_recipe
from trainer.recipes.tiny_video import tiny_video_smoke


@dataclass(frozen=True)
class Recipe:
    """A configuration and what runs and exports it."""

    config: Callable[[], Any]
    run: Callable[..., bool]
    export: Callable[..., Any]
    stages: tuple[str, ...]


RECIPES = {
    "lora": Recipe(lora_recipe, lora.run_lora, lora.export_lora, lora.STAGES),
    "nano": Recipe(nano_recipe, nano.run_nano, export_nano, nano.STAGES),
    "nano_smoke": Recipe(nano_smoke, nano.run_nano, export_nano, nano.STAGES),
    "tiny_video": Recipe(tiny_video_recipe, tiny_video.run_tiny_video, export_tiny_video, tiny_video.STAGES),
    "tiny_video_smoke": Recipe(tiny_video_smoke, tiny_video.run_tiny_video, export_tiny_video, tiny_video.STAGES),
}


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0: finished; 3: the minutes were over, the same command goes on; 2: a user's mistake."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    recipe = RECIPES[options.recipe]
    config = recipe.config()
    try:
        if options.verb == "run":
            stages = _stages(options.recipe, options.stage)
            finished = recipe.run(config, options.out, stages, options.minutes)
            print("finished" if finished else "paused: the same command goes on")
            return 0 if finished else 3
        bundle = recipe.export(
            config,
            options.out,
            options.bundle,
            version=options.version,
            command=_command(options.recipe, options.version),
            unfinished=options.unfinished,
        )
        print(f"{bundle.name} {bundle.version} {bundle.digest} in {bundle.path}")
        return 0
    except ValueError as error:
        print(f"trainer: {error}", file=sys.stderr)
        return 2


def _stages(name: str, asked: list[str] | None) -> tuple[str, ...]:
    """The asked stages, all by default; ValueError where the recipe has no such stage."""
    stages = RECIPES[name].stages
    unknown = [stage for stage in asked or () if stage not in stages]
    if unknown:
        raise ValueError(f"{name} has no stage {', '.join(unknown)}: choose from {', '.join(stages)}.")
    return tuple(asked) if asked else stages


def _command(recipe: str, version: str) -> str:
    """What makes such a bundle from nothing, in the folders RUN and BUNDLE."""
    run = f"python -m trainer run {recipe} --out RUN"
    return f"{run} && python -m trainer export {recipe} --out RUN --bundle BUNDLE --version {shlex.quote(version)}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("run", "export"):
        sub = verbs.add_parser(verb)
        sub.add_argument("recipe", choices=RECIPES)
        sub.add_argument("--out", type=Path, required=True, help="folder of the run")
        # One thread: the models are small, and a barrier that waits for a busy core costs more than it gains.
        sub.add_argument("--threads", type=int, default=1, help="CPU threads of torch (1)")
    run = verbs.choices["run"]
    run.add_argument("--minutes", type=float, help="pause the whole call after this long; the same command goes on")
    run.add_argument("--stage", action="append", help="only this stage (may be repeated)")
    export = verbs.choices["export"]
    export.add_argument("--bundle", type=Path, required=True, help="new folder for the bundle")
    export.add_argument("--version", default="0.1.0")
    export.add_argument("--unfinished", action="store_true", help="also stages that stopped early; the bundle says so")
    return parser


if __name__ == "__main__":
    sys.exit(main())
