"""The sft run: photos and clips are encoded once, then the whole transformer goes on learning by the one loop."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from engine.bundles import Bundle
from engine.device import CPU
from trainer.bundling import check_folders, check_trained, provenance_of
from trainer.checks import check_loops
from trainer.claim import check_claim
from trainer.data import batch_indices, check_batches
from trainer.derived import Change, changed_card, write_derived
from trainer.draws import Draws
from trainer.loop import LossValue, Run, train
from trainer.lora import CLAIM, SAMPLES, adapter_loss, described, encode_samples, items_of, read_samples, tell_batch
from trainer.lora_bases import OwnBase, Sample, load_base
from trainer.ranks import by_first
from trainer.recipes.sft import SftConfig
from trainer.validation import check_unmeasured

STAGES = ("samples", "transformer")


def run_sft(
    config: SftConfig,
    folder: Path,
    stages: tuple[str, ...] = STAGES,
    minutes: float | None = None,
    device: torch.device = CPU,
) -> bool:
    """Run the stages; True when all of them are finished. ValueError says what is missing or wrong."""
    deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes
    check_batches({"transformer": (config.loop.batch, math.inf)}, stages)
    check_unmeasured({"transformer": config.loop}, stages)
    check_loops({"transformer": config.loop}, stages, folder)
    base = own_base(config)
    if "samples" in stages:
        encoded = by_first(lambda: encode_samples(config, folder, base, deadline))
        if not encoded:
            return False
    base.model.to(device)
    return "transformer" not in stages or train_transformer(config, folder, base, deadline)


def own_base(config: SftConfig) -> OwnBase:
    """The bundle that goes on learning; ValueError where it is none of latent video of our own."""
    base = load_base(config)
    if not isinstance(base, OwnBase):
        raise ValueError(f"{base.bundle.name} is an imported bundle: train an adapter of it with the recipe `lora`.")
    if config.dtype != "float32":
        raise ValueError("What learns whole is in float32: leave dtype out.")
    return base


def train_transformer(config: SftConfig, folder: Path, base: OwnBase, deadline: float = math.inf) -> bool:
    """Train to the end (True) or to the deadline (False)."""
    run = transformer_run(config, folder, base)
    if run.finished:
        return True
    tell_batch(run, config.loop)
    *samples, unsaid = read_samples(folder)
    learning = copy.copy(base)
    learning.model = run.modules[base.part]

    def loss(step: int, draws: Draws) -> LossValue:
        _, items = batch_indices(config.seed, step, {"all": len(samples)}, run.config.batch)
        rng = np.random.default_rng((config.seed, 1, step))
        return adapter_loss(learning, [samples[i] for i in items], unsaid, rng, draws)

    return train(run, loss, deadline=deadline)


def transformer_run(config: SftConfig, folder: Path, base: OwnBase) -> Run:
    """The transformer, which begins as the base's; ValueError where its samples are not there or are others."""
    if not (folder / SAMPLES).exists():
        raise ValueError(f"There are no samples in {folder}. Run the stage `samples` first.")
    items = items_of(config)
    about = described(config, base, items)
    check_claim(folder / CLAIM, about, "set of samples")
    torch.manual_seed(config.seed)
    learning = copy.deepcopy(base.model).requires_grad_(True)
    loop = replace(config.loop, batch=min(config.loop.batch, len(items)))
    return Run(folder / "transformer", {base.part: learning}, loop, {"seed": config.seed, **about})


def export_sft(
    config: SftConfig, folder: Path, out: Path, *, version: str, command: str, unfinished: bool = False
) -> Bundle:
    """Write the base's bundle with the trained transformer to the new folder `out`, whole or not at all.

    It serves what it was tuned for, at the size it was tuned at: all weights have moved, and what they make of the
    base's other kinds of request is not known. ValueError as for every export.
    """
    check_folders(folder, out)
    base = own_base(config)
    run = transformer_run(config, folder, base)
    check_trained(folder, {"transformer": run}, {SAMPLES: "samples"}, unfinished)
    run.use_average()
    count = run.recipe["data"]["items"]
    provenance = provenance_of("trainer.recipes.sft", asdict(config), {"transformer": run}, command)
    provenance["data"] = f"{count} photos or clips of the run's owner, sha256 {run.recipe['data']['digest'][:16]}"
    about = f"{base.part} of {base.bundle.name} {base.bundle.version}, fine-tuned on {count} photos or clips."
    kinds = tuned_kinds(read_samples(folder)[:-1])
    left = [kind for kind in base.bundle.kinds if kind not in kinds]
    if left:
        about += f"\nNot tuned for, and so not served any more: {', '.join(left)}. The base serves them."
    card = changed_card(base.bundle, about, {})
    card.capabilities["latents"] |= dict(zip(("frames", "height", "width"), base.size(config), strict=True))
    change = Change(base.bundle, base.part, run.modules[base.part])
    return write_derived(out, change, replace(card, kinds=kinds), version, provenance)


def tuned_kinds(samples: list[Sample]) -> tuple[str, ...]:
    """The kinds of request that a run on these samples learns: `adapter_loss` gives words, and a clip's first frame."""
    has_clips = any(sample.latents_CThw.shape[1] > 1 for sample in samples)
    return ("text_to_video", "image_to_video") if has_clips else ("text_to_video",)
