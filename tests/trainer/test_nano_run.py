"""The nano recipe, every stage for real at a small size, from nothing to a bundle that makes a video."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engine.bundles import BundleError, read_bundle, write_bundle
from engine.events import Canceled, Preview, Progress
from engine.generate import Engine
from engine.media.video import probe_video
from engine.requests import Camera, ImageToVideo
from trainer.__main__ import _parser, main
from trainer.data import build_bank, open_bank
from trainer.export import export_nano
from trainer.motion_latents import encode_bank
from trainer.nano import finished_vae, run_nano, single_dit_run
from trainer.photos import CHUNK, build_photos, open_photos
from trainer.recipes.nano import nano_smoke

ROOT = Path(__file__).parents[2]
CONFIG = nano_smoke()


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    assert run_nano(CONFIG, folder)
    return folder


@pytest.fixture(scope="module")
def bundle(run_folder, tmp_path_factory):
    return export_nano(CONFIG, run_folder, tmp_path_factory.mktemp("out") / "bundle", version="0", command="test").path


@pytest.fixture(scope="module")
def engine(bundle):
    return Engine.load(bundle)


@pytest.fixture
def photo(tmp_path):
    y, x = np.mgrid[0:400, 0:300]
    image = np.stack([x % 256, y % 256, (x + y) % 256], -1).astype(np.uint8)
    cv2.rectangle(image, (100, 120), (200, 320), (20, 30, 200), -1)
    cv2.imwrite(str(tmp_path / "photo.png"), image)
    return tmp_path / "photo.png"


REQUEST = ImageToVideo(seconds=3, short_side=540, steps=4, seed=5, camera=Camera(move="pan-left"))


def files_of(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def copy_of(run_folder, tmp_path, *parts):
    """A run's folder that holds only these parts of another."""
    folder = tmp_path / "copy"
    for part in parts:
        source = run_folder / part
        folder.mkdir(exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, folder / part)
    return folder


