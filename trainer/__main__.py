"""`python -m trainer`: run, resume, compare, films, encode, export, calibrate, published-mask, plan, evaluate.

Alone, or as a rank of `torchrun -m trainer`.
"""

from __future__ import annotations

import argparse
import errno
import shlex
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from rich.console import Console

from engine.bundles import MANIFEST
from engine.device import AUTO
from trainer.catalogue import RECIPES
from trainer.compare import compare, held_out_table, plot, table
from trainer.data_options import add_encode, add_films, add_published_mask
from trainer.evaluate.command import add_evaluate, evaluate
from trainer.numbers import count
from trainer.plan.command import add_options, plan
from trainer.ranks import Ranks, in_turn, joined, own_device
from trainer.record import Record
from trainer.run import Stopped
from trainer.settings import PLACES, configuration, override
from trainer.start import begin_at, bring_back, kept_start, told

RUNS = Path("var/runs")
PARTS = ("mask", "relief", "roundness")  # of a bundle, that other runs and bundles may give


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0: finished; 3: the minutes were over, `resume` goes on; 2: a mistake, a loss gone wrong, or a disk.

    Under torchrun a pause is 0 too: it takes any other for a failure, and would start the ranks again.
    """
    given = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(given)
    options.command = shlex.join(["python", "-m", "trainer", *given])
    torch.set_num_threads(getattr(options, "threads", None) or 1)
    verbs: dict[str, Callable[[argparse.Namespace], int]] = {
        "run": run,
        "resume": resume,
        "compare": compare_runs,
        "export": export,
        "plan": plan,
        "evaluate": evaluate,
        "films": lambda options: import_module("trainer.film_shards").run_films(options),
        "encode": lambda options: import_module("trainer.encode").run_encode(options),
        "calibrate": lambda options: import_module("trainer.calibrate").run_calibrate(options),
        "published-mask": lambda options: import_module("trainer.published_mask").run_published_mask(options),
    }
    try:
        return verbs[options.verb](options)
    except (ValueError, Stopped) as error:
        print(f"trainer: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"trainer: {_of_the_disk(error)}", file=sys.stderr)
        return 2


def _of_the_disk(error: OSError) -> str:
    """Where, and why; and that a full disk has spoiled nothing."""
    where = f"{error.filename}: " if error.filename else ""
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    kept = " What was kept before, as the last checkpoint, is whole: make room, and the same call goes on."
    return f"{where}{error.strerror or error}.{kept if is_full else ''}"


def run(options: argparse.Namespace) -> int:
    """Begin a run, or go on with one under the settings of this call."""
    recipe = RECIPES[options.recipe]
    config = override(recipe.part("config")(), options.set)
    if options.start and hasattr(config, "base"):
        raise ValueError(f"{options.recipe} begins at its base: --set base={options.start}, not --from.")
    return _train(options.recipe, config, options.out or RUNS / options.recipe, options, options.device or AUTO)


def resume(options: argparse.Namespace) -> int:
    """Go on with the run in a folder: its record knows recipe, settings, device, threads and the last call's stages."""
    record = Record(options.run)
    if not record.kept:
        begin = f"run RECIPE --out {shlex.quote(str(options.run))}"
        raise ValueError(f"{options.run} holds no record of a run: begin one with `{begin}`.")
    name = record.kept["recipe"]
    if name not in RECIPES:
        raise ValueError(f"{options.run} holds a run of {name}, which is no recipe: there are {', '.join(RECIPES)}.")
    today = RECIPES[name].part("config")()
    config = override(configuration(type(today), record.kept["config"], lacking=today), options.set)
    torch.set_num_threads(options.threads or record.kept["environment"]["threads"])
    options.stage = options.stage or record.kept["calls"][-1].get("stages")
    return _train(name, config, options.run, options, options.device or record.kept.get("device", AUTO))


def compare_runs(options: argparse.Namespace) -> int:
    """Losses of two runs side by side."""
    stages, names = compare(options.first, options.second), (str(options.first), str(options.second))
    for stage in stages:
        Console().print(table(stage, names))
        if (measured := held_out_table(stage, names)) is not None:
            Console().print(measured)
    if options.plot:
        plot(stages, names, options.plot)
        print(f"plot in {options.plot}")
    return 0


