"""A bundle that goes on learning from a folder of photos and clips."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.bundles import SHIPPED, read_bundle
from engine.media.video import write_frames
from tests.trainer.tiny_bundle import write_photos
from trainer.__main__ import main
from trainer.lora import flow_error, read_samples
from trainer.lora_bases import load_base
from trainer.recipes.sft import SftConfig, sft
from trainer.sft import export_sft, run_sft, transformer_run


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return write_photos(tmp_path_factory.mktemp("data") / "cup", 6)


def config_of(base: Path, photos: Path, steps: int) -> SftConfig:
    loop = replace(sft().loop, steps=steps, learning_rate=5e-3, warmup=2, ema=0.5, save_every=2, tensorboard=False)
    return replace(sft(), base=str(base), data=str(photos), prompt="a red cup", loop=loop)


def error_of(bundle: Path, photos: Path, samples: Path) -> float:
    """Flow error on the run's photos at fixed times with fixed noise."""
    base, found = load_base(config_of(bundle, photos, 1)), read_samples(samples)[:-1]
    generator = torch.Generator().manual_seed(9)
    noise = [torch.randn(sample.latents_CThw.shape, generator=generator) for sample in found]
    with torch.no_grad():
        errors = [flow_error(base, found, torch.full((6,), time), [False] * 6, noise) for time in (0.3, 0.6, 0.9)]
    return float(torch.stack(errors).mean())


def test_a_bundle_goes_on_learning_and_stays_a_bundle_of_its_kind(tiny_bundle, photos, tmp_path, capsys):
    errors = {}
    for name, rate in (("learnt", 5e-3), ("control", 1e-12)):
        words = [
            f"base={tiny_bundle}",
            f"data={photos}",
            "prompt=a red cup",
            "loop.steps=12",
            f"loop.learning_rate={rate}",
        ]
        words += ["loop.warmup=2", "loop.ema=0.5"]
        settings = [word for one in words for word in ("--set", one)]
        run, out = tmp_path / name, tmp_path / f"{name}-bundle"
        assert main(["run", "sft", *settings, "--out", str(run)]) == 0
        assert main(["export", "sft", "--out", str(run), "--bundle", str(out), "--version", "2"]) == 0
        errors[name] = error_of(out, photos, run)
    plain = error_of(tiny_bundle, photos, tmp_path / "learnt")
    assert errors["learnt"] < 0.9 * plain
    assert abs(errors["control"] / plain - 1) < 0.02, "the control: at no rate nothing is learnt"
    made = read_bundle(tmp_path / "learnt-bundle")
    assert made.capabilities == read_bundle(tiny_bundle).capabilities
    assert made.provenance["base"] == read_bundle(tiny_bundle).identity
    assert "--set base=BASE --set data=DATA --set 'prompt=a red cup'" in made.provenance["command"]
    assert (made.provenance["config"]["base"], made.provenance["config"]["data"]) == (tiny_bundle.name, photos.name)
    for path in (tiny_bundle, photos):
        assert str(path) not in json.dumps(made.provenance) + (made.path / "README.md").read_text()
    assert json.loads((tmp_path / "learnt" / "samples" / "samples.json").read_text())["items"] == 6


def test_a_pause_changes_no_bit(tiny_bundle, photos, tmp_path, monkeypatch):
    config = config_of(tiny_bundle, photos, 5)
    assert run_sft(config, tmp_path / "whole")
    import trainer.sft

    true, calls = trainer.sft.adapter_loss, []

    def breaks(*args):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return true(*args)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(trainer.sft, "adapter_loss", breaks)
        run_sft(config, tmp_path / "broken")
    assert run_sft(config, tmp_path / "broken")
    loaded = trainer.sft.own_base(config)
    one, other = (transformer_run(config, tmp_path / name, loaded) for name in ("whole", "broken"))
    assert all(torch.equal(value, other.average[key]) for key, value in one.average.items())


@pytest.mark.parametrize(
    "settings, says",
    [
        ({"base": str(SHIPPED)}, "moves photos and paints none"),
        ({"dtype": "bfloat16"}, "What learns whole is in float32"),
        ({"data": "nowhere"}, "There is no folder of photos or clips"),
    ],
)
def test_mistakes_are_sentences(tiny_bundle, photos, tmp_path, settings, says):
    with pytest.raises(ValueError, match=says):
        run_sft(replace(config_of(tiny_bundle, photos, 1), **settings), tmp_path)


def test_the_bundle_serves_what_it_was_tuned_for_at_the_size_it_was_tuned_at(tiny_bundle, photos, tmp_path):
    base = read_bundle(tiny_bundle)
    assert base.kinds == ("text_to_video", "image_to_video")
    data = shutil.copytree(photos, tmp_path / "clips")
    write_frames(np.random.default_rng(0).integers(0, 256, (9, 32, 48, 3), dtype=np.uint8), data / "turn.mp4", 24)
    for name, folder, kinds in (("photos", photos, base.kinds[:1]), ("clips", data, base.kinds)):
        config = replace(config_of(tiny_bundle, folder, 1), height=16, width=24, frames=9)
        assert run_sft(config, tmp_path / name)
        made = export_sft(config, tmp_path / name, tmp_path / f"{name}-bundle", version="2", command="sft")
        assert made.kinds == kinds
        sizes = {"frames": 9, "height": 16, "width": 24}
        assert made.capabilities == {**base.capabilities, "latents": {**base.capabilities["latents"], **sizes}}
        left = "Not tuned for, and so not served any more: image_to_video."
        assert (left in (made.path / "README.md").read_text()) == (name == "photos")
