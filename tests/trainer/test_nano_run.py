"""The nano recipe, every stage for real at a small size, from nothing to a bundle that makes a video."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from engine.bundles import BundleError, read_bundle
from engine.events import Canceled, Preview, Progress
from engine.generate import Engine
from engine.media.video import probe_video
from engine.requests import Camera, ImageToVideo
from trainer.data import build_bank, open_bank
from trainer.export import export_nano
from trainer.nano import run_nano
from trainer.recipes.nano import nano_smoke

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


def test_a_finished_run_does_nothing_again(run_folder):
    before = {path: path.stat().st_mtime_ns for path in run_folder.rglob("*.npy")}
    assert run_nano(CONFIG, run_folder)
    assert {path: path.stat().st_mtime_ns for path in run_folder.rglob("*.npy")} == before


def test_a_bank_is_the_same_bytes_however_it_was_built(run_folder, tmp_path):
    build_bank(tmp_path / "bank", replace(CONFIG.bank, processes=2))
    ours, other = open_bank(run_folder / "bank"), open_bank(tmp_path / "bank")
    assert all(np.array_equal(ours[f].fields, other[f].fields) for f in ours)
    assert all(np.array_equal(ours[f].photo, other[f].photo) for f in ours)


def test_another_bank_is_not_overwritten(run_folder):
    with pytest.raises(ValueError, match="another bank"):
        build_bank(run_folder / "bank", replace(CONFIG.bank, seed=99))


def test_a_bundle_is_not_written_over_another(run_folder, bundle):
    with pytest.raises(ValueError, match="not empty"):
        export_nano(CONFIG, run_folder, bundle, version="0", command="test")


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


def test_weights_are_cast_once(engine):
    assert {p.dtype for p in engine.dit.parameters()} == {torch.float32}