def export(options: argparse.Namespace) -> int:
    """Write a run's bundle. The settings are those that it was trained with."""
    recipe = RECIPES[options.recipe]
    config, record = recipe.part("config")(), Record(options.out)
    kept, settings = record.kept, record.settings + options.set
    if kept and kept["recipe"] == options.recipe:
        config = configuration(type(config), kept["config"], lacking=config)
    config = override(config, options.set)
    if options.mask_share != 1 and not options.mask:
        raise ValueError("--mask-share is for the mask of another run: give --mask.")
    is_bundle = (options.out / MANIFEST).exists()
    names = [setting.partition("=")[0].strip() for setting in options.set]
    if is_bundle and not options.recipe.startswith("nano"):
        raise ValueError(f"{options.out} is a bundle already: export {options.recipe} takes the folder of a run.")
    if is_bundle and not all(name.startswith("sampling.") for name in names):
        raise ValueError(
            f"{options.out} is a bundle, whose settings stay; beside --{', --'.join(PARTS)}, --set sampling... says "
            f"how it is sampled."
        )
    exchanged = {name: run for name in PARTS if (run := getattr(options, name))}
    if exchanged and not options.recipe.startswith("nano"):
        raise ValueError(f"{options.recipe} has none of what --{', --'.join(PARTS)} exchange: they are for nano.")
    sights = [(name, run) for name, run in exchanged.items() if name != "mask"]
    if sights and (len(exchanged) > 1 or not is_bundle):
        raise ValueError(
            f"--{sights[0][0]} exchanges the {sights[0][0]} of a bundle, and nothing else: --out BUNDLE, and one of "
            f"--{', --'.join(PARTS)}."
        )
    bundle = recipe.part("export")(
        config,
        options.out,
        options.bundle,
        version=options.version,
        command=_command(options, settings, bool(kept.get("from"))),
        unfinished=options.unfinished,
        **({"mask": options.mask, "mask_share": options.mask_share} if options.mask else {}),
        **({"sight": sights[0]} if sights else {}),
        **({"sampled": {name[9:]: getattr(config.sampling, name[9:]) for name in names}} if is_bundle else {}),
    )
    print(f"{bundle.name} {bundle.version} {bundle.digest} in {bundle.path}")
    return 0


def _train(name: str, config: Any, folder: Path, options: argparse.Namespace, asked: str) -> int:
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: a run takes a folder, choose another with --out.")
    stages, began, start = _stages(name, options.stage), time.time(), kept_start(folder)
    device = own_device(asked)
    with joined(device) as ranks:
        record = Record(folder)
        try:
            _begin(record, name, config, options, ranks, asked, device)
            finished = RECIPES[name].part("run")(config, folder, stages, options.minutes, device)
        except ValueError:
            others = set(RECIPES[name].part("stages")) - set(stages)
            if ranks.rank == 0 and not _worked(folder, began, others):
                record.take_back()
                if options.start:
                    bring_back(folder, start)
            raise
        with in_turn():  # a rank that leaves early may have the others ended
            if ranks.rank == 0:
                record.end()
                print("finished" if finished else f"paused: {_again(folder, options.stage)} goes on")
    return 0 if finished or dist.is_torchelastic_launched() else 3


def _again(folder: Path, stages: list[str] | None) -> str:
    """What goes on with a paused run; under torchrun as many processes as there were, which one cannot stand in for.

    It names the stages: another process that trains beside may have been called last.
    """
    words = ["python", "-m", "trainer", "resume", str(folder)]
    words += [word for stage in stages or () for word in ("--stage", stage)]
    return "the same torchrun call" if dist.is_torchelastic_launched() else f"`{shlex.join(words)}`"


def _worked(folder: Path, began: float, others: set[str]) -> bool:
    """Whether a stage has kept anything since then: what is refused after hours is not refused whole.

    The stages `others` may be another process's, which trains beside.
    """
    for path in folder.glob("*/**/*"):
        with suppress(FileNotFoundError):  # renamed by that process
            if path.relative_to(folder).parts[0] not in others and path.is_file() and path.stat().st_mtime >= began:
                return True
    return False


def _begin(
    record: Record,
    name: str,
    config: Any,
    options: argparse.Namespace,
    ranks: Ranks,
    asked: str,
    device: torch.device,
) -> None:
    """Record the call on rank 0, before any rank goes on, and list what it changes."""
    with in_turn():
        if ranks.rank == 0:
            modules = RECIPES[name].part("modules")(config) if options.start else ()
            start = begin_at(record.path.parent, options.start, modules) if options.start else None
            changes = record.begin(
                name, config, options.command, options.set, ranks.world, start, asked, device, options.stage
            )
            if start:
                print(told(start, modules))
            for change in changes:
                print(f"changed since the last call: {change}")


def _stages(name: str, asked: list[str] | None) -> tuple[str, ...]:
    """The asked stages, all by default; ValueError where the recipe has no such stage."""
    stages: tuple[str, ...] = RECIPES[name].part("stages")
    unknown = [stage for stage in asked or () if stage not in stages]
    if unknown:
        raise ValueError(f"{name} has no stage {', '.join(unknown)}: choose from {', '.join(stages)}.")
    return tuple(asked) if asked else stages


