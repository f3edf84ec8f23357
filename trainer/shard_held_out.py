"""What a large recipe keeps back of its shards, and its held-out error there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from datapipe.shards import ShardSet
from engine.device import device_of
from engine.models.video_dit import VideoDiT
from trainer.objectives.video_flow import TASKS, possible, velocity_error
from trainer.recipes.large import LargeVideoConfig
from trainer.validation import Probe, Validation, noise_of

TIMES = (0.1, 0.3, 0.5, 0.7, 0.9)  # of every size alike, though each learns at times of its own


def kept_back(config: LargeVideoConfig, shards: ShardSet) -> frozenset[int]:
    """The numbers of the films that no step takes, in whatever sizes they were encoded; drawn by the seed.

    Another film of the same scene may be learnt from: shards do not tell scenes. ValueError where all would be kept.
    """
    if not config.held_out:
        return frozenset()
    films = sorted({int(shards.facts(number)["film"]) for number in range(len(shards) - 1)})
    if not 0 < config.held_out < len(films):
        raise ValueError(
            f"held_out is {config.held_out}, of the {len(films)} films in {shards.folder}: keep back fewer than there "
            f"are; or none, with held_out=0 and loop.validate_every=0."
        )
    order = np.random.default_rng((config.seed, 7)).permutation(len(films))
    return frozenset(films[i] for i in order[: config.held_out])


def shard_validation(config: LargeVideoConfig, dit: VideoDiT, shards: ShardSet) -> Validation:
    """The kept films in every size that a stage of the recipe has, with the first of their captions and one task each;
    read when they are measured. ValueError where nothing is kept back.
    """
    kept, sizes = kept_back(config, shards), {grid for stage in config.stages for grid in stage.grids}
    records = [
        number
        for number in range(len(shards) - 1)
        if shards.facts(number)["film"] in kept and tuple(shards.facts(number)["grid"]) in sizes
    ]
    if not records:
        raise ValueError(
            "There are no held-out films to be measured: set held_out to how many are kept back, or "
            "loop.validate_every to 0."
        )
    tasks = {film: list(TASKS)[place % len(TASKS)] for place, film in enumerate(sorted(kept))}
    # One row at a time: a step's own rows may be all that a device holds.
    probes = [
        Probe((i,), _errors_of(dit, shards, number, tasks[shards.facts(number)["film"]], time))
        for number in records
        for i, time in enumerate(TIMES)
    ]
    return Validation.of(TIMES, probes, (), [shards.digest, records, sorted(tasks.items())])


def _errors_of(dit: VideoDiT, shards: ShardSet, number: int, task: str, time: float) -> Callable[[], Tensor]:
    def errors() -> Tensor:
        record, device = shards[number], device_of(dit)
        latents, boxed = (torch.from_numpy(record.values[k].astype(np.float32))[None] for k in ("latents", "boxed"))
        said = record.values["text"][: int(record.values["text_ends"][0])]
        text = torch.from_numpy(said.astype(np.float32))[None]
        tensors: Sequence[Tensor] = (
            *(latents, boxed, text, torch.ones(text.shape[:2], dtype=torch.bool)),
            *(torch.tensor([time]), noise_of(latents.shape, number)),
        )
        latents, boxed, text, mask, time_B, noise = (x.to(device) for x in tensors)
        boxes, asked = np.array([record.facts["box"]]), [possible(task, record.facts["grid"][0])]
        return velocity_error(dit, latents, boxed, boxes, asked, text, mask, time_B, noise).mean((1, 2, 3, 4))

    return errors
