"""Whether a loop's settings can be kept to: asked at the head of a run, and once more where the loop begins."""

from __future__ import annotations

from trainer.optimisation import LoopConfig


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
