"""A lora run from photos and clips to an adapter bundle, and what it refuses."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.__main__ import main as engine_main
from engine.adapters import put_on
from engine.bundles import SHIPPED, BundleError, read_bundle
from engine.latent_video import LatentVideo
from engine.media.video import write_frames
from tests.trainer.tiny_bundle import write_photos, write_tiny_bundle
from trainer.lora import adapter_run, export_lora, flow_error, read_samples, run_lora
from trainer.lora_bases import OwnBase, load_base
from trainer.recipes.lora import LoraConfig, lora_smoke
from trainer.recipes.sft import sft
from trainer.sft import run_sft


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Four photos and a clip, one of them with words of its own."""
    folder = write_photos(tmp_path_factory.mktemp("data") / "cup", 4)
    frames = np.random.default_rng(0).integers(0, 256, (11, 32, 48, 3), dtype=np.uint8)
    write_frames(frames, folder / "turn.mp4", 24)
    (folder / "turn.txt").write_text("a red cup turns")
    return folder


def config_of(base: Path, photos: Path) -> LoraConfig:
    made = replace(lora_smoke(), base=str(base), data=str(photos), prompt="a red cup", rank=8, alpha=16.0)
    return replace(made, loop=replace(made.loop, steps=24, batch=4, learning_rate=2e-2, warmup=2, ema=0.5))


