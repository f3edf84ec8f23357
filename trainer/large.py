"""The large video transformers learn from derived shards, over the stages of their recipe, by the one training loop.

What the loop trains at its smoke size in the tests is what it trains at 2 and 13.4 billion parameters: only the
recipe's numbers differ. The optimiser goes on from one stage to the next; a batch's stage, bucket and samples follow
from its number. Legend: B batch, C channels, t h w latents, M text tokens.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from datapipe.shards import Record, ShardSet
from engine.bundles import read_bundle
from engine.device import CPU, device_of
from engine.models.multimodal_dit import MultimodalDiT
from engine.models.single_dit import SingleDiT
from engine.models.video_dit import VideoDiT
from trainer.buckets import BucketPlan, Schedule, balanced_rows, evenness, sample_costs
from trainer.claim import check_claim, claim
from trainer.draws import Draws
from trainer.encode import KIND, encoder_digest
from trainer.log import Log
from trainer.loop import LossValue, Run, train
from trainer.microbatches import microbatches
from trainer.objectives.times import shifted
from trainer.objectives.video_flow import DROP_TEXT, possible, sample_tasks, video_flow_error
from trainer.parallel.layout import Layout
from trainer.ranks import Ranks, in_turn
from trainer.recipes.large import Grid, LargeVideoConfig
from trainer.replicas import check_layout, parts_of_batch, spread_over
from trainer.shard_held_out import kept_back, shard_validation

STAGES = ("dit",)


def run_large(
    config: LargeVideoConfig,
    folder: Path,
    stages: tuple[str, ...] = STAGES,
    minutes: float | None = None,
    device: torch.device = CPU,
) -> bool:
    """Train to the end of the last stage (True), or for so many minutes. ValueError says what is missing or wrong."""
    deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes
    shards = derived(config)
    place, about = folder / "data" / "shards.json", {"digest": shards.digest, **shards.about}
    check_claim(place, about, "set of shards")
    if config.loop.validate_every and not config.held_out:
        raise ValueError("There are no held-out films to be measured: set held_out, or loop.validate_every to 0.")
    check_layout(layout_of(config), config.memory)
    schedule = schedule_of(config, shards)
    cut = microbatches_of(config, schedule)
    run = dit_run(config, folder, shards, device)
    with in_turn():  # named among the run's data, in its record
        claim(place, about, "set of shards")
    if run.finished:
        return True
    if run.ranks.rank == 0:
        Console().print(table(config, shards, cut))
    dit, unsaid = run.modules[config.part], _text(shards[len(shards) - 1], 0)
    assert isinstance(dit, VideoDiT)
    noted = Epochs(run.folder, schedule, run.ranks)

    def loss(number: int, draws: Draws) -> LossValue:
        noted.begins(number)
        batch = schedule.batch(number)
        rng = np.random.default_rng((config.seed, 2, number))
        tasks = [possible(task, batch.grid[0]) for task in sample_tasks(len(batch.items), rng)]
        said, chosen = rng.random(len(batch.items)) >= DROP_TEXT, rng.random(len(batch.items))
        samples = [shards[int(batch.items[row])] for row in draws.rows]
        text = [
            _text(sample, chosen[row]) if said[row] else unsaid for sample, row in zip(samples, draws.rows, strict=True)
        ]
        return flow_loss(dit, samples, tasks[draws.slice], text, config.shift(batch.grid), draws)

    def parts(number: int) -> int:
        batch = schedule.batch(number)
        return cut[batch.stage][batch.grid]

    validation = shard_validation(config, dit, shards) if run.config.validate_every else None
    return train(run, loss, deadline=deadline, size=schedule.size, microbatches=parts, validation=validation)


def modules_of(config: LargeVideoConfig) -> tuple[str, ...]:
    """What a run trains, as a bundle names it: what may begin at another's weights."""
    return (config.part,)


