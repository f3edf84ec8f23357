"""`python -m trainer plan RECIPE --gpus 4096 --gpu h200`: what a run needs, how long it takes, on which mesh, and why.

`--published` puts predictions beside what others published; `--failures` adds how a run fares when nodes fail.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from engine.planner import HOST_LINK
from trainer.numbers import count, not_negative, positive
from trainer.plan import report
from trainer.plan.choose import Choice, Plan, make_plan
from trainer.plan.devices import fitted_share, gpu_of, not_comparable, predictions, published
from trainer.plan.job import GB, Job, Memory
from trainer.plan.memory import OPTIMISERS, Need, need, table
from trainer.plan.mesh import Mesh
from trainer.plan.simulate import DAY, Faults, Saving, daly, effective_time, rows
from trainer.plan.timing import Gpu, predict
from trainer.recipes.large import LargeVideoConfig, Stage
from trainer.recipes.multimodal_dit_13b import multimodal_dit_13b
from trainer.recipes.multimodal_dit_300b import multimodal_dit_300b
from trainer.recipes.single_dit_2b import single_dit_2b

RECIPES: Mapping[str, Callable[[], LargeVideoConfig]] = {
    "single_dit_2b": single_dit_2b,
    "multimodal_dit_13b": multimodal_dit_13b,
    "multimodal_dit_300b": multimodal_dit_300b,
}
DEVICES = (1000, 2000, 4000, 6000, 8000, 10000)
STORAGE = 100 * GB  # bytes a second that the whole run writes: ours, ask for your own with --storage


def main(arguments: list[str] | None = None) -> int:
    """Exit status 2: a user's mistake, and what cannot fit."""
    parser = argparse.ArgumentParser(prog="python -m trainer plan", description=__doc__)
    add_options(parser)
    return plan(parser.parse_args(arguments))


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", nargs="?", choices=RECIPES, help="none: only --published or --failures")
    parser.add_argument("--gpus", type=count, default=1024, help="devices in all (1024)")
    parser.add_argument("--gpu", default="h200", help=f"their kind: {', '.join(published()['gpus'])} (h200)")
    parser.add_argument("--stage", help="of the recipe's schedule (the last)")
    parser.add_argument("--batch", type=count, help="samples of a step (the recipe's)")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--tokens", type=positive, help="video tokens to train on (the recipe's samples)")
    budget.add_argument("--samples", type=positive, help="samples to train on (the recipe's)")
    parser.add_argument("--optimiser", choices=OPTIMISERS, help="the recipe's by default")
    parser.add_argument("--mesh", help="tell of this one instead of choosing: shard=64,ulysses=8,tensor=2")
    parser.add_argument("--published", action="store_true", help="predictions beside published runs")
    parser.add_argument("--failures", action="store_true", help="effective training time when nodes fail")
    parser.add_argument("--rate", type=positive, default=Faults.rate * 1000, help="failures in 1,000 node days (3.79)")
    parser.add_argument(
        "--restart", type=not_negative, default=Faults.restart, help="seconds to be at work again (600)"
    )
    parser.add_argument("--shape", type=positive, default=Faults.shape, help="of the Weibull gaps; 1: no memory")
    parser.add_argument(
        "--storage", type=positive, default=STORAGE / GB, help="GB/s at which checkpoints are written (100)"
    )
    parser.add_argument("--json", action="store_true", help="all of it as JSON")


def plan(options: argparse.Namespace) -> int:
    try:
        found = _told(options)
    except ValueError as error:
        print(f"trainer: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        report.print_all(found)
    return 0


def _told(options: argparse.Namespace) -> dict[str, Any]:
    """All that was asked for. ValueError for what does not exist or cannot fit."""
    if not (options.recipe or options.published or options.failures):
        raise ValueError(f"Which recipe? There are: {', '.join(RECIPES)}; or ask for --published or --failures.")
    faults = Faults(rate=options.rate / 1000, restart=options.restart, shape=options.shape)
    saving, found = Saving(0.0, 5.0, 60.0), dict[str, Any]()
    if options.recipe:
        config = RECIPES[options.recipe]()
        if options.optimiser:
            config = replace(config, states=replace(config.states, optimiser=options.optimiser))
        stage, gpu = config.stage(options.stage), gpu_of(options.gpu)
        job = config.job(stage, options.batch)
        plan = (
            _asked(job, gpu, options.mesh, options.gpus, config)
            if options.mesh
            else make_plan(job, gpu, options.gpus, config.states)
        )
        saving = saving_of(config, plan.best.need, options.storage * GB)
        budget = options.tokens or (options.samples or stage.samples) * job.tokens
        found["plan"] = _plan(config, stage, job, gpu, plan, budget, saving, faults)
    if options.published:
        found["published"] = _published()
    if options.failures:
        faults = replace(faults, node=gpu_of(options.gpu).node)
        found["failures"] = _failures(saving, faults)
    return found


def _asked(job: Job, gpu: Gpu, text: str, devices: int, config: LargeVideoConfig) -> Plan:
    """The plan of a mesh that was asked for, whether or not it is the best."""
    try:
        mesh = Mesh(**{axis: int(size) for axis, size in (part.split("=") for part in text.split(","))})
    except (TypeError, ValueError):
        raise ValueError(f"A mesh is given as shard=64,ulysses=8, with axes of {', '.join(vars(Mesh()))}.") from None
    if min(vars(mesh).values()) < 1:
        raise ValueError("Every axis of a mesh has at least one device.")
    heads, blocks = job.config["heads"], len(job.blocks)
    if mesh.tensor * mesh.ulysses > heads or mesh.pipe > blocks:
        raise ValueError(
            f"{mesh} leaves devices without work: tensor x ulysses is at most the {heads} heads of this model, and "
            f"pipe at most its {blocks} blocks."
        )
    if mesh.world != devices or job.batch % mesh.data:
        raise ValueError(
            f"{mesh} has {mesh.world} devices and {mesh.data} parts of the batch; there are {devices} devices and "
            f"{job.batch:,} samples: give --gpus and --batch that fit."
        )
    for policy, room in table(job, mesh, 1, config.states).items():
        if room.total <= gpu.memory_gb:
            memory = Memory(policy)
            return Plan(Choice(mesh, memory, room, predict(job, mesh, memory, gpu)), ("It was asked for.",), None)
    least = need(job, mesh, 1, "offload", config.states).total
    raise ValueError(f"{mesh} needs {least:.1f} GB a device at the least, and a {gpu.name} has {gpu.memory_gb:g} GB.")


def saving_of(config: LargeVideoConfig, room: Need, storage: float) -> Saving:
    """A checkpoint of weights, optimiser and EMA: copied to the host while the run stands still, then written."""
    kept = room.parameters + room.optimiser + room.ema
    whole = config.parameters * (4 + OPTIMISERS[config.states.optimiser] + 4 * config.states.ema)
    return Saving(0.0, max(0.5, kept * GB / HOST_LINK), whole / storage)


def _plan(
    config: LargeVideoConfig,
    stage: Stage,
    job: Job,
    gpu: Gpu,
    plan: Plan,
    budget: float,
    saving: Saving,
    faults: Faults,
) -> dict[str, Any]:
    best, devices = plan.best, plan.best.mesh.world
    faults = replace(faults, node=gpu.node)
    steps = budget / (job.tokens * job.batch)
    interval = daly(saving.blocking, faults.between(devices))
    effective = effective_time(replace(saving, interval=interval), faults, devices)
    days = steps * best.step.seconds / DAY
    return {
        "recipe": config.name,
        "stage": stage.name,
        "parameters": job.parameters,
        "gpu": gpu.name,
        "gpus": devices,
        "tokens": job.tokens,
        "batch": job.batch,
        "flops": {kind: asdict(value) for kind, value in vars(job.flops(best.memory.recompute)).items()},
        "mesh": {"axes": vars(best.mesh), "told": str(best.mesh)},
        "memory": {
            "policy": best.memory.policy,
            "micro": best.memory.micro,
            "microbatches": job.batch // (best.mesh.data * best.memory.micro),
            "gpu_gb": gpu.memory_gb,
            "policies": {
                policy: asdict(room) | {"total": room.total}
                for policy, room in table(job, best.mesh, best.memory.micro, config.states).items()
            },
        },
        "step": asdict(best.step),
        "reasons": plan.reasons,
        "next_best": plan.next_best and {"told": str(plan.next_best.mesh), "mfu": plan.next_best.step.mfu},
        "budget_tokens": budget,
        "steps": steps,
        "days": days,
        "checkpoint": {"interval": interval, "blocking": saving.blocking, "writing": saving.writing},
        "effective": effective,
        "days_with_failures": days / effective,
    }


def _published() -> dict[str, Any]:
    runs = [
        {
            "name": one.name,
            "gpu": one.gpu,
            "devices": one.devices,
            "mesh": str(one.mesh),
            "published": one.published,
            "predicted": one.predicted,
            "error": one.error,
            "fitted": one.fitted,
            "note": one.note,
            "source": one.source,
        }
        for one in predictions()
    ]
    return {"share": fitted_share(), "runs": runs, "not_comparable": not_comparable()}


def _failures(saving: Saving, faults: Faults) -> dict[str, Any]:
    return {
        "faults": asdict(faults),
        "blocking": saving.blocking,
        "writing": saving.writing,
        "rows": [asdict(row) for row in rows(saving, faults, DEVICES)],
    }


if __name__ == "__main__":
    sys.exit(main())