def test_two_ranks_draw_their_pictures_once_and_train_the_mask_together(tmp_path):
    """As the README trains it. Both would draw the same chunks, and each take away what the other had just made."""
    words = ["nano_smoke", "--out", str(tmp_path / "run"), "--stage", "bank", "--stage", "product_mask"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "trainer", "run", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(torchrun, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("clips") == 1 and done.stdout.count("photographs") == 1, "one rank draws"
    record = json.loads((tmp_path / "run" / "product_mask" / "log.jsonl").read_text().splitlines()[-1])
    assert record["step"] == CONFIG.mask.steps


def test_a_finished_run_does_nothing_again(run_folder):
    before = files_of(run_folder)
    assert {path.name for path in before} >= {"checkpoint.pt", "log.jsonl", "photos.npy"}
    assert run_nano(CONFIG, run_folder)
    assert files_of(run_folder) == before


def test_a_bank_is_the_same_bytes_however_it_was_built(run_folder, tmp_path):
    config = replace(CONFIG.bank, processes=2)
    assert build_bank(tmp_path / "bank", config)
    ours, other = open_bank(run_folder / "bank", CONFIG.bank), open_bank(tmp_path / "bank", config)
    assert all(np.array_equal(ours[f].fields, other[f].fields) for f in ours)
    assert all(np.array_equal(ours[f].photo, other[f].photo) for f in ours)


def test_another_bank_is_not_overwritten(run_folder):
    with pytest.raises(ValueError, match=r"holds another bank: seed is 1, asked for 99.* remove .*bank"):
        build_bank(run_folder / "bank", replace(CONFIG.bank, seed=99))


def test_more_photographs_than_there_are_is_a_sentence_and_no_crash(run_folder):
    more = replace(CONFIG, photos=replace(CONFIG.photos, count=64))
    with pytest.raises(ValueError, match=r"another set of photographs: count is 16, asked for 64.* remove .*photos"):
        run_nano(more, run_folder, ("bank",))


def test_photographs_of_an_earlier_version_are_known_by_their_number(run_folder, tmp_path):
    folder = copy_of(run_folder, tmp_path, "photos")
    (folder / "photos" / "photos.json").unlink()
    with pytest.raises(ValueError, match="count is 16, asked for 64"):
        build_photos(folder / "photos", replace(CONFIG.photos, count=64))
    (folder / "photos" / "photos.json").unlink()
    with pytest.raises(ValueError, match="snapshots is None, asked for"):
        build_photos(folder / "photos", replace(CONFIG.photos, snapshots=0.5))  # they were of scenes only
    (folder / "photos" / "photos.json").unlink()
    assert build_photos(folder / "photos", replace(CONFIG.photos, snapshots=0.0))


@pytest.mark.parametrize(
    ("stage", "parts", "says"),
    [
        ("motion_vae", (), "no clip bank"),
        ("relief", (), "no clip bank"),
        ("single_dit", ("bank",), r"finished Motion VAE; .* 0 of 4 steps"),
        ("single_dit", ("bank", "motion_vae"), r"relief by a finished model; .* 0 of 4 steps"),
        ("product_mask", ("bank",), "no photographs"),
    ],
)
def test_a_stage_without_what_it_learns_from_is_refused(run_folder, tmp_path, stage, parts, says):
    folder = copy_of(run_folder, tmp_path, *parts)
    before = files_of(folder)
    with pytest.raises(ValueError, match=says):
        run_nano(CONFIG, folder, (stage,))
    assert files_of(folder) == before


def test_the_single_dit_does_not_learn_on_an_unfinished_motion_vae(run_folder, tmp_path):
    folder = copy_of(run_folder, tmp_path, "bank", "motion_vae")
    longer = replace(CONFIG, vae=replace(CONFIG.vae, steps=6))
    with pytest.raises(ValueError, match=r"finished Motion VAE; .* 4 of 6 steps"):
        run_nano(longer, folder, ("single_dit",))


@pytest.mark.parametrize(
    ("stage", "loop", "says"), [("motion_vae", "vae", "finished Motion VAE"), ("relief", "relief", "finished model")]
)
def test_a_stage_of_no_steps_that_began_at_nothing_is_not_learnt_on(run_folder, tmp_path, stage, loop, says):
    folder = copy_of(run_folder, tmp_path, "bank", *({"motion_vae", "relief"} - {stage}))
    none = replace(CONFIG, **{loop: replace(getattr(CONFIG, loop), steps=0)})
    with pytest.raises(ValueError, match=rf"{says}; .* 0 of 0 steps"):
        run_nano(none, folder, ("single_dit",))


@pytest.mark.parametrize(("held", "missing"), [(None, "disparity.npy"), (2, "round.npy")])
def test_a_bank_from_before_the_relief_is_another_bank(run_folder, tmp_path, held, missing):
    folder = copy_of(run_folder, tmp_path, "bank")
    noted = folder / "bank" / "bank.json"
    noted.write_text(json.dumps(json.loads(noted.read_text()) | {"holds": held}))
    (folder / "bank" / "1x1" / missing).unlink()
    for stage in ("bank", "relief"):
        with pytest.raises(ValueError, match=f"holds another bank: holds is {held}, asked for 3"):
            run_nano(CONFIG, folder, (stage,))
    assert not (folder / "bank" / "1x1" / missing).exists()


def test_a_bank_with_a_missing_chunk_is_not_learnt_from(run_folder, tmp_path):
    folder = copy_of(run_folder, tmp_path, "bank")
    (folder / "bank" / "1x1" / "chunks" / "000000.json").unlink()
    with pytest.raises(ValueError, match=r"not whole: 1 chunks are missing"):
        run_nano(CONFIG, folder, ("motion_vae",))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"hidden": 128, "heads": 2}, r"modules\.single_dit\.hidden is 64, asked for 128"),
        ({"extra_captions": 9}, r"data\.extra_captions is 4, asked for 9"),
        ({"dit": replace(CONFIG.dit, learning_rate=0.5)}, r"loop\.learning_rate is 0\.001, asked for 0\.5"),
    ],
)
def test_a_stage_does_not_go_on_under_another_recipe(run_folder, change, says):
    with pytest.raises(ValueError, match=says):
        run_nano(replace(CONFIG, **change), run_folder, ("single_dit",))


