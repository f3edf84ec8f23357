"""A diffusers directory becomes a bundle without a copy of its weights, or is refused with a sentence."""

import errno
import importlib
import json
import os
import shutil
import struct
from pathlib import Path
from unittest import mock

import pytest

from engine import __main__ as command_line
from engine.bundles import BundleError, read_bundle
from engine.media.video import probe_video
from engine.pretrained import command, generate
from engine.pretrained.directory import read_directory
from engine.pretrained.families import Native, applies
from engine.pretrained.generate import PretrainedEngine
from engine.pretrained.importing import import_directory
from tests.engine.pretrained.conftest import SMALL
from tests.test_walls import python_without_torch


@pytest.fixture
def source(directory, tmp_path):
    return shutil.copytree(directory("wan"), tmp_path / "source")


@pytest.fixture
def bundle(source, tmp_path):
    return import_directory(source, tmp_path / "bundle", native=SMALL).path


def edit(path, change):
    content = json.loads(path.read_text())
    path.unlink()  # a bundle shares the file
    path.write_text(json.dumps(change(content)))


def test_a_bundle_takes_no_room_and_verifies(source, tmp_path):
    told = []
    made = import_directory(source, tmp_path / "b", name="my-wan", native=SMALL, on_bytes=lambda *at: told.append(at))
    weights = "transformer/diffusion_pytorch_model.safetensors"
    assert (tmp_path / "b" / weights).samefile(source / weights)
    assert told[-1][0] == told[-1][1] > 0
    assert read_bundle(tmp_path / "b") == made
    assert (made.name, made.kinds, made.capabilities["family"]) == ("my-wan", ("text_to_video",), "wan")
    assert made.capabilities["sampling"] == {"steps": 50, "guidance": 5.0, "shift": 3.0}
    assert Native.read(made.capabilities["native"]).frames == SMALL["frames"]


def test_a_copy_shares_nothing(source, tmp_path):
    import_directory(source, tmp_path / "b", copy=True)
    assert not (tmp_path / "b" / "model_index.json").samefile(source / "model_index.json")


def test_import_needs_no_torch():
    done = python_without_torch("import engine.pretrained.importing")
    assert done.returncode == 0, done.stderr


def test_a_snapshot_of_hugging_face_is_followed_into_its_blobs(source, tmp_path):
    home = tmp_path / "models--x"
    (home / "blobs").mkdir(parents=True)
    snapshot = shutil.copytree(source, home / "snapshots" / "abc")
    for number, file in enumerate([file for file in snapshot.rglob("*") if file.is_file()]):
        blob = home / "blobs" / str(number)
        file.replace(blob)
        file.symlink_to(blob)
    assert read_bundle(import_directory(snapshot, tmp_path / "b").path).kinds == ("text_to_video",)


def test_what_applies_is_said(bundle):
    said = applies(read_bundle(bundle).capabilities, read_directory(bundle).transformers)
    assert said["sequence"]["applies"] and said["guidance"]["applies"] and said["cache"]["applies"]
    assert "take turns" in applies(read_bundle(bundle).capabilities, ["WanTransformer3DModel"] * 2)["cache"]["because"]
    assert all(value["applies"] or value["because"] for value in said.values())


# --- directories that are not trusted, or not whole ---


def without_weights(source):
    (source / "transformer" / "diffusion_pytorch_model.safetensors").unlink()


