"""The prompts run: a tokenizer of many more words, then a text encoder that says in them what the old one says.

Its bundle's transformer is frozen. Two things are asked of what a sentence becomes: that it lies where the control of
the same meaning lies, and that the blocks read in it what they read in the worlds' own sentence for that meaning.
"""

from __future__ import annotations

import hashlib
import math
import shlex
import shutil
import time
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datapipe.worlds import captions as own
from datapipe.worlds.clip import Controls, sample_controls
from datapipe.worlds.motion import Motion, sample_motion
from datapipe.worlds.prompts import sample_prompt, words
from datapipe.worlds.scene import sample_scene
from engine.bundles import Bundle
from engine.device import CPU
from engine.models.ernie import ErnieEncoder, PromptTokenizer
from engine.models.single_dit import SingleDiT
from engine.reading import reading
from trainer.bundling import Card, check_folders, check_trained, write_model, write_whole
from trainer.checks import check_loops
from trainer.draws import Draws
from trainer.export_mask import copy_files, exchanged, recorded
from trainer.loop import LossValue, Run, train
from trainer.objectives.reading import reading_loss, record_queries, spread_of_readings
from trainer.objectives.rectified_flow import alignment_loss
from trainer.ranks import by_first
from trainer.recipes.prompts import PromptsConfig
from trainer.record import Record
from trainer.teachers import MotionTeacher, load_teacher, noise_of, velocity_of
from trainer.tokenizer import train_tokenizer
from trainer.trajectories import draw_scenes
from trainer.validation import check_unmeasured

STAGES = ("tokenizer", "text")
TOKENIZER = "tokenizer.json"  # within a run's folder
_SCENES = 400  # whose words the worlds' own sentences speak of
_TIMES = (1.0, 0.97, 0.9, 0.7)
_RECORDED = 2048  # video tokens a block
_COMPARED = 128  # sentences that tell how much what is read differs
_HEARD = 200  # times that the tokenizer hears every word
_FIRST = 870_000_000  # seed of those scenes


def run_prompts(
    config: PromptsConfig,
    folder: Path,
    stages: tuple[str, ...] = STAGES,
    minutes: float | None = None,
    device: torch.device = CPU,
) -> bool:
    """Run the stages; True when all of them are finished. ValueError says what is missing or wrong."""
    deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes
    check_unmeasured({"text": config.text}, stages)
    check_loops({"text": config.text}, stages, folder)
    if config.matched < 1 or config.text.batch % config.matched:
        raise ValueError(
            f"Of {config.text.batch} sentences {config.matched} cannot be matched evenly: choose a divisor."
        )
    teacher = _teacher(config, device)
    makers = {"tokenizer": make_tokenizer, "text": train_text}
    return all(makers[stage](config, folder, teacher, deadline) for stage in STAGES if stage in stages)


def make_tokenizer(config: PromptsConfig, folder: Path, teacher: MotionTeacher, deadline: float = math.inf) -> bool:
    """Learnt on as many prompts as it learns from later; True when it is there."""

    def make() -> bool:
        if not (folder / TOKENIZER).exists():
            rng = np.random.default_rng((config.seed, 0))
            rows = _sentences(config, config.captions, _words(), rng)
            every = [word for word in words() for _ in range(_HEARD)]  # each becomes a token, and is known by that
            train_tokenizer(folder / TOKENIZER, [*(row.prompt for row in rows), *every], config.vocabulary)
        return True

    return by_first(make)


def train_text(config: PromptsConfig, folder: Path, teacher: MotionTeacher, deadline: float = math.inf) -> bool:
    run = text_run(config, folder, teacher)
    if run.finished:
        return True
    parts = run.ranks.world * config.text.microbatches
    if config.matched % parts:  # one without any would have no loss
        raise ValueError(
            f"{config.matched} matched sentences do not come in {parts} parts: choose a multiple of {parts}."
        )
    text, dit = run.modules["text"], teacher.model
    assert isinstance(text, ErnieEncoder) and isinstance(dit, SingleDiT)
    tokenizer = PromptTokenizer.load(folder / TOKENIZER, text.config.max_tokens)
    queries, drawn = _queries(teacher, config), _Sentences(config, tokenizer)
    spreads, every = _spreads(teacher, config, queries), config.text.batch // config.matched

    def loss(step: int, draws: Draws) -> LossValue:
        rows, read_as = drawn.batch(step, draws.slice)
        ids, mask = (x.to(run.device) for x in tokenizer(read_as))
        features = text(ids, mask)
        align, named = alignment_loss(dit, features, mask, rows)
        matched = [place for place, row in enumerate(draws.rows) if row % every == 0]  # short ones and long ones
        seeds = [(config.seed, 2, step, draws.rows[place]) for place in matched]
        taught = [as_taught(rows[n], np.random.default_rng(seed)) for n, seed in zip(matched, seeds, strict=True)]
        chosen = torch.randperm(_RECORDED, generator=draws)[: config.queries]
        asking = [some[chosen.to(some.device) % len(some)] for some in queries]
        read = reading_loss(dit, asking, spreads, (features[matched], mask[matched]), _old(teacher, taught, run.device))
        return align + read, {"align": align.item(), "read": read.item(), "named": named}

    return train(run, loss, deadline=deadline)