def test_the_minutes_bound_every_stage(tmp_path):
    assert run_nano(CONFIG, tmp_path, minutes=0) is False
    assert not list(tmp_path.rglob("chunks/*")) and not list(tmp_path.rglob("checkpoint.pt"))


def test_a_call_whose_minutes_are_over_stops_after_a_chunk_and_the_next_goes_on(tmp_path, monkeypatch):
    config, marks = replace(CONFIG.photos, count=CHUNK * 4), tmp_path / "chunks"
    monkeypatch.setattr("trainer.chunks.time", SimpleNamespace(monotonic=lambda: len(list(marks.glob("[0-9]*")))))
    assert build_photos(tmp_path, config, deadline=1) is False
    done = len(list(marks.glob("[0-9]*")))
    assert 1 <= done < 4
    with pytest.raises(ValueError, match=rf"lack {4 - done} chunks"):
        open_photos(tmp_path, config)


def test_latents_stop_after_a_batch_and_go_on_to_the_same_bits(run_folder, tmp_path, monkeypatch):
    folder = copy_of(run_folder, tmp_path, "bank", "motion_vae")
    banks, vae = open_bank(folder / "bank", CONFIG.bank), finished_vae(CONFIG, folder)
    marks = folder / "latents" / "chunks"
    monkeypatch.setattr("trainer.motion_latents.time", SimpleNamespace(monotonic=lambda: len(list(marks.glob("*")))))
    assert encode_bank(CONFIG, folder, banks, vae, deadline=2) is False
    assert len(list(marks.glob("*"))) == 2
    assert encode_bank(CONFIG, folder, banks, vae)
    for name in ("9x16", "1x1", "4x5", "16x9"):
        assert np.array_equal(*(np.load(home / "latents" / f"{name}.npy") for home in (folder, run_folder)))
    statistics = [torch.load(home / "latents" / "statistics.pt") for home in (folder, run_folder)]
    assert all(torch.equal(statistics[0][key], statistics[1][key]) for key in ("mean", "std"))


# Ends itself without any clean-up after step 3: step 2 is saved, step 4 would be the next.
KILLED = """
import os, signal, sys
import trainer.loop
from trainer.__main__ import main

step = trainer.loop._train_step

def until(run, *rest):
    if run.step == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(run, *rest)

trainer.loop._train_step = until
main(["run", "nano_smoke", "--out", sys.argv[1], "--stage", "single_dit"])
"""


def test_a_run_that_was_killed_ends_with_the_same_bits(run_folder, tmp_path):
    folder = copy_of(run_folder, tmp_path, "bank", "motion_vae", "relief", "latents", "tokenizer.json")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder)], cwd=ROOT, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert single_dit_run(CONFIG, folder).step == 2
    assert run_nano(CONFIG, folder, ("single_dit",))
    ours, whole = (torch.load(home / "single_dit" / "checkpoint.pt") for home in (folder, run_folder))
    for part in ("net", "average"):
        assert ours[part].keys() == whole[part].keys()
        assert all(torch.equal(ours[part][key], whole[part][key]) for key in whole[part])
    logs = [[{**row, "time": 0} for row in single_dit_run(CONFIG, home).log.rows()] for home in (folder, run_folder)]
    assert logs[0] == logs[1]


# --- export ---


def test_a_bundle_is_not_written_over_another(run_folder, bundle):
    with pytest.raises(ValueError, match="not empty"):
        export_nano(CONFIG, run_folder, bundle, version="0", command="test")


