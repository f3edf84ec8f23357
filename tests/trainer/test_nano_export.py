"""A run of the nano recipe becomes a whole bundle that says how it was made, and that makes a video; or none."""

import json
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.bundles import SHIPPED, BundleError, read_bundle, write_bundle
from engine.events import Canceled, Preview, Progress
from engine.generate import Engine
from engine.media.video import probe_video
from engine.requests import Camera, ImageToVideo
from tests.trainer.nano_run import CONFIG, copy_of, files_of
from trainer.__main__ import _parser, main
from trainer.export import export_nano
from trainer.nano import run_nano

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bundle(nano_run, tmp_path_factory):
    return export_nano(CONFIG, nano_run, tmp_path_factory.mktemp("out") / "bundle", version="0", command="test").path


@pytest.fixture(scope="module")
def engine(bundle):
    return Engine.load(bundle)


def test_a_bundle_is_not_written_over_another(nano_run, bundle):
    with pytest.raises(ValueError, match="not empty"):
        export_nano(CONFIG, nano_run, bundle, version="0", command="test")


PARTS = ("bank", "motion_vae", "relief", "roundness", "single_dit", "product_mask", "latents", "tokenizer.json")


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
        ("roundness", "not trained: roundness has 0 of 4 steps"),
        ("tokenizer.json", r"lacks tokenizer\.json"),
        ("latents", r"lacks latents/statistics\.pt"),
    ],
)
@pytest.mark.parametrize("unfinished", [False, True])
def test_an_untrained_stage_is_not_exported(nano_run, tmp_path, missing, says, unfinished):
    folder = copy_of(nano_run, tmp_path, *(part for part in PARTS if part not in ("bank", missing)))
    before = files_of(tmp_path)
    with pytest.raises(ValueError, match=says):
        export_nano(CONFIG, folder, tmp_path / "bundle", version="0", command="test", unfinished=unfinished)
    assert files_of(tmp_path) == before and not (tmp_path / "bundle").exists()


def test_a_stage_that_stopped_early_is_exported_only_when_asked_and_the_bundle_says_so(nano_run, tmp_path):
    planned = replace(CONFIG, dit=replace(CONFIG.dit, steps=9))
    with pytest.raises(ValueError, match="not finished: single_dit has 4 of 9 steps"):
        export_nano(planned, nano_run, tmp_path / "bundle", version="0", command="test")
    assert list(tmp_path.iterdir()) == []
    made = export_nano(planned, nano_run, tmp_path / "bundle", version="0", command="test", unfinished=True)
    assert made.provenance["unfinished"] == ["single_dit"]
    stage = made.provenance["stages"]["single_dit"]
    assert (stage["steps"], stage["of"]) == (4, 9)
    assert "Not trained to its end**: single_dit" in (made.path / "README.md").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize(
    ("stage", "loop", "noted"), [("motion_vae", "vae", "latents_of"), ("relief", "relief", "relief_of")]
)
def test_what_the_single_dit_learnt_on_is_not_exchanged_for_another_of_as_many_steps(
    nano_run, tmp_path, stage, loop, noted
):
    folder = copy_of(nano_run, tmp_path, *PARTS)
    shutil.rmtree(folder / stage)
    other = replace(CONFIG, **{loop: replace(getattr(CONFIG, loop), learning_rate=5e-4)})
    assert run_nano(other, folder, (stage,))
    with pytest.raises(ValueError, match=rf"data\.{noted} is sha256"):
        run_nano(other, folder, ("single_dit",))
    with pytest.raises(ValueError, match=rf"data\.{noted} is sha256"):
        export_nano(other, folder, tmp_path / "bundle", version="0", command="test")
    assert not (tmp_path / "bundle").exists()


