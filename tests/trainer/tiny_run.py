"""A recipe that learns a toy in milliseconds through the one loop, and processes that run it: alone, as ranks, killed.

`plant` is what goes wrong on batch `at` (of rank `on`): once a run `kill`, `stop` or `hang`, always `nan` (`nans`: from
then on) or `spike`. Or it is a wrong way to go on, for the tests to tell: `stale` noise, a `dropped` sample, another
`average`.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import signal
import sys
import time
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from engine.device import CPU
from trainer import __main__ as command_line
from trainer.catalogue import RECIPES, Recipe
from trainer.data import batch_indices
from trainer.loop import LoopConfig, LossValue, Run, train
from trainer.ranks import Ranks
from trainer.validation import Probe, Validation, noise_of, time_grid

LOOP = LoopConfig(steps=16, batch=4, learning_rate=1e-2, warmup=3, save_every=4, log_every=2, tensorboard=False, seed=3)


@dataclass(frozen=True)
class TinyConfig:
    seed: int = 5
    width: int = 16
    items: int = 24
    plant: str = ""
    at: int = -1
    on: int = 0
    slow: float = 0.0  # seconds of a step
    measuring: float = 0.0  # seconds of each part of the held-out error
    loop: LoopConfig = field(default_factory=lambda: LOOP)


def tiny() -> TinyConfig:
    return TinyConfig()


def run_tiny(
    config: TinyConfig,
    folder: Path,
    stages: tuple[str, ...],
    minutes: float | None = None,
    device: torch.device = CPU,
) -> bool:
    deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes
    run = make(config, folder, device)
    measured = validation_of(run, seconds=config.measuring) if config.loop.validate_every else None
    return train(run, loss_of(config, folder, run), deadline=deadline, validation=measured)


def modules_of(config: TinyConfig) -> tuple[str, ...]:
    return ("model",)


def make(config: TinyConfig, folder: Path, device: torch.device = CPU) -> Run:
    torch.manual_seed(config.seed)
    model = nn.Sequential(nn.Linear(6, config.width), nn.GELU(), nn.Linear(config.width, 1))
    run = Run(
        folder / "stage", {"model": model}, config.loop, {"items": config.items, "seed": config.seed}, device=device
    )
    if config.plant == "average" and run.step:
        run.restart_average()
    return run


def loss_of(config: TinyConfig, folder: Path, run: Run):
    generator = torch.Generator().manual_seed(config.seed)
    table = torch.randn(config.items, 6, generator=generator)
    rank, resumed = Ranks().rank, run.step > 0
    model = run.modules["model"]
    (folder / "samples").mkdir(parents=True, exist_ok=True)

    def loss(batch: int, draws) -> LossValue:
        time.sleep(config.slow)
        _, items = batch_indices(config.seed, batch, {"all": config.items}, config.loop.batch)
        mine = items[draws.rows.start : draws.rows.stop]
        if config.plant == "dropped" and resumed:
            mine = (mine + 1) % config.items
        with (folder / "samples" / f"{rank}.jsonl").open("a") as file:
            file.write(json.dumps({"batch": batch, "rows": list(draws.rows), "items": mine.tolist()}) + "\n")
        noise = torch.randn(len(mine), 6) if config.plant == "stale" else draws.normal(6)
        times = torch.rand(config.loop.batch, generator=draws)[draws.rows.start : draws.rows.stop, None]
        x = (table[mine] + 0.1 * times * noise).to(run.device)
        value = (model(x).float() - x.sum(-1, keepdim=True)).square().mean()
        if rank == config.on and (batch == config.at or (config.plant == "nans" and batch > config.at)):
            value = value * plant(config.plant, folder)
        return value, {"noise": noise.square().mean().item()}

    return loss


def validation_of(run: Run, probes: int = 3, seconds: float = 0.0) -> Validation:
    """Of the toy: unseen rows at five times, as many probes as no two ranks share evenly."""
    model, times = run.modules["model"], time_grid()

    def probe(place: int) -> Probe:
        at = tuple(i for i in range(len(times)) for _ in range(2))
        x = noise_of((2, 6), 1, place).repeat(len(times), 1)
        noisy = (x + torch.tensor(times)[list(at), None] * noise_of((len(at), 6), 2, place)).to(run.device)
        wanted = noisy.sum(-1)

        def errors() -> torch.Tensor:
            time.sleep(seconds)
            return (model(noisy)[:, 0].float() - wanted).square()

        return Probe(at, errors)

    return Validation.of(times, [probe(i) for i in range(probes)], (), "toy")


def plant(what: str, folder: Path) -> float:
    if what in ("nan", "nans", "spike"):
        return 1e4 if what == "spike" else math.nan
    mark = folder / "planted"
    if what in ("kill", "stop", "hang") and not mark.exists():
        mark.touch()
        if what == "hang":
            time.sleep(1000)
        os.kill(os.getpid(), {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}[what])
    return 1.0


def samples(folder: Path) -> dict[int, list[int]]:
    """The items of each batch in the order of its rows, whichever ranks took them."""
    found: dict[int, dict[int, int]] = {}
    for path in (folder / "samples").glob("*.jsonl"):
        for row in map(json.loads, path.read_text().splitlines()):
            found.setdefault(row["batch"], {}).update(zip(row["rows"], row["items"], strict=True))
    return {batch: [rows[row] for row in sorted(rows)] for batch, rows in sorted(found.items())}


def live(config: TinyConfig, folder: Path, world: int = 1, seconds: float = 150.0) -> list[int | None]:
    """One life of the run on `world` real processes; their exit codes, None for those that had to be ended."""
    folder.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.trainer.tiny_run", "torch.distributed.checkpoint"])
    meeting = folder / f"meeting-{time.monotonic_ns()}"
    processes = [context.Process(target=_rank, args=(config, folder, world, rank, meeting)) for rank in range(world)]
    for process in processes:
        process.start()
    end = time.monotonic() + seconds
    while time.monotonic() < end and all(process.exitcode in (None, 0) for process in processes):
        if all(process.exitcode == 0 for process in processes):
            break
        time.sleep(0.01)
    codes = []
    for process in processes:
        process.join(max(0.0, min(5.0, end - time.monotonic())))
        codes.append(process.exitcode)
        process.kill()
        process.join()
    return codes


def _rank(config: TinyConfig, folder: Path, world: int, rank: int, meeting: Path) -> None:
    torch.set_num_threads(1)
    if world > 1:
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
        patience = timedelta(seconds=150)
        dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=world, timeout=patience)
    run_tiny(config, folder, ())
    if world > 1:
        dist.destroy_process_group()


def with_loop(config: TinyConfig = TinyConfig(), **changes) -> TinyConfig:
    return replace(config, loop=replace(config.loop, **changes))


HERE = "tests.trainer.tiny_run"
RECIPES["tiny"] = Recipe(f"{HERE}:tiny", f"{HERE}:run_tiny", "", f"{HERE}:STAGES", f"{HERE}:modules_of")
STAGES = ("stage",)

if __name__ == "__main__":
    sys.exit(command_line.main())