PARTS = ("bank", "motion_vae", "relief", "single_dit", "product_mask", "latents", "tokenizer.json")


def test_a_folder_that_holds_no_run_is_not_exported_and_nothing_is_left(tmp_path):
    assert main(["export", "nano_smoke", "--out", str(tmp_path / "rnu"), "--bundle", str(tmp_path / "bundle")]) == 2
    with pytest.raises(ValueError, match="no run in"):
        export_nano(CONFIG, tmp_path / "rnu", tmp_path / "bundle", version="0", command="test")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        ("product_mask", "not trained: product_mask has 0 of 2 steps"),
        ("single_dit", "not trained: single_dit has 0 of 4 steps"),
        ("relief", "not trained: relief has 0 of 4 steps"),
        ("tokenizer.json", r"lacks tokenizer\.json"),
        ("latents", r"lacks latents/statistics\.pt"),
    ],
)
@pytest.mark.parametrize("unfinished", [False, True])
def test_an_untrained_stage_is_not_exported(run_folder, tmp_path, missing, says, unfinished):
    folder = copy_of(run_folder, tmp_path, *(part for part in PARTS if part not in ("bank", missing)))
    before = files_of(tmp_path)
    with pytest.raises(ValueError, match=says):
        export_nano(CONFIG, folder, tmp_path / "bundle", version="0", command="test", unfinished=unfinished)
    assert files_of(tmp_path) == before and not (tmp_path / "bundle").exists()


def test_a_stage_that_stopped_early_is_exported_only_when_asked_and_the_bundle_says_so(run_folder, tmp_path):
    planned = replace(CONFIG, dit=replace(CONFIG.dit, steps=9))
    with pytest.raises(ValueError, match="not finished: single_dit has 4 of 9 steps"):
        export_nano(planned, run_folder, tmp_path / "bundle", version="0", command="test")
    assert list(tmp_path.iterdir()) == []
    made = export_nano(planned, run_folder, tmp_path / "bundle", version="0", command="test", unfinished=True)
    assert made.provenance["unfinished"] == ["single_dit"]
    stage = made.provenance["stages"]["single_dit"]
    assert (stage["steps"], stage["of"]) == (4, 9)
    assert "Not trained to its end**: single_dit" in (made.path / "README.md").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize(
    ("stage", "loop", "noted"), [("motion_vae", "vae", "latents_of"), ("relief", "relief", "relief_of")]
)
def test_what_the_single_dit_learnt_on_is_not_exchanged_for_another_of_as_many_steps(
    run_folder, tmp_path, stage, loop, noted
):
    folder = copy_of(run_folder, tmp_path, *PARTS)
    shutil.rmtree(folder / stage)
    other = replace(CONFIG, **{loop: replace(getattr(CONFIG, loop), learning_rate=5e-4)})
    assert run_nano(other, folder, (stage,))
    with pytest.raises(ValueError, match=rf"data\.{noted} is sha256"):
        run_nano(other, folder, ("single_dit",))
    with pytest.raises(ValueError, match=rf"data\.{noted} is sha256"):
        export_nano(other, folder, tmp_path / "bundle", version="0", command="test")
    assert not (tmp_path / "bundle").exists()


def test_latents_of_another_motion_vae_of_as_many_steps_are_not_learnt_from(run_folder, tmp_path):
    folder = copy_of(run_folder, tmp_path, "bank", "relief", "latents", "tokenizer.json")
    other = replace(CONFIG, vae=replace(CONFIG.vae, learning_rate=5e-4))
    assert run_nano(other, folder, ("motion_vae",))
    with pytest.raises(ValueError, match="holds another set of latents: vae is sha256"):
        run_nano(other, folder, ("single_dit",))


