"""Jobs and devices of the tests: the presets, and a transformer small enough to count by hand."""

from typing import Any

from trainer.plan.job import Job
from trainer.plan.timing import Gpu
from trainer.recipes.multimodal_dit_13b import multimodal_dit_13b
from trainer.recipes.multimodal_dit_300b import multimodal_dit_300b
from trainer.recipes.single_dit_2b import single_dit_2b

SMALL, LARGE, HUGE = single_dit_2b(), multimodal_dit_13b(), multimodal_dit_300b()
H200 = Gpu("h200", 989.4, 141, 450, 50, 8, 0.4)
BY_HAND: dict[str, Any] = {
    "in_channels": 4,
    "patch_size": (1, 1, 1),
    "hidden": 64,
    "heads": 8,
    "depth": 4,
    "text_dim": 32,
}


def job_of(config: Any, batch: int | None = None) -> Job:
    return config.job(config.stage(), batch)


def by_hand(batch: int = 8) -> Job:
    return Job(BY_HAND, 128, 15, batch)
