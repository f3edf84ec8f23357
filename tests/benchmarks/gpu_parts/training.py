"""A training step of the 2B on one device, by the trainer's own loop: MFU at 8k and 32k tokens, and peak memory.

Weights are random; samples, one a step, are noise. fp32 weights under bf16 autocast, AdamW, clipping, averaged weights:
what a run does. Checkpointing is the first that the plan says fits. MFU by `trainer.metrics`: backward = 2x forward,
recompute not counted, attention in full; median of 20 steps. It has only been run at tiny size on the CPU so far.
"""

from __future__ import annotations

import contextlib
import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.costs import token_count
from engine.models.single_dit import SingleDiT
from tests.benchmarks.gpu_parts.large import peak_flops
from trainer.loop import LoopConfig, Run, train
from trainer.metrics import hfu, mfu, step_flops
from trainer.parallel.memory import Memory, save_memory
from trainer.plan.job import Job
from trainer.plan.memory import POLICIES, States, need
from trainer.plan.mesh import Mesh
from trainer.recipes.single_dit_2b import single_dit_2b

GRIDS = {"8k": (21, 30, 52), "32k": (21, 60, 104)}  # latents of 81 frames of 416x240 and 832x480
TEXT, WARM, TIMED, GOAL = 512, 3, 20, 0.5
MEMORY = {"offload": Memory("full", offload=True)}


class Enough(Exception):
    """All steps that are timed were made."""


def rows(
    left: Callable[[], float],
    device: torch.device,
    name: str,
    config: dict[str, Any] | None = None,
    grids: dict[str, tuple[int, int, int]] = GRIDS,
) -> Iterator[dict[str, Any]]:
    """One row a length; what has no time left, or does not run, says why."""
    config = config or single_dit_2b().model
    memory_gb = torch.cuda.get_device_properties(device).total_memory / 1e9 if device.type == "cuda" else 1e9
    for length, grid in grids.items():
        job = Job(config, token_count(config, *grid), TEXT, 1)
        policy = _first_that_fits(job, memory_gb)
        what = f"training step of the 2B at {length} tokens, checkpointing {policy}"
        if left() <= 0:
            yield _row(what, why_not="no time was left")
            continue
        try:
            seconds, peak_gb = measured(config, grid, policy, device)
        except RuntimeError as error:  # memory that does not suffice, or a kernel that is not there
            yield _row(what, why_not=f"{type(error).__name__}: {str(error).splitlines()[0][:120]}")
            continue
        finally:
            gc.collect()
        estimated = need(job, Mesh(), 1, policy, States()).total
        yield _row(what, job, "full" if policy == "offload" else policy, seconds, peak_gb, estimated, peak_flops(name))


def _first_that_fits(job: Job, memory_gb: float) -> str:
    fits = (policy for policy in POLICIES if need(job, Mesh(), 1, policy, States()).total <= memory_gb)
    return next(fits, POLICIES[-1])


def measured(
    config: dict[str, Any], grid: tuple[int, int, int], policy: str, device: torch.device
) -> tuple[float, float]:
    """Median seconds of a step of `trainer.loop`, and peak GB."""
    torch.manual_seed(0)
    with device:
        model = SingleDiT(**config)
        shape = (1, config["in_channels"], *grid)
        latents, noise = torch.randn(shape), torch.randn(shape)
        condition = torch.randn(1, config["condition_channels"], *grid)
        text, mask = torch.randn(1, TEXT, config["text_dim"]), torch.ones(1, TEXT, dtype=torch.bool)
        moment = torch.full((1,), 0.5)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)  # no gate is zero: nothing is spared
    save_memory(model, MEMORY.get(policy) or Memory(policy))  # type: ignore[arg-type]
    is_cuda = device.type == "cuda"
    starts: list[float] = []

    def loss(step: int, _: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        if is_cuda:
            torch.cuda.synchronize()
        starts.append(time.perf_counter())
        if len(starts) > WARM + TIMED:
            raise Enough
        velocity = model((latents + noise) / 2, moment, text, mask, condition)
        return (velocity.float() - (noise - latents)).square().mean(), {}

    with tempfile.TemporaryDirectory() as folder:
        if is_cuda:
            torch.cuda.reset_peak_memory_stats()
        steps = 1_000_000
        run = Run(Path(folder) / "2b", {"dit": model}, LoopConfig(steps, 1, 1e-5, save_every=steps, tensorboard=False))
        with contextlib.suppress(Enough):
            train(run, loss)
    gaps = [after - before for before, after in zip(starts[WARM:], starts[WARM + 1 :], strict=False)]
    return statistics.median(gaps), torch.cuda.max_memory_allocated() / 1e9 if is_cuda else 0.0


def _row(
    what: str,
    job: Job | None = None,
    policy: str = "none",
    seconds: float = 0.0,
    peak_gb: float = 0.0,
    estimated_gb: float = 0.0,
    peak: float | None = None,
    why_not: str = "",
) -> dict[str, Any]:
    used = {"mfu": None, "hfu": None}  # type: dict[str, float | None]
    if job is not None and peak:
        flops = step_flops(job.config, job.tokens, job.text_tokens, checkpointing=policy, controls=False)
        used = {"mfu": mfu(flops, seconds, 1, peak / 1e12), "hfu": hfu(flops, seconds, 1, peak / 1e12)}
    return {
        "what": what,
        "ours": None if used["mfu"] is None else round(100 * used["mfu"], 2),
        "peer": 36.0,  # Aquarius (arXiv 2505.10584), at scale
        "ratio": None if used["mfu"] is None else round(100 * used["mfu"] / 36.0, 3),
        "unit": "% MFU",
        "goal": f">= {100 * GOAL:g}",
        "met": used["mfu"] is not None and used["mfu"] >= GOAL,
        "seconds": round(seconds, 4),
        "hfu": used["hfu"] and round(used["hfu"], 4),
        "peak_gb": round(peak_gb, 2),
        "estimated_gb": round(estimated_gb, 2),
        "why_not": why_not,
    }


def print_rows(found: list[dict[str, Any]]) -> None:
    print(f"{'training, one sample a step':60} {'MFU %':>7} {'seconds':>9} {'peak GB':>8} {'planned':>8}")
    for row in found:
        share = "–" if row["ours"] is None else f"{row['ours']:.1f}"
        numbers = f"{share:>7} {row['seconds']:9.3f} {row['peak_gb']:8.1f} {row['estimated_gb']:8.1f}"
        print(f"{row['what']:60} {row['why_not'] or numbers}")
