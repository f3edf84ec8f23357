"""The Motion VAE trained alone, by the stages of nano. It is no bundle: a run of nano begins at it."""

from __future__ import annotations

import math
import shlex
import time
from pathlib import Path
from typing import NoReturn

import torch

from engine.device import CPU
from trainer.checks import check_loops
from trainer.data import build_bank, check_batches
from trainer.nano import motion_vae_run, train_motion_vae
from trainer.ranks import by_first
from trainer.recipes.motion_vae import MotionVaeConfig
from trainer.validation import check_unmeasured

STAGES = ("bank", "motion_vae")


def run_motion_vae(
    config: MotionVaeConfig,
    folder: Path,
    stages: tuple[str, ...] = STAGES,
    minutes: float | None = None,
    device: torch.device = CPU,
) -> bool:
    """Run the stages, as `run_nano` does: True when they are finished, False when the minutes were over."""
    deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes
    check_batches({"motion_vae": (config.vae.batch, config.bank.scenes * config.bank.motions)}, stages)
    check_unmeasured({"motion_vae": config.vae}, stages)
    check_loops({"motion_vae": config.vae}, stages, folder)
    if "bank" in stages and not by_first(lambda: build_bank(folder / "bank", config.bank, deadline)):
        return False
    return "motion_vae" not in stages or train_motion_vae(config.of_nano, folder, deadline, device)


def modules_of(config: MotionVaeConfig) -> tuple[str, ...]:
    """What a run trains, as a bundle names it: what may begin at another's weights."""
    return ("motion_vae",)


def export_motion_vae(
    config: MotionVaeConfig, folder: Path, out: Path, *, version: str, command: str, unfinished: bool = False
) -> NoReturn:
    """Always ValueError, which says what to do instead: a Single-DiT knows the latents of one Motion VAE alone, and to
    exchange it in a bundle would leave one that makes nothing.
    """
    run = motion_vae_run(config.of_nano, folder)
    where = f"{folder} has {run.step} of {run.config.steps} steps of it" if run.step else f"{folder} has none trained"
    start = shlex.quote(str(folder))
    raise ValueError(
        f"A Motion VAE alone is no bundle: a Single-DiT has to learn its latents first ({where}). Begin a run of nano "
        f"at it, `python -m trainer run nano --from {start} --set vae.steps=0 --out RUN`, and export that."
    )