def _command(options: argparse.Namespace, settings: list[str], is_begun: bool) -> str:
    """What makes such a bundle, in the folders RUN and BUNDLE; from START and with the mask of MASK, where the
    provenance of its stages names them. Of a setting that was given several times the last holds. Files and folders of
    this machine are BASE, DATA, PAIRS, ENCODER, CUTOUTS, GROUNDS.
    """
    last = {one.partition("=")[0].strip(): one for one in settings}
    last |= {name: f"{name}={name.rpartition('.')[2].upper()}" for name in PLACES if last.get(name)}
    asked = [f"--set {shlex.quote(one)}" for one in last.values()]
    recipe, share = options.recipe, options.mask_share
    run = [f"python -m trainer run {recipe} --out RUN", *(["--from START"] if is_begun else []), *asked]
    out = [f"python -m trainer export {recipe} --out RUN --bundle BUNDLE --version {shlex.quote(options.version)}"]
    out += (["--mask MASK"] if options.mask else []) + ([f"--mask-share {share:g}"] if share != 1 else [])
    return " && ".join([" ".join(run), " ".join(out)])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer")
    verbs = parser.add_subparsers(dest="verb", required=True)
    add_options(verbs.add_parser("plan", help="memory, time and the best mesh on many devices"))
    add_films(verbs.add_parser("films", help="generated films as shards"))
    add_encode(verbs.add_parser("encode", help="latents and text features of films, as derived shards"))
    add_evaluate(verbs.add_parser("evaluate", help="figures of a bundle beside their baselines, and a report"))
    begin = verbs.add_parser("run", help="begin a run of a recipe, or go on with it")
    begin.add_argument("recipe", choices=RECIPES)
    begin.add_argument("--out", type=Path, help=f"folder of the run ({RUNS}/RECIPE)")
    begin.add_argument("--from", dest="start", type=Path, help="bundle or run at whose weights the stages begin")
    again = verbs.add_parser("resume", help="go on with a run as it was begun")
    again.add_argument("run", type=Path, help="folder of the run")
    again.set_defaults(start=None)
    out = verbs.add_parser("export", help="write a run's bundle")
    for sub in (begin, again, out):
        sub.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting, as dit.steps=500")
    for sub in (begin, again):
        sub.add_argument("--minutes", type=float, help="pause the whole call after this long")
        sub.add_argument("--stage", action="append", help="only this stage, or several (all, or as last called)")
        sub.add_argument("--device", help="auto, cpu, or an accelerator as torch names it (auto, or as the run began)")
        # One thread: the models are small, and a barrier that waits for a busy core costs more than it gains.
        sub.add_argument("--threads", type=count, help="CPU threads of torch (1, or as the run began)")
    add_published_mask(verbs.add_parser("published-mask", help="the published weights of the automatic mask's network"))
    cache = verbs.add_parser("calibrate", help="measure what a diffusion cache costs a bundle, into a copy of it")
    cache.add_argument("bundle", type=Path, help="the folder of a bundle of ours")
    cache.add_argument("--out", type=Path, required=True, help="new folder for the calibrated bundle")
    cache.add_argument("--steps", type=count, required=True, help="denoising steps that the cache is to be used at")
    cache.add_argument("--requests", type=count, default=12, help="films that are made, about 60 times each (12)")
    cache.add_argument("--threads", type=count, help="CPU threads of torch (1)")
    side = verbs.add_parser("compare", help="losses of two runs side by side")
    side.add_argument("first", type=Path)
    side.add_argument("second", type=Path)
    side.add_argument("--plot", type=Path, metavar="PNG", help="draw them too")
    out.add_argument("recipe", choices=RECIPES)
    told = "folder of the run; for nano's --mask also a bundle, for its --relief and --roundness only a bundle"
    out.add_argument("--out", type=Path, required=True, help=told)
    out.add_argument("--threads", type=count, help="CPU threads of torch (1)")
    out.add_argument("--bundle", type=Path, required=True, help="new folder for the bundle")
    out.add_argument("--version", default="0.1.0", help="of the bundle (0.1.0)")
    out.add_argument("--mask", type=Path, metavar="RUN", help="nano: the automatic mask of this other run or bundle")
    for name in PARTS[1:]:
        of_this = f"nano, for the bundle --out: the {name} of this run or bundle"
        out.add_argument(f"--{name}", type=Path, metavar="RUN", help=of_this)
    told = "nano: how far that run's mask goes from the weights it began at to those it has learnt (1)"
    out.add_argument("--mask-share", type=float, default=1.0, metavar="SHARE", help=told)
    out.add_argument("--unfinished", action="store_true", help="also stages that stopped early; the bundle says so")
    return parser


if __name__ == "__main__":
    sys.exit(main())