@torch.no_grad()
def _old(teacher: MotionTeacher, sentences: list[str], device: torch.device) -> tuple[Tensor, Tensor]:
    """Features and mask of the encoder that is left, which stays on the CPU."""
    ids, mask = teacher.engine.tokenizer(sentences)
    return teacher.engine.text(ids, mask).to(device), mask.to(device)


def _spreads(teacher: MotionTeacher, config: PromptsConfig, queries: list[Tensor]) -> list[float]:
    assert isinstance(teacher.model, SingleDiT)
    rng, some = np.random.default_rng((config.seed, 3)), [query[: config.queries] for query in queries]
    sentences = [as_taught(sample_prompt(rng), rng) for _ in range(_COMPARED)]
    return spread_of_readings(teacher.model, some, *_old(teacher, sentences, queries[0].device))


class _Sentences:
    """Batches by step: of four together the first has the shortest sentences and the last the longest, or most of what
    is computed would be padding.
    """

    def __init__(self, config: PromptsConfig, tokenizer: PromptTokenizer) -> None:
        self.config, self.scenes, self.knows = config, _words(), cache(tokenizer.knows)
        self._four: tuple[int, list[tuple[str, Controls]]] = (-1, [])

    def batch(self, step: int, rows: slice) -> tuple[list[Controls], list[str]]:
        """What the sentences of these rows say, and how each is read."""
        number, quarter = divmod(step, 4)
        if self._four[0] != number:
            rng = np.random.default_rng((self.config.seed, 1, number))
            said = _sentences(self.config, 4 * self.config.text.batch, self.scenes, rng)
            read = [(reading(one.prompt, self.knows), one) for one in said]
            self._four = number, sorted(read, key=lambda pair: len(pair[0]))
        mine = self._four[1][quarter * self.config.text.batch :][: self.config.text.batch][rows]
        return [one for _, one in mine], [text for text, _ in mine]


def text_run(config: PromptsConfig, folder: Path, teacher: MotionTeacher) -> Run:
    """The text encoder: it begins as the bundle's own, whose word pieces the new words begin as the means of."""
    if not (folder / TOKENIZER).exists():
        raise ValueError(f"{folder} lacks {TOKENIZER}. Run the stage `tokenizer` first.")
    torch.manual_seed(config.seed)
    before = teacher.engine.text
    text = ErnieEncoder(**{**_settings(before), "vocab_size": config.vocabulary})
    tokenizer = PromptTokenizer.load(folder / TOKENIZER, before.config["max_tokens"])
    _begin_as(text, tokenizer, before, teacher.engine.tokenizer)
    data = {
        name: getattr(config, name) for name in ("seed", "captions", "vocabulary", "own", "matched", "asked", "queries")
    }
    data |= {"base": teacher.bundle.digest, "grammar": digest_of_grammar(), "tokenizer": _sha256(folder / TOKENIZER)}
    return Run(folder / "text", {"text": text}, config.text, data, device=next(iter(teacher.model.parameters())).device)


def digest_of_grammar() -> str:
    """Of what prompts are drawn: a run that learnt from another grammar is another run."""
    rng = np.random.default_rng(0)
    drawn = [*words(), *(sample_prompt(rng).prompt for _ in range(_COMPARED))]
    return "sha256:" + hashlib.sha256("\n".join(drawn).encode()).hexdigest()


def _sha256(path: Path) -> str:
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def as_taught(row: Controls, rng: np.random.Generator) -> str:
    """The worlds' own sentence for what a prompt says; "" where it says nothing."""
    parts = []
    if row.said_camera != "auto":
        parts.append(own.camera_phrase(Motion(row.said_camera, row.said_camera_strength, "still", 0.0), rng))
    if row.said_subject != "auto":
        moved = Motion("static", 0.0, row.said_subject, row.said_subject_strength)
        parts.append(own.subject_phrase(moved, "product", rng))
    return own.compose(parts, rng) if parts else ""