def test_a_run_from_before_digests_were_noted_is_exported(run_folder, tmp_path):
    folder = copy_of(run_folder, tmp_path, *PARTS)
    path, claimed = folder / "single_dit" / "checkpoint.pt", folder / "latents" / "latents.json"
    state = torch.load(path, weights_only=True)
    assert all(state["recipe"]["data"].pop(name).startswith("sha256:") for name in ("latents_of", "relief_of"))
    torch.save(state, path)
    claimed.write_text(
        json.dumps({key: value for key, value in json.loads(claimed.read_text()).items() if key != "vae"})
    )
    assert run_nano(CONFIG, folder, ("single_dit",))
    assert export_nano(CONFIG, folder, tmp_path / "bundle", version="0", command="test").path.exists()


def test_an_export_that_fails_leaves_nothing(run_folder, tmp_path, monkeypatch):
    def fails(*args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr("trainer.bundling.write_bundle", fails)
    (tmp_path / "bundle").mkdir()
    with pytest.raises(OSError, match="no space"):
        export_nano(CONFIG, run_folder, tmp_path / "bundle", version="0", command="test")
    assert [path.name for path in tmp_path.rglob("*")] == ["bundle"]


def test_a_bundle_says_how_it_was_made(run_folder, tmp_path):
    arguments = ["export", "nano_smoke", "--out", str(run_folder), "--bundle", str(tmp_path / "b"), "--version", "1.2"]
    assert main(arguments) == 0
    made = read_bundle(tmp_path / "b")
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=ROOT).stdout.strip()
    assert made.version == "1.2"
    assert made.provenance["commit"] == (head or "unknown") and "dirty" in made.provenance
    assert made.provenance["seed"] == CONFIG.seed and made.provenance["unfinished"] == []
    for stage in made.provenance["stages"].values():
        assert stage["steps"] == stage["of"] and stage["losses"]["loss"] > 0
    run, export = (shlex.split(command) for command in made.provenance["command"].split("&&"))
    assert run[:3] == export[:3] == ["python", "-m", "trainer"]
    assert _parser().parse_args(run[3:]).out == _parser().parse_args(export[3:]).out
    assert _parser().parse_args(export[3:]).version == "1.2"


def test_the_mask_of_another_run_is_exported_with_the_settings_that_made_it(run_folder, bundle, tmp_path):
    other, settings = tmp_path / "other", ["bank.scenes=1", "photos.count=8", "mask.learning_rate=0.02"]
    stages = ["--stage", "bank", "--stage", "product_mask", *(word for one in settings for word in ("--set", one))]
    assert main(["run", "nano_smoke", "--out", str(other), *stages]) == 0
    options = ["--out", str(run_folder), "--mask", str(other), "--bundle", str(tmp_path / "made")]
    assert main(["export", "nano_smoke", *options]) == 0
    made = read_bundle(tmp_path / "made")
    assert made.provenance["stages"]["product_mask"]["settings"] == settings
    assert made.provenance["stages"]["product_mask"]["config"]["photos"]["count"] == 8
    name = "product_mask.safetensors"
    assert (made.path / name).read_bytes() != (bundle / name).read_bytes(), "the run's own mask was taken"
    for name in ("single_dit.safetensors", "motion_vae.safetensors"):
        assert (made.path / name).read_bytes() == (bundle / name).read_bytes()
    options = [*options[:2], "--mask", str(made.path), "--bundle", str(tmp_path / "kept")]
    assert main(["export", "nano_smoke", *options]) == 0
    kept = read_bundle(tmp_path / "kept")
    assert kept.files["product_mask.safetensors"] == made.files["product_mask.safetensors"]
    told = made.provenance["stages"]["product_mask"] | {"kept_from": made.digest}
    assert kept.provenance["stages"]["product_mask"] == told
    exchanged = ["--out", str(bundle), "--mask", str(other), "--bundle", str(tmp_path / "exchanged")]
    assert main(["export", "nano_smoke", *exchanged]) == 0
    second = read_bundle(tmp_path / "exchanged")
    for name in made.files:
        same = second.files[name] == made.files[name]
        assert same or name == "README.md", f"{name} is another than when the run itself was exported"
    assert second.provenance["kept_from"] == read_bundle(bundle).digest
    assert second.provenance["stages"] == made.provenance["stages"]
    assert second.capabilities == made.capabilities and second.kinds == made.kinds
    refused = ["export", "nano_smoke", "--out", str(bundle), "--bundle", str(tmp_path / "none")]
    assert main(refused) == 2, "nothing is exchanged"
    assert main([*refused, "--mask-share", "0.5"]) == 2
    assert main([*refused, "--mask", str(other), "--set", "mask.steps=2"]) == 2, "its settings stay"
    assert main([*refused, "--mask", str(other), "--mask-share", "0.5"]) == 2, "it began at nothing"
    assert not (tmp_path / "none").exists()
    _as_if_derived(made.path, unfinished=["product_mask"])
    silent = export_nano(CONFIG, run_folder, tmp_path / "silent", version="0", command="test", mask=made.path)
    assert silent.provenance["unfinished"] == ["product_mask"]
    (made.path / "product_mask.safetensors").unlink()
    _as_if_derived(made.path)
    with pytest.raises(ValueError, match="has no file product_mask"):
        export_nano(CONFIG, run_folder, tmp_path / "b", version="0", command="test", mask=made.path)
    with pytest.raises(ValueError, match="no recorded run of nano"):
        export_nano(CONFIG, run_folder, tmp_path / "b", version="0", command="test", mask=tmp_path / "nothing")
    assert main(["export", "tiny_video_smoke", "--out", str(other), "--mask", str(other), "--bundle", "b"]) == 2