def flow_loss(
    dit: VideoDiT, samples: list[Record], tasks: list[str], text: list[Tensor], shift: float, draws: Draws
) -> LossValue:
    """Rectified flow on these rows of the batch: each has its own stream of randomness, and nothing is drawn for the
    rows of other ranks.
    """
    latents, boxed = (torch.from_numpy(np.stack([s.values[k] for s in samples])).float() for k in ("latents", "boxed"))
    boxes = np.array([sample.facts["box"] for sample in samples])
    streams = [draws.of_row(row) for row in draws.rows]
    time_B = shifted(torch.cat([torch.randn(1, generator=stream) for stream in streams]), shift)
    noise = torch.stack([torch.randn(latents.shape[1:], generator=stream) for stream in streams])
    text_BMC = torch.nn.utils.rnn.pad_sequence(text, batch_first=True)
    mask_BM = torch.arange(text_BMC.shape[1]) < torch.tensor([len(one) for one in text])[:, None]
    tensors = (latents, boxed, text_BMC, mask_BM, torch.ones(latents.shape[1]), time_B, noise)
    latents, boxed, text_BMC, mask_BM, weights_C, time_B, noise = (x.to(device_of(dit)) for x in tensors)
    return video_flow_error(dit, latents, boxed, boxes, tasks, text_BMC, mask_BM, weights_C, time_B, noise)


def derived(config: LargeVideoConfig) -> ShardSet:
    """The shards of a recipe. ValueError where they are none of its, or another encoder's than it names."""
    if not config.data:
        raise ValueError("Say what is learnt from: --set data=SHARDS, which `python -m trainer encode` writes.")
    shards = ShardSet(Path(config.data))
    if shards.about.get("kind") != KIND:
        raise ValueError(f"{config.data} holds no latents: `python -m trainer encode` makes them of films.")
    if config.encoder and shards.about["encoder"] != encoder_digest(read_bundle(config.encoder)):
        raise ValueError(f"{config.data} was not encoded by {config.encoder}: encode the films again, to a new folder.")
    channels, width = shards.shapes(0)["latents"][0], shards.shapes(0)["text"][1]
    if (channels, width) != (config.model["in_channels"], config.model["text_dim"]):
        raise ValueError(
            f"{config.data} holds latents of {channels} channels and text {width} wide; {config.name} reads "
            f"{config.model['in_channels']} and {config.model['text_dim']}. Encode by another bundle."
        )
    return shards


def items_of(config: LargeVideoConfig, shards: ShardSet) -> dict[Grid, np.ndarray]:
    """The numbers of the records of each size that are learnt from; the last record is no sample."""
    kept = kept_back(config, shards)
    found: dict[Grid, list[int]] = {}
    for number in range(len(shards) - 1):
        if shards.facts(number)["film"] in kept:
            continue
        t, h, w = shards.facts(number)["grid"]
        found.setdefault((t, h, w), []).append(number)
    return {grid: np.array(numbers) for grid, numbers in found.items()}


def rows_of(config: LargeVideoConfig) -> dict[str, dict[Grid, int]]:
    """Samples of a step of each size, stage by stage, balanced by what they cost."""
    found = {}
    for stage in config.stages:
        costs = sample_costs(config.model, stage.grids, config.text_tokens, config.memory.recompute)
        found[stage.name] = balanced_rows(costs, stage.grid, stage.batch, config.multiple)
    return found


def schedule_of(config: LargeVideoConfig, shards: ShardSet) -> Schedule:
    """The batches of the whole run. ValueError where a stage has no samples at all."""
    items, rows = items_of(config, shards), rows_of(config)
    return Schedule(
        [
            (
                BucketPlan(
                    stage.name,
                    {grid: items[grid] for grid in stage.grids if grid in items},
                    rows[stage.name],
                    config.seed + index,
                ),
                stage.steps,
            )
            for index, stage in enumerate(config.stages)
        ]
    )


def microbatches_of(config: LargeVideoConfig, schedule: Schedule) -> dict[str, dict[Grid, int]]:
    """Into how many a rank cuts its part of a batch of each size, stage by stage. ValueError where a batch has too few
    samples for that.
    """
    data = parts_of_batch(layout_of(config), config.memory)
    return {
        stage.name: microbatches(config, stage, {grid: plan.rows[grid] for grid in plan.grids}, data)
        for stage, plan in zip(config.stages, schedule.plans, strict=True)
    }


def layout_of(config: LargeVideoConfig) -> Layout:
    return Layout(**asdict(config.layout))