@pytest.fixture(scope="module")
def run_folder(tiny_bundle, photos, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "cup"
    assert run_lora(config_of(tiny_bundle, photos), folder)
    return folder


@pytest.fixture(scope="module")
def adapter(tiny_bundle, photos, run_folder, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("adapters") / "cup"
    return export_lora(config_of(tiny_bundle, photos), run_folder, out, version="0.1", command="lora").path


def error_on_samples(config: LoraConfig, folder: Path, adapter: Path | None, strength: float = 1.0) -> float:
    """Flow error on the run's photos at fixed times with fixed noise."""
    base, samples = load_base(config), read_samples(folder)[:-1]
    if adapter is not None:
        put_on(base.model, adapter, base.bundle, base.part, strength=strength)
    generator = torch.Generator().manual_seed(9)
    noise = [torch.randn(sample.latents_CThw.shape, generator=generator) for sample in samples]
    with torch.no_grad():
        errors = [flow_error(base, samples, torch.full((5,), time), [False] * 5, noise) for time in (0.3, 0.6, 0.9)]
    return float(torch.stack(errors).mean())


def test_an_adapter_learns_its_photos_and_the_base_stays_as_it_is(tiny_bundle, photos, run_folder, adapter):
    config = config_of(tiny_bundle, photos)
    plain = error_on_samples(config, run_folder, None)
    assert error_on_samples(config, run_folder, adapter) < 0.9 * plain
    assert error_on_samples(config, run_folder, adapter, strength=0.0) == plain, "the control: nothing of it, no gain"


def test_the_checkpoint_holds_the_adapter_alone_and_a_pause_changes_no_bit(tiny_bundle, photos, run_folder, tmp_path):
    config, loaded = config_of(tiny_bundle, photos), load_base(config_of(tiny_bundle, photos))
    assert run_lora(config, tmp_path, ("samples",))
    assert not run_lora(replace(config, loop=replace(config.loop)), tmp_path, minutes=0.0)
    assert run_lora(config, tmp_path)
    whole, paused = (adapter_run(config, folder, loaded) for folder in (run_folder, tmp_path))
    assert all(torch.equal(value, paused.average[key]) for key, value in whole.average.items())
    assert whole.checkpoint.stat().st_size < 2e6


def test_samples_are_gone_on_with_after_a_pause_and_a_refusal(tiny_bundle, photos, run_folder, tmp_path, monkeypatch):
    config, whole = config_of(tiny_bundle, photos), (run_folder / "samples" / "samples.safetensors").read_bytes()
    shutil.copytree(photos, tmp_path / "data")
    (tmp_path / "data" / "m.jpg").write_bytes(b"no photo")
    with pytest.raises(ValueError, match=r"m\.jpg cannot be learnt from"):
        run_lora(replace(config, data=str(tmp_path / "data")), tmp_path / "run", ("samples",))
    made = [path.stat().st_mtime_ns for path in (tmp_path / "run" / "samples" / "pieces").iterdir()]
    assert 0 < len(made) < 6, "those before it are kept"
    assert not run_lora(config, tmp_path / "run", minutes=0.0)
    encoded = []
    encode = OwnBase.encode
    monkeypatch.setattr(OwnBase, "encode", lambda *given: encoded.append(1) or encode(*given))
    assert run_lora(config, tmp_path / "run", ("samples",))
    assert len(encoded) == 6 - len(made), "none is made again"
    assert (tmp_path / "run" / "samples" / "samples.safetensors").read_bytes() == whole
    assert not (tmp_path / "run" / "samples" / "pieces").exists()


def test_an_adapter_bundle_makes_other_films_of_its_base_and_none_of_another(tiny_bundle, adapter, tmp_path):
    model = LatentVideo.load(tiny_bundle)
    asked = {"height": 32, "width": 32, "frames": 5, "steps": 2, "seed": 1}
    plain = [*model.denoise("a red cup", **asked)][-1][1]
    worn = put_on(model.dit, adapter, model.bundle, "single_dit")
    assert not torch.equal([*model.denoise("a red cup", **asked)][-1][1], plain)
    worn.detach()
    assert torch.equal([*model.denoise("a red cup", **asked)][-1][1], plain)
    other = LatentVideo(write_tiny_bundle(tmp_path / "other", version="2"))
    with pytest.raises(BundleError, match=r"was trained on tiny 1 .* this is tiny 2"):
        put_on(other.dit, adapter, other.bundle, "single_dit")
    assert read_bundle(adapter).kinds == ("adapter",)


def test_the_command_line_wears_an_adapter_and_says_so(tiny_bundle, adapter, tmp_path, capsys):
    out = [
        "-o",
        str(tmp_path / "a.mp4"),
        "--bundle",
        str(tiny_bundle),
        "--prompt",
        "a red cup",
        "--steps",
        "2",
        "--json",
    ]
    assert engine_main(["generate", *out, "--seed", "1", "--adapter", str(adapter)]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["adapter"] == read_bundle(adapter).identity
    assert engine_main(["generate", *out, "--adapter", str(tiny_bundle)]) == 2
    assert "tiny is no adapter" in capsys.readouterr().err


@pytest.mark.full
def test_an_imported_wan_learns_photos_too(photos, tmp_path):
    from engine.pretrained.importing import import_directory
    from tests.engine.pretrained.tiny import made

    made("wan").save_pretrained(tmp_path / "wan")
    bundle = import_directory(tmp_path / "wan", tmp_path / "bundle", name="wan-tiny")
    config = replace(config_of(bundle.path, photos), height=32, width=32, frames=9)
    assert run_lora(config, tmp_path / "run")
    out = export_lora(config, tmp_path / "run", tmp_path / "adapter", version="1", command="lora")
    plain = error_on_samples(config, tmp_path / "run", None)
    assert error_on_samples(config, tmp_path / "run", out.path) < 0.95 * plain


@pytest.mark.full
def test_an_imported_bundle_of_another_kind_is_refused_before_it_is_loaded(photos, tmp_path, monkeypatch):
    from engine.pretrained.generate import PretrainedEngine
    from engine.pretrained.importing import import_directory
    from tests.engine.pretrained.tiny import made

    made("ltx").save_pretrained(tmp_path / "ltx")
    bundle = import_directory(tmp_path / "ltx", tmp_path / "bundle", name="ltx-tiny")
    monkeypatch.setattr(PretrainedEngine, "load", lambda *given, **words: pytest.fail("weights are loaded"))
    with pytest.raises(ValueError, match="with one transformer, not LTXPipeline"):
        load_base(config_of(bundle.path, photos))
    with pytest.raises(ValueError, match="of one transformer: leave out dit=multimodal"):
        load_base(replace(config_of(bundle.path, photos), dit="multimodal"))


def test_other_photos_and_too_few_of_them_are_refused(tiny_bundle, photos, run_folder, tmp_path):
    few, more = write_photos(tmp_path / "few", 3), write_photos(tmp_path / "more", 6)
    config = config_of(tiny_bundle, photos)
    with pytest.raises(ValueError, match="holds 3 photos and clips: give 5 to 50"):
        run_lora(replace(config, data=str(few)), tmp_path / "run")
    with pytest.raises(ValueError, match="holds another set of samples: items is 5, asked for 6"):
        run_lora(replace(config, data=str(more)), run_folder)
    with pytest.raises(ValueError, match=r"Nothing says what 0\.png shows"):
        run_lora(replace(config, data=str(more), prompt=""), tmp_path / "run")
    with pytest.raises(ValueError, match="--set base=FOLDER"):
        run_lora(lora_smoke(), tmp_path / "run")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"height": 72}, "heights multiples of 16"),
        ({"width": 60}, "widths have to be multiples of 16"),
        ({"frames": 16}, "the model makes 1 \\+ 4n of them"),
        ({"frames": -3}, "the model makes 1 \\+ 4n of them"),
    ],
)
@pytest.mark.parametrize("recipe", ["lora", "sft"])
def test_a_size_that_the_transformer_has_no_patches_for_is_refused_before_anything_is_encoded(
    photos, tmp_path, recipe, asked, says
):
    config, run = {"lora": (lora_smoke(), run_lora), "sft": (sft(), run_sft)}[recipe]
    config = replace(config, base=str(SHIPPED.parent / "tiny-video"), data=str(photos), prompt="a red cup", **asked)
    with pytest.raises(ValueError, match=says):
        run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_batches_that_the_photos_do_not_fill_are_told(tiny_bundle, photos, tmp_path, capsys):
    config = config_of(tiny_bundle, photos)
    assert run_lora(replace(config, loop=replace(config.loop, steps=1)), tmp_path / "four")
    assert "batches of" not in capsys.readouterr().out
    assert run_lora(replace(config, loop=replace(config.loop, steps=1, batch=9)), tmp_path / "nine")
    assert "batches of 5, not 9: there are no more photos and clips" in capsys.readouterr().out
    tuned = replace(sft(), base=str(tiny_bundle), data=str(photos), prompt="a red cup")
    assert run_sft(replace(tuned, loop=replace(tuned.loop, steps=1, batch=9)), tmp_path / "tuned")
    assert "batches of 5, not 9" in capsys.readouterr().out


def test_a_file_that_is_no_photo_may_be_taken_out(tiny_bundle, tmp_path):
    data = write_photos(tmp_path / "cup", 5)
    (data / "9.png").write_bytes(b"no photo")
    config = config_of(tiny_bundle, data)
    with pytest.raises(ValueError, match=r"9\.png"):
        run_lora(config, tmp_path / "run", ("samples",))
    (data / "9.png").unlink()
    assert run_lora(config, tmp_path / "run", ("samples",))
    assert len(read_samples(tmp_path / "run")) == 6