def test_a_bundle_gets_the_relief_of_another_run(run_folder, bundle, tmp_path):
    other, settings = tmp_path / "other", ["relief.learning_rate=0.002"]
    stages = ["--stage", "bank", "--stage", "relief", *(word for one in settings for word in ("--set", one))]
    assert main(["run", "nano_smoke", "--out", str(other), *stages]) == 0
    asked = ["export", "nano_smoke", "--out", str(bundle), "--relief", str(other), "--version", "2"]
    asked += ["--set", "sampling.temperature=0.7"]
    assert main([*asked, "--bundle", str(tmp_path / "made")]) == 0
    made, before = read_bundle(tmp_path / "made"), read_bundle(bundle)
    changed = {name for name in made.files if made.files[name] != before.files.get(name)}
    assert changed == {"relief.safetensors", "README.md"} and set(made.files) == set(before.files)
    told = made.provenance["stages"]["relief"]
    assert (told["steps"], told["settings"], made.provenance["kept_from"]) == (4, settings, before.digest)
    assert "--relief RELIEF" in made.provenance["command"]
    assert made.provenance["command"].endswith("--set sampling.temperature=0.7")
    assert made.capabilities["sampling"] == before.capabilities["sampling"] | {"temperature": 0.7}
    Engine(made).close()
    assert main(["export", "tiny_video_smoke", "--out", str(bundle), "--bundle", str(tmp_path / "none")]) == 2
    for words in (["--mask", str(other)], ["--out", str(run_folder)], ["--relief", str(tmp_path / "nothing")]):
        assert main([*asked, *words, "--bundle", str(tmp_path / "none")]) == 2, words
    assert not (tmp_path / "none").exists()