def export_prompts(
    config: PromptsConfig, folder: Path, out: Path, *, version: str, command: str, unfinished: bool = False
) -> Bundle:
    """Write the base's bundle with the new text encoder and tokenizer to the new folder `out`, whole or not at all.

    ValueError as for every export.
    """
    check_folders(folder, out)
    teacher = _teacher(config)
    runs = {"text": text_run(config, folder, teacher)}
    check_trained(folder, runs, {TOKENIZER: "tokenizer"}, unfinished)
    runs["text"].use_average()
    base, gone = teacher.bundle, ("text.json", "text.safetensors", TOKENIZER, "cache.json", "README.md")

    def write_parts(made: Path) -> None:
        copy_files(base, [name for name in base.files if name not in gone], made)
        write_model(made, "text", runs["text"].modules["text"])
        shutil.copyfile(folder / TOKENIZER, made / TOKENIZER)

    about = f"{_about(base)}\nIts text encoder learnt prompts as people type them (the recipe `prompts`)."
    card = Card(base.name, base.kinds, base.capabilities, about, base.layout)
    return write_whole(out, card, version, _provenance(base, folder, runs, version), write_parts)


def _about(base: Bundle) -> str:
    """What its card says of it, between the title and how it was made."""
    text = (base.path / "README.md").read_text() if (base.path / "README.md").exists() else ""
    return text.partition("\n\n")[2].partition("\n\nMade by")[0].strip() or base.name


def _provenance(base: Bundle, folder: Path, runs: dict[str, Run], version: str) -> dict[str, Any]:
    """The base's, with the stage `text` as its record tells it."""
    again = "python -m trainer run prompts --set base=BUNDLE --out RUN && python -m trainer export prompts --out RUN "
    told = exchanged(base, runs, f"{again}--bundle NEW --version {shlex.quote(version)}", gone=("text",))
    told["stages"]["text"] |= recorded(folder, tuple(item.name for item in fields(PromptsConfig)))
    told["stages"]["text"]["commits"] = list(dict.fromkeys(call["commit"] for call in Record(folder).kept["calls"]))
    return told


def _teacher(config: PromptsConfig, device: torch.device = CPU) -> MotionTeacher:
    teacher = load_teacher(config.base, device=device)
    if not isinstance(teacher, MotionTeacher):
        raise ValueError(f"The bundle {teacher.bundle.name} moves no photo: there is no camera to be told in words.")
    teacher.model.requires_grad_(False)
    return teacher


def _sentences(
    config: PromptsConfig, count: int, scenes: list[dict[str, str]], rng: np.random.Generator
) -> list[Controls]:
    return [
        sample_controls(sample_motion(rng), scenes[int(rng.integers(len(scenes)))], rng)
        if rng.random() < config.own
        else sample_prompt(rng)
        for _ in range(count)
    ]


def _words() -> list[dict[str, str]]:
    return [sample_scene(np.random.default_rng(_FIRST + index), 1.0).words for index in range(_SCENES)]


@torch.no_grad()
def _queries(teacher: MotionTeacher, config: PromptsConfig) -> list[Tensor]:
    """The video tokens of scenes of its own, noisy and less so, as every block asks the text."""
    dit = teacher.model
    assert isinstance(dit, SingleDiT)
    generator = torch.Generator().manual_seed(config.seed)

    def run() -> None:
        for index, kind in enumerate(teacher.kinds):
            seeds = range(_FIRST + index * config.asked, _FIRST + (index + 1) * config.asked)
            given, wishes = draw_scenes(teacher, kind, seeds)
            inputs, noise = teacher.inputs(given, wishes), noise_of(teacher, kind, seeds)
            for time_ in _TIMES:
                velocity_of(dit, noise * time_, torch.full((len(seeds),), time_, device=noise.device), inputs)

    return record_queries(dit, run, _RECORDED, generator)


def _settings(text: ErnieEncoder) -> dict[str, Any]:
    return {name: value for name, value in text.config.items() if not name.startswith("_")}


@torch.no_grad()
def _begin_as(text: ErnieEncoder, tokenizer: PromptTokenizer, old: ErnieEncoder, known: PromptTokenizer) -> None:
    """All but the word pieces is the old one's; each of these begins as the mean of the old pieces that spell it."""
    own, theirs = text.state_dict(), old.state_dict()
    text.load_state_dict({name: own[name] if name == "embed.weight" else value for name, value in theirs.items()})
    for piece, index in tokenizer.tokenizer.get_vocab().items():
        spelt = tokenizer.tokenizer.decode([index], skip_special_tokens=False).strip()
        same = known.tokenizer.token_to_id(piece)
        pieces = [same] if same is not None else known.tokenizer.encode(spelt, add_special_tokens=False).ids
        if pieces:
            text.embed.weight[index] = old.embed.weight[pieces].mean(0)
