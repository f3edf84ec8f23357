"""Into how many microbatches a step of a large recipe is cut: so many that no bucket needs more memory than the plan
tells of the stage.

Batches are balanced by what they cost, and attention is quadratic: one of photos has several times the tokens of one
of films, and one of films of another form may have a few rows more. Cut as often as those of the usual size, their
microbatches would need up to six times the memory. Microbatches are weighed by their rows, so what is learnt is the
same however a batch is cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from math import ceil

from engine.costs import token_count
from trainer.plan.job import Job
from trainer.plan.memory import activations
from trainer.plan.mesh import Mesh
from trainer.recipes.large import Grid, LargeVideoConfig, Stage


def microbatches(config: LargeVideoConfig, stage: Stage, rows: Mapping[Grid, int], data: int) -> dict[Grid, int]:
    """Of each of the `data` parts of a batch, for each bucket; `rows` of a batch of each. `loop.microbatches`, or more
    where those would need more memory than as many of the stage's usual batch, of its largest sample.

    ValueError where a batch has fewer rows than there are microbatches.
    """
    asked = config.loop.microbatches
    for grid, count in rows.items():
        if count < data * asked:
            raise ValueError(
                f"The stage {stage.name} takes {count} samples of {'x'.join(map(str, grid))} a step, which cannot be "
                f"spread over {data} data ranks x {asked} microbatches: lower loop.microbatches, or raise the stage's "
                f"batch."
            )
    most = _bytes(config, config.job(stage), asked, data)

    def cut(grid: Grid, count: int) -> int:
        job, finest = Job(config.model, token_count(config.model, *grid), config.text_tokens, count), count // data
        return next((n for n in range(asked, finest) if _bytes(config, job, n, data) <= most), finest)

    return {grid: cut(grid, count) for grid, count in rows.items()}


def _bytes(config: LargeVideoConfig, job: Job, parts: int, data: int) -> float:
    """Activations of a step whose rows are cut so, on the rank that has most of them."""
    policy = "offload" if config.memory.offload else config.memory.recompute
    return activations(job, Mesh(**asdict(config.layout)), ceil(job.batch / (data * parts)), policy)
