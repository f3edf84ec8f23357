"""Preference pairs from a file to a bundle that makes more of what was preferred."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from engine.bundles import SHIPPED, read_bundle
from engine.latent_video import LatentVideo
from engine.media.video import write_frames
from tests.trainer.tiny_bundle import write_photos
from trainer.__main__ import main
from trainer.dpo import encode_pairs, export_dpo, read_pairs, run_dpo, transformer_run
from trainer.draws import Draws
from trainer.objectives import rectified_flow, video_flow
from trainer.objectives.preference import preference_loss
from trainer.preferences import encode_pair, read_preferences
from trainer.recipes.dpo import DpoConfig, dpo_smoke
from trainer.teachers import load_teacher

PROMPTS = ("a red cup on a table", "orbit left around the product", "a green bottle", "the camera pans left")
SMALL = {"height": 32, "width": 32, "frames": 17, "steps": 4}


def moves(model: LatentVideo, prompt: str, seed: int) -> float:
    """How much the latents of a film change from time to time."""
    *_, (_, data) = model.denoise(prompt, seed=seed, **SMALL)
    return float((data[:, :, 1:] - data[:, :, :-1]).square().mean())


@pytest.fixture(scope="module")
def planted(tiny_bundle, tmp_path_factory) -> Path:
    """`larger.jsonl`, where the film that moves more is preferred; `shuffled.jsonl`, where half of them are swapped."""
    folder, model = tmp_path_factory.mktemp("pairs"), LatentVideo.load(tiny_bundle)
    lines: dict[str, list[dict]] = {"larger": [], "shuffled": []}
    for index in range(24):
        prompt, seeds = PROMPTS[index % 4], [2 * index, 2 * index + 1]
        low, high = sorted(seeds, key=lambda seed: moves(model, prompt, seed))
        swapped = (low, high) if index // 4 % 2 else (high, low)
        for name, (worse, better) in (("larger", (low, high)), ("shuffled", swapped)):
            settings = {"prompt": prompt, "steps": 4, "noted": "by a studio, and passed over"}
            lines[name].append({"settings": settings, "preferred": better, "rejected": worse})
    for name, pairs in lines.items():
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, pairs)) + "\n")
    return folder


def config_of(base: Path, pairs: Path, steps: int = 30) -> DpoConfig:
    loop = replace(
        dpo_smoke().loop, steps=steps, batch=12, learning_rate=5e-4, warmup=5, ema=0.8, save_every=10, tensorboard=False
    )
    return replace(dpo_smoke(), base=str(base), pairs=str(pairs), beta=100.0, loop=loop)


def growth(base: Path, other: Path) -> np.ndarray:
    """How much more films move by the other bundle, as a share, of seeds that are in no pair."""
    before, after = LatentVideo.load(base), LatentVideo.load(other)
    asked = [(prompt, seed) for prompt in PROMPTS for seed in range(1000, 1006)]
    return np.array([moves(after, *one) / moves(before, *one) - 1 for one in asked])


def test_planted_preferences_move_the_films_their_way_and_shuffled_ones_do_not(tiny_bundle, planted, tmp_path):
    grown = {}
    for name in ("larger", "shuffled"):
        config = config_of(tiny_bundle, planted / f"{name}.jsonl")
        assert run_dpo(config, tmp_path / name)
        out = export_dpo(config, tmp_path / name, tmp_path / f"{name}-bundle", version="2", command="dpo").path
        grown[name] = growth(tiny_bundle, out)
    assert (grown["larger"] > 0).mean() > 0.75
    assert abs(grown["shuffled"].mean()) < grown["larger"].mean() / 3, "the control: nothing is preferred on the whole"
    bundle = read_bundle(tmp_path / "larger-bundle")
    assert bundle.capabilities == read_bundle(tiny_bundle).capabilities
    assert bundle.files["multimodal_dit.safetensors"] == read_bundle(tiny_bundle).files["multimodal_dit.safetensors"]
    assert "24 preference pairs" in bundle.provenance["data"]


def test_a_run_that_was_broken_off_ends_with_the_same_bits(tiny_bundle, planted, tmp_path, monkeypatch):
    config = config_of(tiny_bundle, planted / "larger.jsonl", steps=5)
    config = replace(config, loop=replace(config.loop, batch=3, save_every=2))
    assert run_dpo(config, tmp_path / "whole")
    import trainer.dpo

    true, calls = trainer.dpo.preference_loss, []

    def breaks(*args):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return true(*args)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(trainer.dpo, "preference_loss", breaks)
        run_dpo(config, tmp_path / "broken")
    assert run_dpo(config, tmp_path / "broken")
    one, other = (
        transformer_run(config, tmp_path / name, load_teacher(str(tiny_bundle))) for name in ("whole", "broken")
    )
    assert all(torch.equal(value, other.average[key]) for key, value in one.average.items())


def test_pairs_are_gone_on_with_after_a_pause(tiny_bundle, planted, tmp_path, monkeypatch):
    config = config_of(tiny_bundle, planted / "larger.jsonl")
    assert run_dpo(config, tmp_path / "whole", ("pairs",))
    now = iter([0.0] * 5 + [2.0] * 9)  # seconds: five pairs, then the deadline
    with monkeypatch.context() as paused:
        paused.setattr("trainer.pieces.time", SimpleNamespace(monotonic=lambda: next(now)))
        assert not encode_pairs(config, tmp_path / "run", load_teacher(config.base, config.dit), deadline=1.0)
    assert len(list((tmp_path / "run" / "pairs" / "pieces").iterdir())) == 5
    assert not (tmp_path / "run" / "pairs" / "pairs.json").exists()
    assert run_dpo(config, tmp_path / "run", ("pairs",))
    for name in ("pairs.safetensors", "about.json", "pairs.json"):
        ours, theirs = ((tmp_path / run / "pairs" / name).read_bytes() for run in ("run", "whole"))
        assert ours == theirs


def test_clips_are_encoded_and_seeds_made_again_by_the_base(tiny_bundle, tmp_path):
    photo = write_photos(tmp_path / "photos", 1) / "0.png"
    frames = np.random.default_rng(0).integers(0, 256, (17, 32, 32, 3), dtype=np.uint8)
    write_frames(frames, tmp_path / "liked.mp4", 24)
    line = {"settings": {"prompt": "a red cup", "steps": 3}, "photo": "photos/0.png", "preferred": "liked.mp4"}
    (tmp_path / "pairs.jsonl").write_text(json.dumps({**line, "rejected": 7}))
    assert run_dpo(config_of(tiny_bundle, tmp_path / "pairs.jsonl"), tmp_path / "run", ("pairs",))
    (pair,) = read_pairs(tmp_path / "run")
    import cv2

    known = cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB)[4:44]
    made = LatentVideo.load(tiny_bundle).denoise("a red cup", known=known[None], seed=7, **{**SMALL, "steps": 3})
    assert ([*made][-1][1][0] - pair.rejected_CThw).abs().max() < 0.02
    assert pair.preferred_CThw.shape == pair.rejected_CThw.shape
    assert (pair.preferred_CThw - pair.rejected_CThw).abs().max() > 0.1


def test_films_of_no_said_steps_were_made_in_the_bundles_own_number(tiny_bundle, tmp_path, monkeypatch):
    (tmp_path / "pairs.jsonl").write_text(json.dumps(GOOD))
    (pair,), asked = read_preferences(tmp_path / "pairs.jsonl"), []
    monkeypatch.setattr("trainer.preferences.made_again", lambda *args: asked.append(args[-1]) or [torch.zeros(1)])
    teacher = load_teacher(str(tiny_bundle))
    encode_pair(teacher, pair)
    sampling = {**teacher.bundle.capabilities["sampling"], "steps": 3}
    teacher.bundle = replace(teacher.bundle, capabilities={**teacher.bundle.capabilities, "sampling": sampling})
    encode_pair(teacher, pair)
    assert asked == [12, 12, 3, 3]


def test_films_of_the_shipped_bundle_are_known_by_their_seeds(tmp_path):
    write_photos(tmp_path / "photos", 1)
    settings = {"camera": {"move": "pan-left", "strength": 0.8}, "format": "1:1", "steps": 4, "measured": {"pan": 0.1}}
    pair = {"settings": settings, "photo": "photos/0.png", "preferred": 1, "rejected": 2}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(pair))
    words = ["--set", f"base={SHIPPED}", "--set", f"pairs={tmp_path / 'pairs.jsonl'}", "--set", "loop.steps=1"]
    assert main(["run", "dpo_smoke", *words, "--out", str(tmp_path / "run")]) == 0
    (one,) = read_pairs(tmp_path / "run")
    assert one.kind == "1:1" and one.wish["controls"][0] == "pan-left" and one.given.shape == (64, 64, 4)
    out = tmp_path / "bundle"
    assert main(["export", "dpo_smoke", "--out", str(tmp_path / "run"), "--bundle", str(out)]) == 0
    assert read_bundle(out).name == read_bundle(SHIPPED).name


GOOD = {"settings": {"prompt": "a cup"}, "preferred": 1, "rejected": 2}


@pytest.mark.parametrize(
    "line, says",
    [
        ("{", "line 2 is no JSON"),
        (json.dumps({"preferred": 1, "rejected": 2}), "line 2: a pair has settings, preferred and rejected"),
        (json.dumps({**GOOD, "better": 1}), "line 2: a pair has settings"),
        (json.dumps({**GOOD, "settings": "a cup"}), "line 2: settings is an object"),
        (json.dumps({**GOOD, "rejected": 1}), "line 2: preferred and rejected are the same film"),
        (json.dumps({**GOOD, "rejected": True}), "line 2: rejected is a seed or the name of a clip, not True"),
        (json.dumps({**GOOD, "rejected": -1}), "line 2: rejected is a seed from 0"),
        (json.dumps({**GOOD, "rejected": "no.mp4"}), "line 2: there is no file no.mp4"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, says):
    (tmp_path / "pairs.jsonl").write_text(json.dumps(GOOD) + "\n" + line + "\n")
    with pytest.raises(ValueError, match=says):
        read_preferences(tmp_path / "pairs.jsonl")


def test_what_a_bundle_cannot_have_made_is_told_with_its_line(tiny_bundle, tmp_path):
    frames = np.zeros((5, 32, 32, 3), np.uint8)
    write_frames(frames, tmp_path / "short.mp4", 24)
    wrong = {**GOOD, "preferred": "short.mp4"}
    for bundle, pair, says in (
        (tiny_bundle, wrong, r"The pair of line 1: short\.mp4 has fewer than 17 frames"),
        (tiny_bundle, {**GOOD, "settings": {"prompt": 3}}, "The pair of line 1: prompt is in words, not 3"),
        (
            tiny_bundle,
            {**GOOD, "settings": {"steps": None}},
            "The pair of line 1: steps is a whole number from 1, not None",
        ),
        (tiny_bundle, {**GOOD, "settings": {"steps": 0}}, "The pair of line 1: steps is a whole number from 1, not 0"),
        (SHIPPED, GOOD, "The pair of line 1: aquarius-nano moves a photo: name it as `photo`"),
    ):
        (tmp_path / "pairs.jsonl").write_text(json.dumps(pair))
        with pytest.raises(ValueError, match=says):
            run_dpo(config_of(bundle, tmp_path / "pairs.jsonl"), tmp_path / "run", ("pairs",))
    (tmp_path / "pairs.jsonl").write_text(json.dumps({**GOOD, "settings": {"prompt": "a cup", "steps": 1}}))
    assert run_dpo(config_of(tiny_bundle, tmp_path / "pairs.jsonl"), tmp_path / "run", ("pairs",)), "corrected"
    with pytest.raises(ValueError, match="holds another set of pairs"):
        (tmp_path / "pairs.jsonl").write_text(json.dumps({**GOOD, "preferred": 5}))
        run_dpo(config_of(tiny_bundle, tmp_path / "pairs.jsonl"), tmp_path / "run", ("pairs",))
    with pytest.raises(ValueError, match="There is no file of pairs"):
        read_preferences(tmp_path / "none.jsonl")


def test_pairs_are_learnt_at_the_times_that_their_kind_of_bundle_learns_at(tiny_bundle, monkeypatch):
    asked = []
    monkeypatch.setattr("trainer.objectives.preference.shifted", lambda normal, *times: asked.append(times) or normal)
    monkeypatch.setattr("trainer.objectives.preference.velocity_of", lambda dit, noisy, time, inputs: noisy)
    for bundle in (tiny_bundle, SHIPPED):
        teacher, data = load_teacher(str(bundle)), torch.zeros(2, 1, 1, 1, 1)
        weights = torch.ones(1)
        preference_loss(
            teacher.model, teacher.model, data, data, None, weights, teacher.times, 1.0, Draws.of(0, 0, range(2), 2)
        )
    video, motion = ((flow.TIME_SHIFT, flow.TIME_SPREAD) for flow in (video_flow, rectified_flow))
    assert asked == [video, motion] and video != motion
