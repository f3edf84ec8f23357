"""The recipe of the Motion VAE alone: nano's own stage, and a run of nano that begins at it and becomes a bundle."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engine.bundles import SHIPPED, read_bundle
from engine.generate import Engine
from engine.media.video import probe_video
from engine.requests import ImageToVideo
from trainer.__main__ import main
from trainer.checkpoint import read_average
from trainer.nano import run_nano
from trainer.recipes.motion_vae import motion_vae
from trainer.recipes.nano import nano, nano_smoke


def call(*words: object) -> int:
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("motion_vae") / "run"
    assert call("run", "motion_vae_smoke", "--out", folder) == 0
    return folder


@pytest.fixture(scope="module")
def of_nano(trained, tmp_path_factory) -> Path:
    """A run of nano on the same bank that takes the Motion VAE as it is."""
    folder = tmp_path_factory.mktemp("nano") / "run"
    shutil.copytree(trained / "bank", folder / "bank")
    stages = [word for stage in ("motion_vae", "relief", "roundness", "single_dit") for word in ("--stage", stage)]
    assert call("run", "nano_smoke", "--from", trained, "--set", "vae.steps=0", "--out", folder, *stages) == 0
    return folder


def test_it_is_the_stage_of_nano(trained, tmp_path):
    shutil.copytree(trained / "bank", tmp_path / "bank")
    assert run_nano(nano_smoke(), tmp_path, ("motion_vae",))
    ours, theirs = (read_average(folder / "motion_vae") for folder in (trained, tmp_path))
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert motion_vae().of_nano.vae == nano().vae and motion_vae().bank == nano().bank
    assert {path.name for path in trained.iterdir()} == {"bank", "motion_vae", "record.json"}, "and nothing else"


def test_it_is_paused_gone_on_with_and_compared(trained, tmp_path, capsys):
    shutil.copytree(trained / "bank", tmp_path / "bank")
    assert call("run", "motion_vae_smoke", "--out", tmp_path, "--minutes", "0") == 3
    assert call("resume", tmp_path) == 0
    assert call("compare", trained, tmp_path) == 0
    assert "motion_vae: 4 steps are the same" in " ".join(capsys.readouterr().out.split())
    assert call("resume", tmp_path, "--set", "vae.steps=5") == 0
    assert call("resume", tmp_path, "--set", "vae.learning_rate=0.5") == 2
    assert "loop.learning_rate is 0.001, asked for 0.5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("dit.steps=5", "no setting dit.steps: the recipe has bank, linear_clips, seed, vae"),
        ("vae.validate_every=5", "The stage motion_vae has no held-out samples"),
        ("vae.batch=9", "A batch of the stage motion_vae takes 9 items, and there will be 8"),
    ],
)
def test_what_it_has_not_is_told(tmp_path, capsys, setting, says):
    assert call("run", "motion_vae_smoke", "--out", tmp_path, "--set", setting) == 2
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_it_alone_is_no_bundle(trained, tmp_path, capsys):
    assert call("export", "motion_vae_smoke", "--out", trained, "--bundle", tmp_path / "bundle") == 2
    said = capsys.readouterr().err
    assert "has 4 of 4 steps of it" in said and f"run nano --from {trained} --set vae.steps=0" in said
    assert call("export", "motion_vae_smoke", "--out", tmp_path / "none", "--bundle", tmp_path / "bundle") == 2
    assert "has none trained" in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()


def test_a_run_of_nano_begins_at_it_and_becomes_a_bundle(trained, of_nano, tmp_path):
    out = tmp_path / "bundle"
    assert call("export", "nano_smoke", "--out", of_nano, "--mask", SHIPPED, "--bundle", out) == 0
    bundle, average = read_bundle(out), read_average(trained / "motion_vae")
    weights = load_file(out / "motion_vae.safetensors")
    learnt = {name: value for name, value in weights.items() if not name.startswith("latent_")}
    assert all(torch.equal(average[f"motion_vae.{name}"].to(value), value) for name, value in learnt.items())
    shipped = load_file(SHIPPED / "motion_vae.safetensors")
    assert not all(torch.equal(shipped[name], value) for name, value in learnt.items()), "the control"
    assert bundle.provenance["stages"]["motion_vae"]["from"] and bundle.provenance["unfinished"] == []
    cv2.imwrite(str(tmp_path / "photo.png"), np.full((80, 60, 3), 90, np.uint8))
    asked = ImageToVideo(seconds=3, short_side=540, steps=4)
    Engine(bundle).generate(asked, tmp_path / "photo.png", tmp_path / "film.mp4")
    assert probe_video(tmp_path / "film.mp4").frames > 0


def test_a_run_of_nano_does_not_begin_at_a_motion_vae_that_learnt_nothing(trained, tmp_path, capsys):
    shutil.copytree(trained / "bank", tmp_path / "bank")
    words = ["--stage", "single_dit", "--set", "vae.steps=0", "--out", tmp_path]
    assert call("run", "nano_smoke", *words) == 2
    assert "has 0 of 0 steps" in capsys.readouterr().err