def pickles_only(source):
    without_weights(source)
    (source / "transformer" / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x04")


def unknown_pipeline(source):
    edit(source / "model_index.json", lambda index: index | {"_class_name": "StableDiffusionPipeline"})


def pipeline_of_its_own(source):
    edit(source / "model_index.json", lambda index: index | {"_class_name": ["pipeline", "Mine"]})


def class_of_its_own(source):
    edit(source / "model_index.json", lambda index: index | {"vae": ["my_vae", "AutoencoderKLWan"]})


def other_class(source):
    edit(source / "model_index.json", lambda index: index | {"text_encoder": ["transformers", "AutoModel"]})


def other_component(source):
    edit(source / "model_index.json", lambda index: index | {"extra": ["diffusers", "AutoencoderKLWan"]})


def a_list_for_a_class(source):
    edit(source / "model_index.json", lambda index: index | {"vae": ["diffusers", ["AutoencoderKLWan"]]})


def a_word_for_the_transformer(source):
    edit(source / "model_index.json", lambda index: index | {"transformer": "x"})


def a_word_for_the_vae(source):
    edit(source / "model_index.json", lambda index: index | {"vae": "x"})


def code(source):
    (source / "vae" / "diffusers.py").write_text("raise SystemExit")


def code_by_name(source):
    edit(source / "text_encoder" / "config.json", lambda config: config | {"auto_map": {"AutoModel": "mine.Model"}})


def half_a_file(source):
    file = source / "transformer" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def a_huge_header(source):
    file = source / "transformer" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(struct.pack("<Q", 1 << 60))


def half_a_directory(source):
    shutil.rmtree(source / "vae")


def a_missing_shard(source):
    weights = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (source / "text_encoder" / "model.safetensors.index.json").write_text(json.dumps(weights))


def a_shard_elsewhere(source):
    weights = {"weight_map": {"a": "../../model.safetensors"}}
    (source / "text_encoder" / "model.safetensors.index.json").write_text(json.dumps(weights))


def a_link_out(source):
    outside = source.parent / "outside.json"
    (source / "vae" / "config.json").replace(outside)
    (source / "vae" / "config.json").symlink_to(outside)


def a_linked_index(source):
    """It holds no JSON: whoever opens it before its link is looked at says so."""
    (source.parent / "outside.json").write_text("no JSON")
    (source / "vae" / "config.json").unlink()
    (source / "vae" / "config.json").symlink_to(source.parent / "outside.json")


def linked_weights(source):
    (source.parent / "outside.safetensors").write_bytes(b"no weights")
    without_weights(source)
    file = source / "transformer" / "diffusion_pytorch_model.safetensors"
    file.symlink_to(source.parent / "outside.safetensors")


def a_pipe(source):
    (source / "vae" / "config.json").unlink()
    os.mkfifo(source / "vae" / "config.json")


def links_in_a_circle(source):
    (source / "vae" / "config.json").unlink()
    (source / "vae" / "config.json").symlink_to(source / "vae" / "config.json")


def no_object(source):
    (source / "model_index.json").write_text("[]")


def too_many_layers(source):
    edit(source / "transformer" / "config.json", lambda config: config | {"num_layers": 10**9})


def a_broken_patch(source):
    edit(source / "transformer" / "config.json", lambda config: config | {"patch_size": "large"})


def quantised(source):
    edit(source / "transformer" / "config.json", lambda config: config | {"quantization_config": {"quant_method": "x"}})


BAD = {
    without_weights: "no weights as safetensors",
    pickles_only: "pickles can run code",
    unknown_pipeline: "does not run",
    pipeline_of_its_own: "does not run",
    class_of_its_own: "nothing else is loaded",
    other_class: "nothing else is loaded",
    other_component: "no such component",
    a_list_for_a_class: "nothing else is loaded",
    a_word_for_the_transformer: "names no transformer",
    a_word_for_the_vae: "names no vae",
    code: "code of its own",
    code_by_name: "code of its own",
    half_a_file: "is not whole",
    a_huge_header: "no safetensors file",
    half_a_directory: "half copied",
    a_missing_shard: "half copied",
    a_shard_elsewhere: "no index of weights",
    a_link_out: "leads out of the directory",
    a_linked_index: "leads out of the directory",
    linked_weights: "leads out of the directory",
    a_pipe: "no regular file",
    links_in_a_circle: "is a link that leads|There is no vae/config.json",
    no_object: "JSON object",
    too_many_layers: "no model has so many",
    a_broken_patch: "cannot be used",
    quantised: "quantised",
}


@pytest.mark.timeout(60)  # a pipe that is opened never ends
@pytest.mark.parametrize("harm", BAD, ids=lambda harm: harm.__name__)
def test_a_bad_directory_is_refused_with_a_sentence(source, tmp_path, harm):
    harm(source)
    with pytest.raises(BundleError, match=BAD[harm]):
        import_directory(source, tmp_path / "bundle")
    assert [p.name for p in tmp_path.iterdir() if "bundle" in p.name] == []


@pytest.mark.parametrize(
    "native", [{"pixels": 10**12}, {"frames": 10**9}, {"frames": 12}, {"frames": 1}, {"fps": 0}, {"pixels": -1}]
)
def test_absurd_sizes_are_refused(source, tmp_path, native):
    with pytest.raises(BundleError, match=r"cannot (have|make)"):
        import_directory(source, tmp_path / "bundle", native=native)


@pytest.mark.parametrize("reason", [errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
def test_where_files_cannot_be_shared_a_copy_is_offered(source, tmp_path, monkeypatch, reason):
    def refused(link, file):
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(Path, "hardlink_to", refused)
    with pytest.raises(BundleError, match="--copy"):
        import_directory(source, tmp_path / "bundle")
    assert import_directory(source, tmp_path / "bundle", copy=True).kinds == ("text_to_video",)


def test_nothing_is_written_over(source, bundle):
    with pytest.raises(BundleError, match="already there"):
        import_directory(source, bundle)


# --- bundles that somebody changed ---


@pytest.mark.parametrize("name", ["vae/../../secret.json", "/etc/x.json", "vae//config.json", "a/b/c.json", "./x.json"])
def test_a_path_that_escapes_is_refused(bundle, name):
    edit(bundle / "bundle.json", lambda manifest: manifest | {"files": manifest["files"] | {name: "0" * 64}})
    with pytest.raises(BundleError, match="outside its folder"):
        read_bundle(bundle)


def test_folders_stay_refused_where_no_layout_names_them(bundle):
    edit(bundle / "bundle.json", lambda manifest: {k: v for k, v in manifest.items() if k != "layout"})
    with pytest.raises(BundleError):
        read_bundle(bundle)


def test_a_linked_folder_is_refused(bundle, tmp_path):
    shutil.move(bundle / "vae", tmp_path / "elsewhere")
    (bundle / "vae").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="does not list"):
        read_bundle(bundle)


def test_a_file_that_was_added_is_refused(bundle):
    (bundle / "vae" / "diffusers.py").write_text("raise SystemExit")
    with pytest.raises(BundleError, match="does not list"):
        read_bundle(bundle)


def test_a_changed_weight_is_found(source, bundle):
    file = source / "transformer" / "diffusion_pytorch_model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)  # in place: the bundle shares the file
    with pytest.raises(BundleError, match="damaged"):
        read_bundle(bundle)


def test_a_weight_that_is_missing_is_not_made_up(source, tmp_path):
    edit(source / "transformer" / "config.json", lambda config: config | {"num_layers": 3})
    bundle = import_directory(source, tmp_path / "b", native=SMALL)
    with pytest.raises(BundleError, match="weights are missing"):
        PretrainedEngine.load(bundle)


# --- the command ---


def test_the_command_imports_and_says_what_applies(source, tmp_path, capsys):
    out = tmp_path / "bundle"
    sizes = ["--pixels", "64x32", "--frames", "9", "--fps", "8"]
    assert command_line.main(["import", str(source), "--out", str(out), "--name", "mine", *sizes, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["name"] == "mine"
    assert said["capabilities"]["native"] | {"pixels": 2048, "frames": 9, "fps": 8} == said["capabilities"]["native"]
    assert command_line.main(["inspect", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "sequence: applies, from Python: PretrainedEngine.load" in shown
    assert "bytes; cfg, ring and ulysses parallel, from Python: PretrainedEngine.load(bundle, mesh=mesh)" in shown
    assert "in strips on one, from Python: engine.parallel.vae.ParallelVae" in shown
    assert "cache: applies, with `--cache`, once engine.pretrained.calibrating has made its calibration" in shown
    assert "does not apply: " in shown  # to tensor parallelism


def test_the_command_imports_into_a_folder_of_the_models_and_says_so(source, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command_line.main(["import", str(source)]) == 0
    assert capsys.readouterr().out.startswith("var/models/source: source, text_to_video\n")
    assert read_bundle(tmp_path / "var" / "models" / "source").name == "source"


@pytest.mark.parametrize("name", ["engine.parallel.vae.ParallelVae", "engine.memory.tiling.Strips"])
def test_what_inspect_names_is_there(name):
    module, _, part = name.rpartition(".")
    assert name in command.VAE
    assert hasattr(importlib.import_module(module), part)


@pytest.mark.parametrize("pixels", ["large", "1x", "99999x99999", "1x1"])
def test_the_command_explains_wrong_use_in_a_sentence(source, tmp_path, capsys, pixels):
    assert command_line.main(["import", str(source), "--out", str(tmp_path / "b"), "--pixels", pixels]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("said", "unused"),
    [
        (["--camera", "pan-left", "--mask", "photo.png"], "--camera, --mask"),
        (["--subject", "turn"], "--subject"),
        (["--guidance", "3"], "--guidance"),
        (["--dit", "single", "--frames", "9", "--size", "32x32"], "--dit, --frames, --size"),
    ],
)
def test_options_that_words_do_not_use_are_named(bundle, tmp_path, monkeypatch, capsys, said, unused):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.png").write_bytes(b"")
    assert command_line.main(["generate", "-o", "out.mp4", "--bundle", str(bundle), "--prompt", "a cup", *said]) == 2
    assert f"from words alone, does not use {unused}: leave" in capsys.readouterr().err


def test_options_that_an_imported_model_does_not_use_with_a_photo_are_named(bundle, tmp_path, capsys):
    (tmp_path / "photo.png").write_bytes(b"")
    common = ["generate", str(tmp_path / "photo.png"), "-o", str(tmp_path / "out.mp4"), "--bundle", str(bundle)]
    assert command_line.main([*common, "--camera", "pan-left", "--strength", "0.5", "--frames", "9"]) == 2
    assert "The bundle source does not use --strength, --frames: leave" in capsys.readouterr().err


@pytest.mark.parametrize("device", ["abacus", "cuda:63", "meta"])
def test_a_device_that_is_not_there_is_told(bundle, tmp_path, capsys, device):
    common = ["generate", "-o", str(tmp_path / "out.mp4"), "--bundle", str(bundle), "--prompt", "a cup"]
    assert command_line.main([*common, "--device", device]) == 2
    said = capsys.readouterr().err
    assert f"There is no device '{device}'" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(("device", "dtype"), [("cpu", "float32"), ("other", "bfloat16")])
def test_the_device_is_where_the_models_go_and_chooses_their_type(bundle, monkeypatch, device, dtype):
    given = []
    monkeypatch.setattr(generate, "usable", lambda name: mock.Mock(type=name))
    monkeypatch.setattr(generate, "load_pipelines", lambda bundle, directory, *to: given.append(to) or {})
    generate.PretrainedEngine.load(read_bundle(bundle), device=device)
    assert [(to.type, str(kind)) for to, kind in given] == [(device, f"torch.{dtype}")]


def test_generate_takes_an_imported_bundle(bundle, tmp_path, capsys):
    words = ["--prompt", "a cup", "--format", "1:1", "--seconds", "1", "--short-side", "540", "--steps", "4"]
    out = tmp_path / "out.mp4"
    assert command_line.main(["generate", "-o", str(out), "--bundle", str(bundle), "--seed", "3", *words]) == 0
    assert "540x540, 1 s at 24 fps" in capsys.readouterr().out
    assert probe_video(out).frames == 24
