"""Whether a loop's settings can be kept to: asked at the head of a run, and once more where the loop begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from trainer.checkpoint import last_good
from trainer.optimisation import LoopConfig
from trainer.ranks import Ranks


def check_loops(loops: Mapping[str, LoopConfig], stages: Sequence[str], folder: Path) -> None:
    """ValueError where one of `stages`, which keeps its checkpoints under its name in `folder`, would be refused when
    its turn comes: before hours of others are trained.
    """
    for stage, loop in loops.items():
        if stage in stages:
            check_loop(loop, Ranks().world, is_in_folders=last_good(folder / stage) is not None)


def way_of(config: LoopConfig, world: int) -> str:
    """How checkpoints are kept: file, async or sync. ValueError where so many ranks cannot keep them so."""
    if config.checkpoints == "file" and world > 1:
        raise ValueError("Several ranks cannot keep one file: set checkpoints to async, sync or auto.")
    if config.checkpoints == "auto":
        return "file" if world == 1 and not config.faults.spike else "async"
    return config.checkpoints


def check_loop(config: LoopConfig, world: int, *, is_in_folders: bool) -> None:
    """ValueError where settings contradict one another; `is_in_folders`: numbered checkpoints are there already."""
    if config.faults.spike and config.checkpoints == "file":
        raise ValueError(
            "A single file holds no earlier state to go back to at a spike: set `checkpoints` to auto, async or sync, "
            "or `faults.spike` to 0."
        )
    if way_of(config, world) == "file" and not is_in_folders and config.keep > LoopConfig.keep:
        raise ValueError(
            f"One process keeps a single file, and not {config.keep} checkpoints: set `checkpoints` to async or sync, "
            f"or leave `keep` out."
        )
