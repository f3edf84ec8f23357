"""The dpo run: pairs are made or read as latents once, then the transformer learns by the one training loop.

A run that is started again goes on where it stopped.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import shutil
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from engine.bundles import Bundle
from engine.device import CPU
from engine.models.video_dit import VideoDiT
from trainer.bundling import check_folders, check_trained, provenance_of
from trainer.checks import check_loops
from trainer.claim import check_claim, claim
from trainer.data import check_batches
from trainer.derived import Change, changed_card, write_derived
from trainer.draws import Draws
from trainer.loop import LossValue, Run, train
from trainer.objectives.preference import preference_loss
from trainer.pieces import Piece, finish, gathered, key_of, make_pieces
from trainer.preferences import LatentPair, Pair, encode_pair, read_preferences
from trainer.ranks import by_first
from trainer.recipes.dpo import DpoConfig
from trainer.teachers import Teacher, load_teacher
from trainer.validation import check_unmeasured

STAGES = ("pairs", "transformer")
PAIRS, CLAIM, PIECES = "pairs/pairs.safetensors", "pairs/pairs.json", "pairs/pieces"  # within a run's folder


def run_dpo(
    config: DpoConfig,
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
    teacher = load_teacher(config.base, config.dit, device)
    if "pairs" in stages:
        encoded = by_first(lambda: encode_pairs(config, folder, teacher, deadline))
        if not encoded:
            return False
    return "transformer" not in stages or train_transformer(config, folder, teacher, deadline)


def encode_pairs(config: DpoConfig, folder: Path, teacher: Teacher, deadline: float = math.inf) -> bool:
    """Write the latents of every pair: True when all are there, False when the deadline came first. ValueError where
    others lie there, or names the line that is wrong.
    """
    pairs = read_preferences(Path(config.pairs))
    made_of = described(config, teacher, pairs)
    check_claim(folder / CLAIM, made_of, "set of pairs")
    if (folder / PAIRS).exists():
        shutil.rmtree(folder / PIECES, ignore_errors=True)  # where a kill came between the two
        return True
    keys = [_key(teacher, pair) for pair in pairs]
    if not make_pieces(
        folder / PIECES, keys, lambda index: _piece(encode_pair(teacher, pairs[index])), "pairs", deadline
    ):
        return False
    claim(folder / CLAIM, made_of, "set of pairs")  # now that every line is encoded: one that is refused is corrected
    tensors, about = gathered(folder / PIECES, keys)
    (folder / "pairs" / "about.json").write_text(json.dumps(about))
    finish(folder / PIECES, tensors, folder / PAIRS)
    return True


def _key(teacher: Teacher, pair: Pair) -> str:
    choices = {"photo": pair.photo, "mask": pair.mask, "preferred": pair.preferred, "rejected": pair.rejected}
    files = [choice for choice in choices.values() if isinstance(choice, Path)]
    named = {name: choice if isinstance(choice, int) else choice is not None for name, choice in choices.items()}
    return key_of({"base": teacher.bundle.digest, "part": teacher.part, "settings": pair.settings, **named}, files)


def _piece(pair: LatentPair) -> Piece:
    given = torch.from_numpy(pair.given)
    tensors = {"given": given, "preferred": pair.preferred_CThw, "rejected": pair.rejected_CThw}
    return Piece(tensors, {"kind": pair.kind, "wish": pair.wish})


def described(config: DpoConfig, teacher: Teacher, pairs: list[Pair]) -> dict[str, object]:
    """What the pairs were made of: another line, another file of it or another base is another set."""
    digest = hashlib.sha256(Path(config.pairs).read_bytes())
    for pair in pairs:
        for file in (pair.photo, pair.mask, pair.preferred, pair.rejected):
            if isinstance(file, Path):
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return {"base": teacher.bundle.digest, "part": teacher.part, "pairs": len(pairs), "digest": digest.hexdigest()}


def train_transformer(config: DpoConfig, folder: Path, teacher: Teacher, deadline: float = math.inf) -> bool:
    """Train to the end (True) or to the deadline (False)."""
    run = transformer_run(config, folder, teacher)
    if run.finished:
        return True
    kinds = by_kind(read_pairs(folder))
    dit = run.modules[teacher.part]
    assert isinstance(dit, VideoDiT)

    def loss(step: int, draws: Draws) -> LossValue:
        pairs = batch_of(kinds, config.loop.batch, (config.seed, 1, step))[draws.slice]
        inputs = teacher.inputs(np.stack([pair.given for pair in pairs]), [pair.wish for pair in pairs])
        preferred = torch.stack([pair.preferred_CThw for pair in pairs]).to(run.device)
        rejected = torch.stack([pair.rejected_CThw for pair in pairs]).to(run.device)
        weights, times = teacher.weights, teacher.times
        return preference_loss(dit, teacher.model, preferred, rejected, inputs, weights, times, config.beta, draws)

    return train(run, loss, deadline=deadline)


def transformer_run(config: DpoConfig, folder: Path, teacher: Teacher) -> Run:
    """The transformer, which begins as the base's; ValueError where its pairs are not there or are others."""
    if not (folder / PAIRS).exists():
        raise ValueError(f"There are no pairs in {folder}. Run the stage `pairs` first.")
    about = described(config, teacher, read_preferences(Path(config.pairs)))
    check_claim(folder / CLAIM, about, "set of pairs")
    student = copy.deepcopy(teacher.model).requires_grad_(True)
    data = {"seed": config.seed, "beta": config.beta, **about}
    return Run(folder / "transformer", {teacher.part: student}, config.loop, data)