def test_a_mask_is_taken_a_part_of_the_way_from_where_it_began(bundle, tmp_path):
    start, tuned = tmp_path / "start", tmp_path / "tuned"
    shutil.copytree(bundle, start)
    stages = ["--stage", "bank", "--stage", "product_mask", "--set", "bank.scenes=1", "--set", "mask.learning_rate=1"]
    assert main(["run", "nano_smoke", "--out", str(tuned), "--from", str(start), *stages]) == 0
    made = {}
    for share in ("1", "0.25"):
        asked = ["--mask", str(tuned), "--bundle", str(tmp_path / share), "--mask-share", share]
        assert main(["export", "nano_smoke", "--out", str(bundle), *asked]) == 0
        made[share] = load_file(tmp_path / share / "product_mask.safetensors")
    begun = load_file(bundle / "product_mask.safetensors")
    for key, value in made["0.25"].items():
        wanted = begun[key].float().lerp(made["1"][key].float(), 0.25)
        torch.testing.assert_close(value.float(), wanted, atol=2e-2, rtol=2e-2)
    moved = sum((made["1"][key].float() - begun[key].float()).abs().sum() for key in begun)
    part = sum((made["0.25"][key].float() - begun[key].float()).abs().sum() for key in begun)
    assert 0.15 < part / moved < 0.35
    told = read_bundle(tmp_path / "0.25").provenance
    assert told["stages"]["product_mask"]["share"] == 0.25 and "--mask-share 0.25" in told["command"]
    assert "no photographs" not in told["data"], "nobody knows what its start has learnt from"
    manifest = start / "bundle.json"
    manifest.write_text(manifest.read_text().replace('"version": "0"', '"version": "1"'))
    asked = ["--mask", str(tuned), "--bundle", str(tmp_path / "late"), "--mask-share", "0.25"]
    assert main(["export", "nano_smoke", "--out", str(bundle), *asked]) == 2, "the start is another now"


def _as_if_derived(folder, **provenance):
    """The manifest of what lies there now, telling nothing of the stages that made it."""
    manifest = json.loads((folder / "bundle.json").read_text())
    kept = {key: manifest[key] for key in ("name", "version", "kinds", "capabilities")}
    write_bundle(folder, **kept, provenance=provenance)


def test_photo_to_video(engine, photo, tmp_path):
    events = []
    made = engine.generate(REQUEST, photo, tmp_path / "out.mp4", on_event=events.append)
    video = probe_video(made.path)
    assert (video.width, video.height, video.frames) == (540, 960, 72)
    assert made.model == read_bundle(engine.bundle.path).identity
    assert made.settings["seed"] == 5 and made.settings["decided_by"] == {"camera": "control", "subject": "model"}
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert any(isinstance(event, Preview) and event.jpeg[:2] == b"\xff\xd8" for event in events)


def test_the_same_seed_makes_the_same_file_and_another_does_not(engine, photo, tmp_path):
    a, b, c = (tmp_path / f"{name}.mp4" for name in "abc")
    first = engine.generate(REQUEST, photo, a)
    second = engine.generate(REQUEST, photo, b)
    assert first.settings == second.settings
    assert a.read_bytes() == b.read_bytes()
    engine.generate(REQUEST.model_copy(update={"seed": 6}), photo, c)
    assert c.read_bytes() != a.read_bytes()


@pytest.mark.parametrize("after", [0, 2, 20])
def test_cancel_ends_within_a_step_and_leaves_no_file(engine, photo, tmp_path, after):
    asked = []

    def is_canceled():
        asked.append(None)
        return len(asked) > after

    with pytest.raises(Canceled):
        engine.generate(REQUEST, photo, tmp_path / "out.mp4", is_canceled=is_canceled)
    assert len(asked) == after + 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photo.png"]


def test_no_seed_is_chosen_and_told(engine, photo, tmp_path):
    request = REQUEST.model_copy(update={"seed": None})
    seeds = {engine.generate(request, photo, tmp_path / "o.mp4").settings["seed"] for _ in range(2)}
    assert len(seeds) == 2


def test_a_long_prompt_is_read_from_its_beginning_and_told(engine, photo, tmp_path):
    made = engine.generate(REQUEST.model_copy(update={"prompt": "slowly " * 250}), photo, tmp_path / "o.mp4")
    assert [n.code for n in made.notices if n.code == "prompt_cut"] == ["prompt_cut"]


def test_a_bundle_of_another_kind_is_refused(bundle, tmp_path):
    manifest = json.loads((bundle / "bundle.json").read_text()) | {"kinds": ["text"]}
    for path in bundle.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="does not make videos"):
        Engine.load(tmp_path)