def test_a_run_from_before_digests_were_noted_is_exported(nano_run, tmp_path):
    folder = copy_of(nano_run, tmp_path, *PARTS)
    path, claimed = folder / "single_dit" / "checkpoint.pt", folder / "latents" / "latents.json"
    state = torch.load(path, weights_only=True)
    assert all(state["recipe"]["data"].pop(name).startswith("sha256:") for name in ("latents_of", "relief_of"))
    torch.save(state, path)
    claimed.write_text(
        json.dumps({key: value for key, value in json.loads(claimed.read_text()).items() if key != "vae"})
    )
    assert run_nano(CONFIG, folder, ("single_dit",))
    assert export_nano(CONFIG, folder, tmp_path / "bundle", version="0", command="test").path.exists()


def test_an_export_that_fails_leaves_nothing(nano_run, tmp_path, monkeypatch):
    def fails(*args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr("trainer.bundling.write_bundle", fails)
    (tmp_path / "bundle").mkdir()
    with pytest.raises(OSError, match="no space"):
        export_nano(CONFIG, nano_run, tmp_path / "bundle", version="0", command="test")
    assert [path.name for path in tmp_path.rglob("*")] == ["bundle"]


def test_a_bundle_says_how_it_was_made(nano_run, tmp_path):
    arguments = ["export", "nano_smoke", "--out", str(nano_run), "--bundle", str(tmp_path / "b"), "--version", "1.2"]
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


def test_the_mask_of_another_run_is_exported_with_the_settings_that_made_it(nano_run, bundle, tmp_path):
    other, settings = tmp_path / "other", ["bank.scenes=1", "photos.count=8", "mask.learning_rate=0.02"]
    stages = ["--stage", "bank", "--stage", "product_mask", *(word for one in settings for word in ("--set", one))]
    assert main(["run", "nano_smoke", "--out", str(other), *stages]) == 0
    options = ["--out", str(nano_run), "--mask", str(other), "--bundle", str(tmp_path / "made")]
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
    silent = export_nano(CONFIG, nano_run, tmp_path / "silent", version="0", command="test", mask=made.path)
    assert silent.provenance["unfinished"] == ["product_mask"]
    (made.path / "product_mask.safetensors").unlink()
    _as_if_derived(made.path)
    with pytest.raises(ValueError, match="has no file product_mask"):
        export_nano(CONFIG, nano_run, tmp_path / "b", version="0", command="test", mask=made.path)
    with pytest.raises(ValueError, match="no recorded run of nano"):
        export_nano(CONFIG, nano_run, tmp_path / "b", version="0", command="test", mask=tmp_path / "nothing")
    assert main(["export", "tiny_video_smoke", "--out", str(other), "--mask", str(other), "--bundle", "b"]) == 2


@pytest.mark.parametrize(("sight", "needs"), [("relief", ["bank"]), ("roundness", [])])
def test_a_bundle_gets_what_another_run_has_learnt_to_see(nano_run, bundle, tmp_path, sight, needs):
    other, settings = tmp_path / "other", [f"{sight}.learning_rate=0.002"]
    stages = [word for stage in (*needs, sight) for word in ("--stage", stage)]
    assert main(["run", "nano_smoke", "--out", str(other), *stages, "--set", *settings]) == 0
    asked = ["export", "nano_smoke", "--out", str(bundle), f"--{sight}", str(other), "--version", "2"]
    asked += ["--set", "sampling.temperature=0.7"]
    assert main([*asked, "--bundle", str(tmp_path / "made")]) == 0
    made, before = read_bundle(tmp_path / "made"), read_bundle(bundle)
    changed = {name for name in made.files if made.files[name] != before.files.get(name)}
    assert changed == {f"{sight}.safetensors", "README.md"} and set(made.files) == set(before.files)
    told = made.provenance["stages"][sight]
    assert (told["steps"], told["settings"], made.provenance["kept_from"]) == (4, settings, before.digest)
    assert f"--{sight} {sight.upper()}" in made.provenance["command"]
    assert made.provenance["command"].endswith("--set sampling.temperature=0.7")
    assert made.capabilities["sampling"] == before.capabilities["sampling"] | {"temperature": 0.7}
    Engine(made).close()
    again = [
        *asked[:3],
        str(bundle),
        f"--{sight}",
        str(made.path),
        "--version",
        "2",
        "--bundle",
        str(tmp_path / "kept"),
    ]
    assert main(again) == 0, "of a bundle"
    kept = read_bundle(tmp_path / "kept")
    assert {name for name in kept.files if kept.files[name] != made.files[name]} <= {"README.md"}
    assert kept.provenance["stages"][sight] == told | {"kept_from": made.digest}
    assert main(["export", "tiny_video_smoke", "--out", str(bundle), "--bundle", str(tmp_path / "none")]) == 2
    for words in (["--mask", str(other)], ["--out", str(nano_run)], [f"--{sight}", str(tmp_path / "nothing")]):
        assert main([*asked, *words, "--bundle", str(tmp_path / "none")]) == 2, words
    both = [*asked, "--relief", str(other), "--roundness", str(other)]
    assert main([*both, "--bundle", str(tmp_path / "none")]) == 2
    assert not (tmp_path / "none").exists()


def test_a_bundle_whose_relief_told_the_roundness_too_gets_a_model_of_its_own_for_it(bundle, tmp_path):
    before, run = tmp_path / "before", str(tmp_path / "run")
    shutil.copytree(bundle, before)
    for name in ("roundness.json", "roundness.safetensors"):
        (before / name).unlink()
    weights = load_file(before / "relief.safetensors")
    save_file(weights | {"roundness.bias": torch.zeros(1)}, before / "relief.safetensors")
    _as_if_derived(before, **read_bundle(bundle).provenance)
    with pytest.raises(BundleError, match=r"how round a product is.* --roundness "):
        Engine.load(before)
    assert main(["run", "nano_smoke", "--out", run, "--stage", "roundness"]) == 0
    asked = ["--roundness", run, "--bundle", str(tmp_path / "made")]
    assert main(["export", "nano_smoke", "--out", str(before), *asked]) == 0
    Engine.load(tmp_path / "made").close()
    assert load_file(tmp_path / "made" / "relief.safetensors").keys() == weights.keys()
    asked = ["--relief", str(before), "--bundle", str(tmp_path / "relief")]
    assert main(["export", "nano_smoke", "--out", str(bundle), *asked]) == 0, "its relief is another bundle's"
    Engine.load(tmp_path / "relief").close()
    asked = ["--roundness", str(before), "--bundle", str(tmp_path / "none")]
    assert main(["export", "nano_smoke", "--out", str(bundle), *asked]) == 2, "which has none"


def test_an_older_bundle_gets_the_shipped_ones_roundness_as_the_engine_says(tmp_path):
    before, new = tmp_path / "before", tmp_path / "new"
    shutil.copytree(SHIPPED, before)
    for name in ("roundness.json", "roundness.safetensors"):
        (before / name).unlink()
    _as_if_derived(before, stages={}, unfinished=["roundness"], commit="?", dirty=False, seed=0, torch="?", data="?")
    with pytest.raises(BundleError) as told:
        Engine.load(before)
    places = {"BUNDLE": before, "NEW": new, "engine/bundled/aquarius-nano": SHIPPED, "V": "0.8.1"}
    (words,) = [words for words in str(told.value).split("`") if "--roundness" in words]
    assert main([str(places.get(word, word)) for word in shlex.split(words)[3:]]) == 0
    made, shipped = read_bundle(new), read_bundle(SHIPPED)
    assert made.files["roundness.safetensors"] == shipped.files["roundness.safetensors"] and made.version == "0.8.1"
    assert made.provenance["stages"]["roundness"]["kept_from"] == shipped.digest
    assert made.provenance["unfinished"] == []
    Engine(made).close()


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


# --- what the bundle makes ---


@pytest.fixture
def photo(tmp_path):
    y, x = np.mgrid[0:400, 0:300]
    image = np.stack([x % 256, y % 256, (x + y) % 256], -1).astype(np.uint8)
    cv2.rectangle(image, (100, 120), (200, 320), (20, 30, 200), -1)
    cv2.imwrite(str(tmp_path / "photo.png"), image)
    return tmp_path / "photo.png"


REQUEST = ImageToVideo(seconds=3, short_side=540, steps=4, seed=5, camera=Camera(move="pan-left"))


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
