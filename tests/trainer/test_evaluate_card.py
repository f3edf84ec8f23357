"""An evaluation's figures in a bundle's card and manifest: those of the report, verified, and never twice."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from engine.bundles import BundleError, read_bundle
from engine.latent_video import LatentVideo
from tests.trainer.tiny_bundle import write_tiny_bundle
from trainer.__main__ import main
from trainer.bundling import Card, write_whole
from trainer.evaluate.card import BEGIN, CARD, END, weights_digest, with_evaluation
from trainer.evaluate.cases import EXACT, OURS, STILL
from trainer.evaluate.figures import Figure
from trainer.evaluate.options import Options
from trainer.evaluate.run import Evaluation

FIGURES = [
    Figure("Nearness to the exact film", "dB PSNR", "higher", "x", {OURS: 24.5, STILL: 19.53}, 23.9, 25.1, 7),
    Figure("Warp error", "of 255", "lower", "x", {OURS: 3.25, STILL: 0.0, EXACT: 1.5}, scenes=9),
    Figure("CLIP", "cosine", "higher", "Not measured: no weights.", {}),
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny").path


def evaluation(bundle: Path, figures: list[Figure]) -> Evaluation:
    return Evaluation(read_bundle(bundle).identity, "asked in words", Options(9), figures, {}, machine="here, torch 2")


def cells(card: str, name: str) -> list[str]:
    [row] = [line for line in card.splitlines() if line.startswith(f"| {name} ")]
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_the_card_has_the_figures_with_their_baselines(bundle, tmp_path):
    made = with_evaluation(read_bundle(bundle), evaluation(bundle, FIGURES), 4, tmp_path / "new")
    card = (made.path / CARD).read_text()
    assert cells(card, "figure") == ["figure", "this bundle", STILL, EXACT, "95 % interval", "unit", "better", "n"]
    assert cells(card, FIGURES[0].name)[1:] == ["24.50", "19.53", "", "23.90 to 25.10", "dB PSNR", "higher", "7"]
    assert cells(card, FIGURES[1].name)[1:] == ["3.25", "0", "1.50", "", "of 255", "lower", "9"]
    assert "Not measured: CLIP." in card and "9 held-out scenes" in card and "in 4 steps" in card
    told = made.provenance["evaluation"]
    assert told["figures"] == [asdict(figure) for figure in FIGURES]
    assert told["weights"] == weights_digest(read_bundle(bundle)) and told["packages"]["torch"]


def test_the_bundle_still_verifies_and_loads_and_is_another_one(bundle, tmp_path):
    before, kept = read_bundle(bundle), {path.name: path.read_bytes() for path in bundle.iterdir()}
    made = with_evaluation(before, evaluation(bundle, FIGURES), 4, tmp_path / "new")
    assert made == read_bundle(tmp_path / "new") and made.digest != before.digest
    assert {name: made.files[name] for name in before.files if name != CARD} == {
        name: digest for name, digest in before.files.items() if name != CARD
    }
    assert (made.capabilities, made.kinds, made.version) == (before.capabilities, before.kinds, before.version)
    *_, (_, latents) = LatentVideo.load(made.path).denoise("a red cup", height=32, width=32, steps=1)
    assert latents.shape[2:] == (5, 4, 4)
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == kept, "what was evaluated stays as it is"
    (made.path / CARD).write_text((made.path / CARD).read_text().replace("24.50", "29.50"))
    with pytest.raises(BundleError, match=r"README\.md is damaged"):
        read_bundle(made.path)


def test_figures_that_it_had_are_replaced(bundle, tmp_path):
    first = with_evaluation(read_bundle(bundle), evaluation(bundle, FIGURES), 4, tmp_path / "first")
    worse = [replace(FIGURES[0], values={OURS: 11.5, STILL: 19.53})]
    second = with_evaluation(first, evaluation(first.path, worse), 4, tmp_path / "second")
    card = (second.path / CARD).read_text()
    assert card.count("## Evaluation") == card.count(BEGIN) == card.count(END) == 1
    assert cells(card, FIGURES[0].name)[1] == "11.50" and "24.50" not in card and "Warp error" not in card
    assert len(second.provenance["evaluation"]["figures"]) == 1
    again = with_evaluation(second, evaluation(second.path, FIGURES), 4, tmp_path / "again")
    assert again.digest == first.digest, "the same figures make the same bundle, whatever stood there before"


def test_what_stood_around_the_figures_stays(bundle, tmp_path):
    card = Card("other", ("text_to_video",), {}, "What it is.")
    told = {"command": "run", "commit": "c", "dirty": False, "seed": 0, "torch": "2", "data": "d", "unfinished": []}
    plain = write_whole(tmp_path / "plain", card, "1", {**told, "stages": {}}, lambda made: None)
    made = with_evaluation(plain, evaluation(plain.path, FIGURES), 4, tmp_path / "new")
    assert (made.path / CARD).read_text().startswith((plain.path / CARD).read_text().rstrip())
    copied = write_whole(tmp_path / "other", card, "2", made.provenance, lambda made: None)
    assert "evaluation" not in copied.provenance, "figures do not pass to what is made of a bundle"


def test_what_cannot_be_written_is_told(bundle, tmp_path, capsys):
    (tmp_path / "there").mkdir()
    words = ["evaluate", str(bundle), "--out", str(tmp_path / "report"), "--into-card"]
    assert main([*words, str(tmp_path / "there")]) == 2
    assert "is there already" in capsys.readouterr().err
    assert not (tmp_path / "report").exists(), "before anything is measured"
    foreign = evaluation(bundle, FIGURES)
    foreign.bundle = {**foreign.bundle, "digest": "sha256:0"}
    with pytest.raises(ValueError, match="These figures are of sha256:0"):
        with_evaluation(read_bundle(bundle), foreign, 4, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    manifest = json.loads((bundle / "bundle.json").read_text())
    assert "evaluation" not in manifest["provenance"]