def dit_run(config: LargeVideoConfig, folder: Path, shards: ShardSet, device: torch.device = CPU) -> Run:
    """The transformer, and how far it is."""
    if config.states.optimiser != "adamw":
        raise ValueError(
            "states.optimiser is what plans count with; a run has moments of 8 bits by loop.optimiser=8bit."
        )
    if not config.states.ema:
        raise ValueError("states.ema is what plans count with; a run always averages its weights, by loop.ema.")
    if config.loop.steps or config.loop.batch:
        raise ValueError(
            "Steps and batches are those of the recipe's stages: set stages, not loop.steps or loop.batch."
        )
    torch.manual_seed(config.seed)
    dit = (MultimodalDiT if config.part == "multimodal_dit" else SingleDiT)(**config.model)
    rows = rows_of(config)
    stages: list[dict[str, Any]] = [
        {"name": s.name, "rows": {_name(grid): n for grid, n in rows[s.name].items()}, "steps": s.steps}
        for s in config.stages
    ]
    stages[-1].pop("steps")  # of the last there may be more
    data = {"seed": config.seed, "shards": shards.digest, "stages": stages, "shift_from": config.shift_from}
    data |= {"held_out": config.held_out} if config.held_out else {}  # as checkpoints say it from before there were any
    loop = replace(config.loop, steps=sum(s.steps for s in config.stages), batch=config.stages[0].batch)
    spread = spread_over(layout_of(config), config.memory)
    return Run(folder / config.part, {config.part: dit}, loop, data, spread, device)


@dataclass
class Epochs:
    """Notes once, in `epochs.jsonl`, what every epoch has left over: the next begins with it."""

    stage: Path
    schedule: Schedule
    ranks: Ranks

    def begins(self, number: int) -> None:
        left = self.schedule.left_over(number)
        if left is None or self.ranks.rank > 0:
            return
        log, batch = Log(self.stage / "epochs.jsonl"), self.schedule.batch(number)
        if all(row["batch"] != number for row in log.rows()):
            told = {_name(grid): count for grid, count in left.items() if count}
            log.append({"batch": number, "stage": batch.stage, "begins": batch.epoch, "left_over": told})


def table(config: LargeVideoConfig, shards: ShardSet, cut: Mapping[str, Mapping[Grid, int]]) -> Table:
    """What every stage takes, "in" how many microbatches of a rank: nothing of the shards is left away unsaid."""
    items, rows = items_of(config, shards), rows_of(config)
    shown = Table("stage", "bucket", "records", "a batch", "predicted step over the mean", "left over by an epoch")
    for stage in config.stages:
        costs = sample_costs(config.model, stage.grids, config.text_tokens, config.memory.recompute)
        there = {grid: rows[stage.name][grid] for grid in stage.grids if grid in items}
        mean = sum(costs[grid] * n for grid, n in there.items()) / max(1, len(there))
        for grid in stage.grids:
            n, count = rows[stage.name][grid], len(items.get(grid, ()))
            over = f"{costs[grid] * n / mean:.3f}" if count else ""
            parts = cut[stage.name].get(grid, 1)
            batch = f"{n} in {parts}" if parts > 1 else str(n)
            shown.add_row(stage.name, _name(grid), str(count), batch, over, str(count % n))
        if there:
            shown.add_row(stage.name, "", "", "", f"{evenness(costs, there):.3f} at most", "", end_section=True)
    unused = set(items) - {grid for stage in config.stages for grid in stage.grids}
    for grid in sorted(unused):
        shown.add_row("in no stage", _name(grid), str(len(items[grid])), "", "", "")
    if config.held_out:
        kept = len(shards) - 1 - sum(map(len, items.values()))
        shown.add_row("held out", f"{config.held_out} films", str(kept), "", "", "")
    return shown


def _text(record: Record, choice: float) -> Tensor:
    """The features [M, C] of one of a record's captions, chosen by a number in [0, 1)."""
    ends = [0, *record.values["text_ends"].tolist()]
    which = int(choice * (len(ends) - 1))
    return torch.from_numpy(record.values["text"][ends[which] : ends[which + 1]].astype(np.float32))


def _name(grid: Grid) -> str:
    return "x".join(map(str, grid))
