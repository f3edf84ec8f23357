"""Films are encoded once, to shards keyed by the encoder, and large recipes learn from them at smoke size."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from datapipe.shards import ShardError, ShardSet, ShardWriter
from engine.bundles import read_bundle
from engine.latent_video import LatentVideo
from tests.trainer.tiny_bundle import write_tiny_bundle
from trainer import large
from trainer.__main__ import main
from trainer.encode import Encoder, encode, encoder_digest, grid_for
from trainer.film_shards import write_films
from trainer.large_export import export_large
from trainer.log import Log
from trainer.recipes.single_dit_2b import single_dit_2b, single_dit_2b_smoke

ROOT = Path(__file__).parents[2]
CONFIG = single_dit_2b_smoke()
GRIDS = [stage.grids for stage in CONFIG.stages]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """`bundle`, `films`, `data`: what encodes, what it encodes, and what it made of it."""
    folder = tmp_path_factory.mktemp("large")
    write_tiny_bundle(folder / "bundle")
    write_films(folder / "films", [(32, 32), (40, 24), (16, 32)], scenes=18, motions=1)
    assert main(["encode", "single_dit_2b_smoke", *of(folder), "--out", str(folder / "data")]) == 0
    return folder


def of(folder: Path) -> list[str]:
    return ["--set", f"encoder={folder / 'bundle'}", "--data", str(folder / "films")]


def run(home: Path, out: Path, recipe: str = "single_dit_2b_smoke", *more: str, data: str = "data") -> int:
    return main(["run", recipe, "--out", str(out), "--set", f"data={home / data}", *more])


@pytest.fixture(scope="module")
def trained(home, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert run(home, folder, "single_dit_2b_smoke", "--set", f"encoder={home / 'bundle'}") == 0
    return folder


# --- encode ---


def test_derived_shards_hold_what_the_bundle_encodes(home):
    films, shards = ShardSet(home / "films"), ShardSet(home / "data")
    encoder, model = Encoder(read_bundle(home / "bundle")), LatentVideo.load(home / "bundle")
    assert [shards.facts(n)["grid"] for n in range(6)] == [
        *([5, 2, 2], [5, 4, 4]),
        *([5, 2, 2], [5, 4, 2]),
        *([5, 2, 2], [5, 2, 4]),
    ]
    record = shards[1]
    wanted = model.encode(films[0].values["frames"].copy())[0]
    np.testing.assert_allclose(record.values["latents"], wanted.numpy(), atol=2e-3)
    top, left, bottom, right = record.facts["box"]
    assert 0 < (bottom - top) * (right - left) < 16
    assert np.abs(record.values["boxed"] - record.values["latents"]).max() > 0.01, "what is hidden is not told"
    words = films[0].facts["captions"]
    features = [model.text(*model.tokenizer([one]))[0].numpy() for one in words]
    np.testing.assert_allclose(record.values["text"], np.concatenate(features), atol=2e-3)
    assert record.values["text_ends"].tolist() == np.cumsum([len(one) for one in features]).tolist()
    unsaid = shards[len(shards) - 1]
    np.testing.assert_array_equal(unsaid.values["text"], encoder.features([""])[0])
    assert shards.about["encoder"] == encoder_digest(read_bundle(home / "bundle"))
    assert shards.about["source"] == films.digest


def test_a_film_goes_to_the_size_of_its_form_and_is_never_stretched():
    grids = single_dit_2b().stages[1].grids
    assert grid_for((81, 480, 832, 3), grids) == (21, 60, 104)
    assert grid_for((100, 1080, 1920, 3), grids) == (21, 60, 104)
    assert grid_for((81, 1920, 1080, 3), grids) == (21, 104, 60)
    assert grid_for((81, 1000, 1000, 3), grids) == (21, 78, 78)
    assert grid_for((40, 1080, 1920, 3), grids) == (1, 60, 104), "too short for a video, it is a photo"
    assert grid_for((81, 400, 700, 3), grids) is None


def test_encoding_goes_on_after_a_kill_and_makes_the_same_bytes(home, tmp_path):
    out = tmp_path / "data"
    command = [sys.executable, "-m", "trainer", "encode", "single_dit_2b_smoke", *of(home), "--out", str(out)]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    end = time.monotonic() + 120
    while not (out / "000000.index").exists() and time.monotonic() < end and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was killed on the way"
    with pytest.raises(ShardError, match="not finished"):
        ShardSet(out)
    assert main(["encode", "single_dit_2b_smoke", *of(home), "--out", str(out)]) == 0
    assert content(out) == content(home / "data")


def test_encoding_pauses_behind_a_whole_shard(home, tmp_path, capsys):
    arguments = ["encode", "single_dit_2b_smoke", *of(home), "--out", str(tmp_path / "data")]
    assert main([*arguments, "--minutes", "0"]) == 3
    assert [path.name for path in sorted(tmp_path.glob("data/*.index"))] == ["000000.index"]
    assert main(arguments) == 0
    assert content(tmp_path / "data") == content(home / "data")
    assert main(arguments) == 0, "what is finished is left as it is"


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != ".lock"}


def test_another_key_is_refused(home, tmp_path, capsys):
    other = write_other_bundle(home, tmp_path)
    assert encoder_digest(other) != encoder_digest(read_bundle(home / "bundle"))
    asked = ["--data", str(home / "films"), "--out", str(home / "data")]
    assert main(["encode", "single_dit_2b_smoke", "--set", f"encoder={other.path}", *asked]) == 2
    assert "holds shards about" in capsys.readouterr().err
    assert run(home, tmp_path / "run", "single_dit_2b_smoke", "--set", f"encoder={other.path}") == 2
    assert "was not encoded by" in capsys.readouterr().err


def write_other_bundle(home: Path, folder: Path):
    """The same bundle, but that its latents are scaled otherwise."""
    shutil.copytree(home / "bundle", folder / "other")
    manifest = json.loads((folder / "other" / "bundle.json").read_text())
    manifest["capabilities"]["latents"]["std"] = [2.0] * 4
    (folder / "other" / "bundle.json").write_text(json.dumps(manifest))
    return read_bundle(folder / "other")


def test_a_bundle_with_other_transformers_has_the_same_key(home, tmp_path):
    shutil.copytree(home / "bundle", tmp_path / "newer")
    manifest = json.loads((tmp_path / "newer" / "bundle.json").read_text())
    (tmp_path / "newer" / "bundle.json").write_text(json.dumps({**manifest, "version": "2"}))
    newer = read_bundle(tmp_path / "newer")
    assert newer.digest != read_bundle(home / "bundle").digest
    assert encode(newer, ShardSet(home / "films"), home / "data", GRIDS)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["encode", "nowhere", "--data", "{films}"], "neither the folder of a bundle nor one of the recipes"),
        (["encode", "single_dit_2b", "--data", "{films}"], "--set encoder=BUNDLE"),
        (["encode", "single_dit_2b", "--set", "encoder={bundle}", "--data", "{films}"], "None of the 18 films"),
        (["encode", "{bundle}", "--data", "{data}"], "holds no frames"),
        (["encode", "{bundle}", "--data", "{bundle}"], "no set of shards"),
        (["encode", "engine/bundled/aquarius-nano", "--data", "{films}"], "cannot encode: it has no vae.json"),
    ],
)
def test_what_cannot_be_encoded_says_why(home, tmp_path, capsys, arguments, says):
    places = {name: str(home / name) for name in ("films", "data", "bundle")}
    assert main([*(one.format(**places) for one in arguments), "--out", str(tmp_path / "out")]) == 2
    assert says in capsys.readouterr().err


def test_films_that_fit_no_bucket_are_told(tmp_path, home, capsys):
    with ShardWriter(tmp_path / "films", {}) as shards:
        for size in (32, 8):
            shards.add({"frames": np.zeros((17, size, size, 3), np.uint8)}, {"captions": ["black"]})
        shards.finish()
    assert main(["encode", str(home / "bundle"), "--data", str(tmp_path / "films"), "--out", str(tmp_path / "d")]) == 0
    assert "1 of 2 films are too short or small" in capsys.readouterr().out
    assert ShardSet(tmp_path / "d").about["left_out"] == 1


def test_frames_behind_the_longest_bucket_are_told(tmp_path, home, capsys):
    with ShardWriter(tmp_path / "films", {}) as shards:
        for frames in (17, 20, 30):
            shards.add({"frames": np.zeros((frames, 32, 32, 3), np.uint8)}, {"captions": ["black"]})
        shards.finish()
    for size, told in ((17, "16 frames lie behind the longest bucket"), (9, "40 frames lie")):
        out, grids = tmp_path / str(size), [[(1, 4, 4)], [((size + 3) // 4, 4, 4)]]
        assert encode(read_bundle(home / "bundle"), ShardSet(tmp_path / "films"), out, grids)
        assert told in capsys.readouterr().out
        assert ShardSet(out).about["frames_left_out"] == int(told.split()[0])
    assert ShardSet(home / "data").about["frames_left_out"] == 0, "the control: all are as long as their bucket"


def test_films_that_are_refused_claim_no_folder(tmp_path, home, capsys):
    with ShardWriter(tmp_path / "films", {}) as shards:
        shards.add({"frames": np.zeros((17, 32, 32, 3), np.uint8)}, {"captions": ["black"]})
        shards.add({"frames": np.zeros((17, 32, 32, 3), np.uint8)})
        shards.finish()
    assert main(["encode", str(home / "bundle"), "--data", str(tmp_path / "films"), "--out", str(tmp_path / "d")]) == 2
    assert "Record 1" in capsys.readouterr().err
    assert main(["films", "--out", str(tmp_path / "d"), "--scenes", "0"]) == 2
    assert "one scene" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


# --- run ---


def test_a_run_that_is_refused_claims_no_data(home, tmp_path, capsys):
    assert run(home, tmp_path / "run", "single_dit_2b_smoke", "--set", "loop.steps=3") == 2
    assert "Steps and batches are those of the recipe's stages" in capsys.readouterr().err
    assert not list(tmp_path.glob("run/*"))


def test_both_large_recipes_run_their_stages(home, trained, tmp_path, capsys):
    assert run(home, tmp_path / "run", "multimodal_dit_13b_smoke") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "32px │ 5x4x4" in told and "predicted step" in told
    for folder, part in ((trained, "single_dit"), (tmp_path / "run", "multimodal_dit")):
        rows = Log(folder / part / "steps.jsonl").rows()
        assert [row["step"] for row in rows] == list(range(1, 11)), "4 steps of the first stage, 6 of the second"
        assert all(np.isfinite(row["loss"]) for row in rows)


def test_what_epochs_leave_over_is_noted(home, trained):
    schedule = large.schedule_of(replace(CONFIG, data=str(home / "data")), ShardSet(home / "data"))
    begun = [number for number in range(10) if schedule.left_over(number) is not None]
    rows = Log(trained / "single_dit" / "epochs.jsonl").rows()
    assert [row["batch"] for row in rows] == begun != []
    assert rows[0]["stage"] == "32px"
    assert rows[0]["left_over"] == {"5x4x4": 2, "5x4x2": 6, "5x2x4": 6}, "of 6 films each: 4 in a batch, or 8"


def test_a_run_that_was_paused_ends_with_the_same_weights(home, trained, tmp_path):
    config = replace(CONFIG, data=str(home / "data"), encoder=str(home / "bundle"))
    run_ = large.dit_run(config, tmp_path, ShardSet(home / "data"))
    assert large.run_large(config, tmp_path, minutes=0) is False
    assert large.run_large(config, tmp_path) is True
    del run_
    first, second = (weights(config, folder, home) for folder in (trained, tmp_path))
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = replace(config, seed=1)
    assert large.run_large(other, tmp_path / "other")
    third = weights(other, tmp_path / "other", home)
    assert not all(torch.equal(first[name], third[name]) for name in first), "the control"


def weights(config, folder: Path, home: Path) -> dict[str, torch.Tensor]:
    return large.dit_run(config, folder, ShardSet(home / "data")).net.state_dict()


@pytest.mark.parametrize("axis", ["shard", pytest.param("ulysses", marks=pytest.mark.full)])
def test_two_ranks_learn_what_one_does(home, trained, ranks, tmp_path, axis):
    config = replace(CONFIG, data=str(home / "data"), encoder=str(home / "bundle"))
    spread = replace(config, layout=replace(config.layout, **{axis: 2}))
    assert ranks(2).run(large.run_large, spread, tmp_path) == [True, True]
    alone, together = (Log(folder / "single_dit" / "steps.jsonl").rows() for folder in (trained, tmp_path))
    assert [row["loss"] for row in together] == pytest.approx([row["loss"] for row in alone], rel=2e-2)
    shuffled = sorted(row["loss"] for row in alone)
    assert [row["loss"] for row in together] != pytest.approx(shuffled, rel=2e-2), "the control: another order"
    bundle = export_large(spread, tmp_path, tmp_path / "bundle", version="1", command="")  # by one process
    assert bundle.provenance["config"]["layout"][axis] == 2


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["data="], "--set data=SHARDS"),
        (["data={films}"], "holds no latents"),
        (["data={data}", "states.optimiser=adamw8bit"], "loop.optimiser=8bit"),
        (["data={data}", "states.ema=false"], "a run always averages its weights, by loop.ema"),
        (["data={data}", "loop.steps=5"], "set stages"),
        (["data={data}", 'stages=[{{"name":"x","grid":[9,9,9],"batch":2,"samples":4}}]'], "stage x has no samples"),
        (["data={data}", "model.text_dim=16"], "text 32 wide"),
        (["data={data}", "layout.shard=2"], "is for 2 ranks, and there are 1: start as many with torchrun"),
    ],
)
def test_what_cannot_be_run_says_why(home, tmp_path, capsys, settings, says):
    places = {name: str(home / name) for name in ("films", "data")}
    given = [word for one in settings for word in ("--set", one.format(**places))]
    assert main(["run", "single_dit_2b_smoke", "--out", str(tmp_path / "run"), *given]) == 2
    assert says in capsys.readouterr().err


def test_other_data_is_not_gone_on_with(home, trained, tmp_path, capsys):
    shutil.copytree(trained, tmp_path / "run")
    assert encode(read_bundle(home / "bundle"), ShardSet(home / "films"), tmp_path / "data", [*GRIDS, [(1, 2, 2)]])
    assert run(tmp_path, tmp_path / "run") == 2
    assert "holds another set of shards" in capsys.readouterr().err


# --- export ---


def test_a_run_becomes_a_bundle_that_makes_films(home, trained, tmp_path):
    out = tmp_path / "bundle"
    assert main(["export", "single_dit_2b_smoke", "--out", str(trained), "--bundle", str(out)]) == 0
    bundle = read_bundle(out)
    assert encoder_digest(bundle) == encoder_digest(read_bundle(home / "bundle"))
    assert str(home) not in json.dumps(bundle.provenance) + (out / "README.md").read_text()
    assert bundle.capabilities["sampling"]["shift"] == pytest.approx(2.0)  # 20 tokens, from 5
    model = LatentVideo.load(out)
    *_, (_, latents) = model.denoise("a red cup", height=32, width=32, steps=2)
    assert model.decode(latents).shape == (17, 32, 32, 3)


def test_an_export_needs_its_encoder(home, trained, tmp_path, capsys):
    out = ["--out", str(trained), "--bundle", str(tmp_path / "bundle")]
    assert main(["export", "single_dit_2b_smoke", *out, "--set", "encoder="]) == 2
    assert "--set encoder=BUNDLE" in capsys.readouterr().err
