"""The prompts run: what a bundle reads is learnt anew, what moves the photo stays."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from datapipe.worlds.clip import Controls
from engine.bundles import SHIPPED, read_bundle
from engine.denoise import Denoiser
from engine.models.ernie import ErnieEncoder, PromptTokenizer
from engine.models.single_dit import SingleDiT
from engine.weights import load_model
from trainer import prompts
from trainer.__main__ import main
from trainer.objectives.reading import reading_loss, record_queries, spread_of_readings
from trainer.recipes.prompts import prompts_smoke

NEW = {"README.md", "text.safetensors", "tokenizer.json"}  # and text.json, of a base of another vocabulary


@pytest.fixture(scope="module")
def learnt(tmp_path_factory) -> tuple[Path, Path]:
    """A run of three steps on the shipped bundle, and the bundle that it became."""
    home = tmp_path_factory.mktemp("prompts")
    assert main(["run", "prompts_smoke", "--set", f"base={SHIPPED}", "--out", str(home / "run")]) == 0
    told = ["--out", str(home / "run"), "--bundle", str(home / "bundle"), "--version", "9.9.9"]
    assert main(["export", "prompts_smoke", *told, "--set", f"base={SHIPPED}"]) == 0
    return home / "run", home / "bundle"


def test_only_text_and_tokenizer_of_the_bundle_are_new(learnt) -> None:
    made, base = read_bundle(learnt[1]), read_bundle(SHIPPED)
    changed = {name for name in base.files if made.files.get(name) != base.files[name]}
    assert changed - {"text.json"} == NEW and set(made.files) == set(base.files)
    assert (made.name, made.version, made.capabilities) == (base.name, "9.9.9", base.capabilities)
    stages = made.provenance["stages"]
    assert stages["text"]["steps"] == 3 and stages["text"]["config"]["vocabulary"] == prompts_smoke().vocabulary
    assert stages["text"]["commits"] == [stages["text"]["commit"]]
    assert (learnt[1] / "README.md").read_text().count("It moves a given") == 1  # what the base is said to be
    assert {name: told for name, told in stages.items() if name != "text"} == {
        name: told for name, told in base.provenance["stages"].items() if name != "text"
    }


def test_the_bundle_reads_prompts_with_its_own_words(learnt) -> None:
    denoiser = Denoiser(read_bundle(learnt[1]))
    assert denoiser.tokenizer.knows("counterclockwise") and not denoiser.tokenizer.knows("zorbaflux")
    assert denoiser._read("The Zorbaflux levitates") == "the levitates"
    features = [denoiser._features(prompt)[0] for prompt in ("pan left", "the Zorbaflux pan left", "pan right")]
    assert not torch.equal(features[0], features[2])


def test_the_encoder_begins_as_the_bundles_own(learnt, tmp_path) -> None:
    """Of a word that both know it makes the same, before it has learnt anything."""
    config = replace(prompts_smoke(), base=str(SHIPPED))
    (tmp_path / "tokenizer.json").write_bytes((learnt[0] / "tokenizer.json").read_bytes())
    teacher = prompts._teacher(config)
    run = prompts.text_run(config, tmp_path, teacher)
    text, tokenizer = run.modules["text"], PromptTokenizer.load(tmp_path / "tokenizer.json", 64)
    assert isinstance(text, ErnieEncoder)
    for prompt in ("camera", "the camera", "zoom out"):
        (ours, our_mask), (theirs, their_mask) = tokenizer([prompt]), teacher.engine.tokenizer([prompt])
        with torch.no_grad():
            assert torch.allclose(text(ours, our_mask), teacher.engine.text(theirs, their_mask), atol=1e-5)


@pytest.fixture(scope="module")
def dit() -> SingleDiT:
    return load_model(read_bundle(SHIPPED), SingleDiT, "single_dit").requires_grad_(False)


def test_what_the_blocks_read_is_kept_where_the_features_are(dit: SingleDiT) -> None:
    generator = torch.Generator().manual_seed(0)
    queries = [torch.randn(6, dit.hidden, generator=generator) for _ in dit.blocks]
    mask = torch.ones(4, 5, dtype=torch.bool)
    theirs = torch.randn(4, 5, 128, generator=generator)
    spreads = spread_of_readings(dit, queries, theirs, mask)
    assert reading_loss(dit, queries, spreads, (theirs, mask), (theirs, mask)) == 0
    ours = theirs.flip(0).clone().requires_grad_(True)
    loss = reading_loss(dit, queries, spreads, (ours, mask), (theirs, mask))
    assert loss > 0.5  # the control: another text is read otherwise
    loss.backward()
    assert ours.grad is not None and ours.grad.abs().sum() > 0
    halves = [
        reading_loss(dit, queries, spreads, (ours[part], mask[part]), (theirs[part], mask[part]))
        for part in (slice(0, 2), slice(2, 4))
    ]
    assert torch.stack(halves).mean().item() == pytest.approx(loss.item(), rel=1e-5)  # on however many ranks
    one = reading_loss(dit, queries, spreads, (ours[:1], mask[:1]), (theirs[:1], mask[:1]))
    assert one < 10


def test_a_run_of_another_grammar_is_not_gone_on_with(learnt, tmp_path, monkeypatch, capsys) -> None:
    shutil.copytree(learnt[0], tmp_path / "run")
    command = ["run", "prompts_smoke", "--set", f"base={SHIPPED}", "--out", str(tmp_path / "run")]
    assert main(command) == 0
    monkeypatch.setattr(prompts, "words", lambda: ["another"])
    assert main(command) == 2
    assert "grammar" in capsys.readouterr().err


def test_every_part_of_a_batch_has_sentences_that_are_matched(tmp_path, capsys) -> None:
    command = ["run", "prompts_smoke", "--set", f"base={SHIPPED}", "--set", "text.microbatches=8"]
    assert main([*command, "--out", str(tmp_path / "run")]) == 2
    assert "choose a multiple of 8" in capsys.readouterr().err


@pytest.mark.parametrize("matched", [0, 3, 16])
def test_sentences_are_matched_evenly(tmp_path, capsys, matched: int) -> None:
    command = ["run", "prompts_smoke", "--set", f"base={SHIPPED}", "--set", f"matched={matched}"]
    assert main([*command, "--out", str(tmp_path / "run")]) == 2
    assert "choose a divisor" in capsys.readouterr().err


def test_the_queries_are_those_that_ask_the_text(dit: SingleDiT) -> None:
    asked: list[torch.Tensor] = []
    token = torch.randn(1, 4, 128)
    x = torch.randn(2, 7, dit.hidden)

    def run() -> None:
        for block in dit.blocks:
            asked.append(x * (len(asked) + 1))
            block.cross(asked[-1], token.expand(2, -1, -1), torch.ones(2, 4, dtype=torch.bool))

    found = record_queries(dit, run, 5, torch.Generator().manual_seed(0))
    assert [one.shape for one in found] == [(5, dit.hidden)] * len(dit.blocks)
    for number, some in enumerate(found, 1):
        assert all(any(torch.equal(row, token_) for token_ in (x * number).flatten(0, 1)) for row in some)
    block = next(iter(dit.blocks))
    assert not block.cross._forward_pre_hooks


def test_four_batches_are_what_was_drawn_by_length_and_ranks_share_them(learnt) -> None:
    config = prompts_smoke()
    tokenizer = PromptTokenizer.load(learnt[0] / "tokenizer.json", 64)
    drawn, size = prompts._Sentences(config, tokenizer), config.text.batch
    whole = [drawn.batch(step, slice(0, size)) for step in range(8)]
    lengths = [[len(text) for text in read] for _, read in whole]
    assert all(len(rows) == size for rows, _ in whole)
    assert lengths[0] + lengths[1] + lengths[2] + lengths[3] == sorted(
        len(text) for _, read in whole[:4] for text in read
    )
    again = prompts._Sentences(config, tokenizer)
    assert again.batch(5, slice(0, 3))[1] + again.batch(5, slice(3, size))[1] == whole[5][1]
    assert whole[4][1] != whole[0][1]


def test_a_prompt_is_taught_by_the_worlds_own_sentence_for_it() -> None:
    rng = np.random.default_rng(0)
    nothing = Controls("auto", 0.0, "auto", 0.0, "a calm morning")
    assert prompts.as_taught(nothing, rng) == ""
    both = replace(nothing, said_camera="pan-left", said_camera_strength=0.6, said_subject="turn")
    said = [prompts.as_taught(both, rng).lower() for _ in range(20)]
    assert all("left" in one for one in said)
    assert all(any(word in one for word in ("turn", "rotat", "spin", "revolv")) for one in said)


def test_a_bundle_that_moves_no_photo_is_refused(tmp_path, capsys) -> None:
    tiny = SHIPPED.parent / "tiny-video"
    assert main(["run", "prompts_smoke", "--set", f"base={tiny}", "--out", str(tmp_path / "run")]) == 2
    assert "moves no photo" in capsys.readouterr().err