def read_pairs(folder: Path) -> list[LatentPair]:
    """The pairs of a run."""
    tensors = load_file(folder / PAIRS)
    about = json.loads((folder / "pairs" / "about.json").read_text())
    return [
        LatentPair(
            one["kind"],
            tensors[f"{index}.given"].numpy(),
            one["wish"],
            tensors[f"{index}.preferred"],
            tensors[f"{index}.rejected"],
        )
        for index, one in enumerate(about)
    ]


def by_kind(pairs: list[LatentPair]) -> list[list[LatentPair]]:
    """Pairs whose latents are of one shape."""
    kinds: dict[str, list[LatentPair]] = {}
    for pair in pairs:
        kinds.setdefault(pair.kind, []).append(pair)
    return [kinds[kind] for kind in sorted(kinds)]


def batch_of(kinds: list[list[LatentPair]], batch: int, seed: tuple[int, ...]) -> list[LatentPair]:
    """Pairs of one kind, all pairs equally likely; one comes twice only where there are fewer than the batch."""
    rng = np.random.default_rng(seed)
    counts = np.array([len(some) for some in kinds])
    some = kinds[int(rng.choice(len(kinds), p=counts / counts.sum()))]
    return [some[int(item)] for item in rng.choice(len(some), batch, replace=len(some) < batch)]


def export_dpo(
    config: DpoConfig, folder: Path, out: Path, *, version: str, command: str, unfinished: bool = False
) -> Bundle:
    """Write the base's bundle with the trained transformer to the new folder `out`, whole or not at all.

    ValueError as for every export.
    """
    check_folders(folder, out)
    teacher = load_teacher(config.base, config.dit)
    run = transformer_run(config, folder, teacher)
    check_trained(folder, {"transformer": run}, {PAIRS: "pairs"}, unfinished)
    run.use_average()
    count = run.recipe["data"]["pairs"]
    provenance = provenance_of("trainer.recipes.dpo", asdict(config), {"transformer": run}, command)
    provenance["data"] = f"{count} preference pairs, sha256 {run.recipe['data']['digest'][:16]}"
    about = f"{teacher.part} of {teacher.bundle.name} {teacher.bundle.version}, after {count} preference pairs."
    change = Change(teacher.bundle, teacher.part, run.modules[teacher.part])
    return write_derived(out, change, changed_card(teacher.bundle, about, {}), version, provenance)
