"""`python -m engine`: what the commands print, and the sentence and exit code of everything a user may do wrong."""

import json
import os
import shutil
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from diffusers import AutoencoderKLWan
from safetensors.torch import save_file

from engine import __main__ as command_line
from engine import generate as generating
from engine import timing
from engine.bundles import SHIPPED, BundleError, read_bundle, write_bundle
from engine.commands.plan import model_of
from engine.events import Notice, Progress
from engine.generate import Generated
from engine.latent_video import LatentVideo
from engine.media.video import decode_frames
from engine.models.single_dit import SingleDiT
from engine.planner import Memory, Video, make_plan
from engine.pretrained.fitting import cropped

ROOT = Path(__file__).parents[2]
IMPORTING = os.environ | {"PYTHONPATH": str(ROOT)}
TINY = str(SHIPPED.with_name("tiny-video"))
PLAN = ["plan", "--model", TINY, "--frames", "17", "--size", "64x64"]
WORDS = ["generate", "-o", "out.mp4", "--bundle", TINY, "--prompt", "a red cup"]


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"a photo")
    return path


@pytest.fixture
def asked(monkeypatch):
    """What the engine was asked; it tells, and answers as if it had made a video."""
    requests = []

    class Small:
        settings = {"seed": 7}

        def __init__(self, bundle):
            self.bundle = bundle

        def generate(self, request, photo, out, *, mask, on_event):
            requests.append((request, photo, mask))
            on_event(Progress("render", 3, 5, 0.7, 2.0))
            on_event(Notice("edges_mirrored", "The edges are mirrored."))
            return Generated(out, 540, 960, 24, 72, 3.0, self.settings, self.bundle.identity)

        def close(self):
            """Nothing to end."""

    monkeypatch.setattr(generating, "Engine", Small)
    return requests


# --- generate ---


def test_generate_asks_what_its_options_say(asked, photo, tmp_path, capsys):
    out = tmp_path / "out.mp4"
    options = ["--seconds", "3", "--short-side", "540", "--camera", "pan-left", "--strength", "0.4", "--seed", "7"]
    assert command_line.main(["generate", str(photo), "-o", str(out), *options]) == 0
    (request, given, mask), said = asked[0], capsys.readouterr()
    assert (request.seconds, request.short_side, request.camera.move, request.camera.strength) == (
        3,
        540,
        "pan-left",
        0.4,
    )
    assert (given, mask) == (photo, None)
    assert said.out.strip() == f"{out}: 540x960, 3 s at 24 fps"
    assert "The edges are mirrored." in said.err


def test_generates_help_says_what_may_be_asked_and_what_is_taken_where_nothing_is(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        command_line.main(["generate", "--help"])
    said = capsys.readouterr().out
    for line in ("3 to 15 (5)", "24, 25 or 30 (24)", "540, 720 or 1080 pixels (1080)", "of the camera, 0.1 to 1 (0.6)"):
        assert line in said
    assert "--fps 1 to 60 and --steps 1 to 1000" in said


def test_generate_says_what_it_understood(asked, photo, tmp_path, capsys, monkeypatch):
    said = {"prompt": "pan left", "decided_by": {"camera": "prompt"}, "understood": {"camera": "pan-left"}}
    monkeypatch.setattr(generating.Engine, "settings", said)
    assert command_line.main(["generate", str(photo), "-o", str(tmp_path / "out.mp4")]) == 0
    assert capsys.readouterr().out.endswith("\nUnderstood from the prompt: camera pan-left.\n")


def test_generate_gives_json(asked, photo, tmp_path, capsys):
    assert command_line.main(["generate", str(photo), "-o", str(tmp_path / "out.mp4"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["settings"] == {"seed": 7}
    assert found["model"]["name"] == "aquarius-nano"


@pytest.mark.full
def test_generate_makes_a_video(tmp_path, capsys):
    picture, out = tmp_path / "photo.png", tmp_path / "out.mp4"
    cv2.imwrite(str(picture), np.random.default_rng(0).integers(0, 255, (640, 480, 3), dtype=np.uint8))
    options = ["--seconds", "3", "--short-side", "540", "--steps", "4"]
    assert command_line.main(["generate", str(picture), "-o", str(out), *options]) == 0
    assert out.stat().st_size > 1000


@pytest.fixture(scope="module")
def latent_bundle(tmp_path_factory):
    """Random weights of every part that latent video needs; text and tokenizer are the shipped bundle's."""
    folder = tmp_path_factory.mktemp("latent") / "bundle"
    folder.mkdir()
    for name in ("text.json", "text.safetensors", "tokenizer.json"):
        shutil.copy(SHIPPED / name, folder / name)
    vae = AutoencoderKLWan(base_dim=8, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
    dit = SingleDiT(4, 5, (1, 1, 1), hidden=32, depth=1, heads=2, text_dim=128, rope_axes=(4, 6, 6))
    for name, model in (("vae", vae), ("single_dit", dit)):
        (folder / f"{name}.json").write_text(json.dumps({k: v for k, v in model.config.items() if k[0] != "_"}))
        save_file(model.state_dict(), folder / f"{name}.safetensors")
    latents = {"mean": [0.0] * 4, "std": [1.0] * 4, "frames": 5, "width": 32, "height": 48}
    capabilities = {"sampling": {"shift": 1.0, "guidance": 2.0}, "latents": latents}
    kinds = ("text_to_video", "image_to_video")
    write_bundle(folder, name="tiny", version="1", kinds=kinds, capabilities=capabilities, provenance={})
    return folder


def test_a_bundle_of_latent_video_needs_no_photo_and_reads_one(latent_bundle, tmp_path, capsys):
    out, picture = tmp_path / "out.mp4", tmp_path / "photo.png"
    cv2.imwrite(str(picture), np.full((300, 500, 3), 90, np.uint8))
    common = ["-o", str(out), "--bundle", str(latent_bundle), "--prompt", "a red box", "--seed", "1", "--steps", "2"]
    assert command_line.main(["generate", *common, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["width"], made["height"], made["frames"], made["settings"]["seed"]) == (32, 48, 5, 1)
    assert len(list(decode_frames(out))) == 5
    assert command_line.main(["generate", str(picture), *common, "--size", "48x32", "--frames", "9"]) == 0
    assert "48x32" in capsys.readouterr().out
    assert command_line.main(["generate", *common, "--frames", "8"]) == 2
    assert "8 frames: the model makes 1 + 4n" in capsys.readouterr().err
    assert command_line.main(["generate", *common, "--dit", "multimodal"]) == 2
    assert "has no file multimodal_dit.json" in capsys.readouterr().err
    assert command_line.main(["generate", *common, "--frames", "0"]) == 2
    assert "0 frames: the model makes 1 + 4n" in capsys.readouterr().err
    assert command_line.main(["generate", *common, "--seconds", "3", "--format", "1:1", "--camera", "static"]) == 2
    assert "tiny does not use --format, --seconds, --camera: leave" in capsys.readouterr().err


def test_frames_that_are_no_numbers_are_not_written(tmp_path, capsys):
    out = tmp_path / "out.mp4"
    out.write_bytes(b"finished before")
    options = [*WORDS, "-o", str(out), "--steps", "1", "--frames", "1", "--guidance", "1e39", "--seed", "1"]
    assert command_line.main(options) == 2
    assert "frames that are no numbers" in capsys.readouterr().err
    assert out.read_bytes() == b"finished before"


@pytest.mark.parametrize("words", [1, 200])
def test_a_prompt_whose_end_is_not_read_is_told(tmp_path, capsys, words):
    options = ["-o", str(tmp_path / "out.mp4"), "--prompt", "cup " * words, "--steps", "1", "--frames", "1", "--json"]
    assert command_line.main([*WORDS, *options]) == 0
    said = capsys.readouterr()
    codes = [notice["code"] for notice in json.loads(said.out)["notices"]]
    assert (codes, "only its beginning is read" in said.err) == (([], False) if words == 1 else (["prompt_cut"], True))


def test_python_is_told_of_a_size_without_whole_patches_too():
    with pytest.raises(ValueError, match="heights multiples of 16"):
        next(LatentVideo.load(Path(TINY)).denoise("a red cup", height=72))


def test_a_bundle_of_latent_video_can_be_planned_and_inspected(latent_bundle, capsys):
    options = ["--frames", "17", "--size", "64x64", "--steps", "20"]
    assert command_line.main(["plan", "--model", str(latent_bundle), *options, "--devices", "2"]) == 0
    assert capsys.readouterr().out.startswith("cfg 2; everything resident\n- tiny (single_dit), 17 frames of 64x64")
    assert command_line.main(["inspect", str(latent_bundle)]) == 0
    assert "vae: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "content"), [("vae.json", []), ("vae.json", {}), ("single_dit.json", []), ("single_dit.json", {})]
)
def test_parts_that_describe_no_model_are_told(latent_bundle, tmp_path, capsys, file, content):
    folder = shutil.copytree(latent_bundle, tmp_path / "odd")
    (folder / file).write_text(json.dumps(content))
    capabilities = read_bundle(latent_bundle).capabilities
    write_bundle(folder, name="odd", version="1", kinds=("text_to_video",), capabilities=capabilities, provenance={})
    options = [["plan", "--model"], ["generate", "-o", str(tmp_path / "out.mp4"), "--prompt", "a cup", "--bundle"]]
    for option in options:
        assert command_line.main([*option, str(folder)]) == 2
        assert f"odd cannot be used: {file} is not what its manifest says" in capsys.readouterr().err


@pytest.mark.parametrize("latents", [[1], {"frames": "many"}])
def test_a_bundle_that_does_not_say_what_it_makes_is_told(latent_bundle, tmp_path, capsys, latents):
    folder = shutil.copytree(latent_bundle, tmp_path / "odd")
    capabilities = read_bundle(latent_bundle).capabilities | {"latents": latents}
    write_bundle(folder, name="odd", version="1", kinds=("text_to_video",), capabilities=capabilities, provenance={})
    assert command_line.main(["generate", "-o", str(tmp_path / "out.mp4"), "--bundle", str(folder)]) == 2
    assert "odd cannot be used: capabilities.latents is not what its manifest says" in capsys.readouterr().err


def test_a_bundle_without_guidance_has_no_halves_to_lay_out(latent_bundle, tmp_path, capsys):
    folder = shutil.copytree(latent_bundle, tmp_path / "whole")
    capabilities = {"sampling": {"shift": 1.0, "guidance": 1.0}}
    write_bundle(folder, name="tiny", version="1", kinds=("text_to_video",), capabilities=capabilities, provenance={})
    options = ["--frames", "17", "--size", "64x64", "--devices", "2", "--json"]
    for bundle, halves in ((latent_bundle, 2), (folder, 1)):
        assert command_line.main(["plan", "--model", str(bundle), *options]) == 0
        assert json.loads(capsys.readouterr().out)["layout"]["cfg"] == halves


def test_a_calibrated_cache_is_part_of_the_plan(latent_bundle, tmp_path, capsys):
    folder = tmp_path / "calibrated"
    shutil.copytree(latent_bundle, folder)
    settings = [
        {"policy": "taylor", "arguments": {}, "error": 0.01, "worst": 0.02, "work": 0.7, "halves": 0.0},
        {"policy": "guidance", "arguments": {}, "error": 0.02, "worst": 0.03, "work": 0.6, "halves": 0.8},
    ]
    (folder / "cache.json").write_text(
        json.dumps({"times": [1, 0.5], "guidance": 2, "requests": 1, "settings": settings})
    )
    capabilities = {"sampling": {"shift": 1.0, "guidance": 2.0}}
    write_bundle(folder, name="tiny", version="1", kinds=("text_to_video",), capabilities=capabilities, provenance={})
    common = ["plan", "--model", str(folder), "--frames", "17", "--size", "64x64", "--budget"]
    assert command_line.main([*common, "0.05"]) == 0
    assert "cache (guidance) was calibrated to save 40 %" in capsys.readouterr().out
    assert command_line.main([*common, "0.05", "--devices", "2"]) == 0
    assert "cache (taylor) was calibrated to save 30 %" in capsys.readouterr().out
    assert command_line.main([*common, "0.001"]) == 2
    assert "No setting of the cache of tiny stays within an error of 0.001." in capsys.readouterr().err
    for wrong in ({"settings": [{}]}, {"settings": [settings[0] | {"error": "small"}]}, []):
        (folder / "cache.json").write_text(json.dumps(wrong))
        write_bundle(
            folder, name="tiny", version="1", kinds=("text_to_video",), capabilities=capabilities, provenance={}
        )
        assert command_line.main([*common, "0.05"]) == 2
        assert "tiny cannot be used: cache.json is not what its manifest says" in capsys.readouterr().err
    assert command_line.main(["plan", "--model", str(latent_bundle), "--budget", "0.05"]) == 2
    assert "the bundle tiny brings no calibration: leave it out" in capsys.readouterr().err


def test_a_cache_is_asked_of_a_calibrated_bundle(latent_bundle, photo, tmp_path, capsys):
    out = tmp_path / "out.mp4"
    assert command_line.main(["generate", str(photo), "-o", str(out), "--cache", "0.05"]) == 2
    assert "the bundle aquarius-nano brings no calibration: leave it out" in capsys.readouterr().err
    assert command_line.main(["generate", "-o", str(out), "--bundle", str(latent_bundle), "--cache", "0.05"]) == 2
    assert "the bundle tiny brings no calibration: leave it out" in capsys.readouterr().err
    assert not out.exists()


def test_a_cache_is_for_the_steps_that_it_was_calibrated_for_and_so_they_are_taken(tmp_path, capsys):
    out = str(tmp_path / "out.mp4")
    assert command_line.main([*WORDS, "-o", out, "--frames", "1", "--cache", "0.05", "--json"]) == 0
    settings = json.loads(capsys.readouterr().out)["settings"]
    assert (settings["steps"], settings["cache"]["budget"]) == (20, 0.05) and settings["cache"]["hits"] > 0
    assert command_line.main([*WORDS, "-o", out, "--cache", "0.05", "--steps", "12"]) == 2
    assert "calibrated for 20 steps" in capsys.readouterr().err
    assert command_line.main([*PLAN, "--budget", "0"]) == 0
    assert "No cache" in capsys.readouterr().out


def test_what_a_mesh_or_a_cache_cannot_be_is_told_before_torch_is_there(photo):
    without = "import sys; sys.modules['torch'] = None\nfrom engine.__main__ import main\nsys.exit(main(sys.argv[1:]))"
    for options in (
        ["generate", str(photo), "-o", "out.mp4", "--mesh", "2"],
        ["generate", str(photo), "-o", "out.mp4", "--cache", "0.1"],
        [*WORDS, "--mesh", "cfg=3"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", without, *options], cwd=photo.parent, env=IMPORTING, capture_output=True, text=True
        )
        assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr


def test_ranks_are_not_started_where_they_fit_only_by_what_generate_does_not_do(monkeypatch, tmp_path, capsys):
    """The transformer and its text encoder take some 0.03 GB in float32, and the VAE for 256 x 256 pixels 0.13 GB,
    when the ranks have ended and one process has the memory of all.
    """
    video, model = Video(17, 256, 256, 12), model_of(read_bundle(TINY), "single")
    decoded_by_one = replace(timing.this_machine(2), memory_gb=0.1)
    assert make_plan(model, video, decoded_by_one, resident=True).memory == Memory()
    small = replace(decoded_by_one, memory_gb=0.05)
    monkeypatch.setattr("engine.commands.generate.this_machine", lambda ranks: small)
    assert command_line.main([*WORDS, "-o", str(tmp_path / "out.mp4"), "--size", "256x256", "--mesh", "2"]) == 2
    assert "only where weights are moved or rounded, or the VAE works in strips" in capsys.readouterr().err
    assert make_plan(model, video, small).memory != Memory()  # the controls: so it fits, or in half the bytes a number
    assert make_plan(model, video, replace(small, width=2), resident=True).memory == Memory()


def test_the_middle_of_a_photo_is_taken():
    picture = np.arange(4 * 8 * 3, dtype=np.uint8).reshape(4, 8, 3)
    assert (cropped(picture, 16, 16) == picture[:, 2:6]).all()
    assert (cropped(picture, 64, 16) == picture[1:3]).all()


# --- plan ---


def test_plan_says_what_and_why(capsys):
    assert command_line.main(["plan", "--model", "13b", "--devices", "2", "--size", "1280x720", "--frames", "121"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("cfg 2; everything resident\n")
    assert "13.36 B parameters" in said
    assert "Predicted: " in said


@pytest.mark.parametrize(("videos", "said"), [(1, "s a video with decoding"), (2, "s for 2 videos with decoding")])
def test_the_predicted_time_is_that_of_all_videos(capsys, videos, said):
    assert command_line.main(["plan", "--videos", str(videos)]) == 0
    assert said in capsys.readouterr().out


def test_plan_gives_json(capsys):
    assert command_line.main(["plan", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["layout"] == {"data": 1, "cfg": 1, "ring": 1, "ulysses": 1, "tensor": 1}
    assert found["times"]["total"] > found["times"]["decode"] > 0


def test_a_machine_of_ones_own_is_described_by_three_numbers(capsys):
    assert command_line.main(["plan", "--machine", "mine", "--memory", "24", "--tflops", "80", "--link", "32"]) == 0
    assert "24 GB a device" in capsys.readouterr().out


# --- inspect and bench ---


def test_inspect_verifies_and_tells_everything(capsys):
    assert command_line.main(["inspect", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["name"], found["kinds"]) == ("aquarius-nano", ["image_to_video", "product_mask"])
    assert found["parts"]["single_dit"]["parameters"] == 4_252_832
    assert set(found["parts"]) == {"motion_vae", "product_mask", "relief", "roundness", "single_dit", "text"}
    assert found["provenance"]["recipe"] == "trainer.recipes.nano"
    assert command_line.main(["inspect"]) == 0
    assert "single_dit: 4,252,832 parameters" in capsys.readouterr().out


def a_sealed(folder, weights):
    """A bundle that verifies, whatever its weights are."""
    folder.mkdir()
    (folder / "vae.safetensors").write_bytes(weights)
    return write_bundle(folder, name="odd", version="1", kinds=("text_to_video",), capabilities={}, provenance={}).path


@pytest.mark.parametrize(
    "weights", [b"", b"no weights", b"\xff" * 9, struct.pack("<Q", 2) + b"[]", struct.pack("<Q", 8) + b'{"a": 1}']
)
def test_inspect_says_which_weights_are_none(tmp_path, capsys, weights):
    assert command_line.main(["inspect", str(a_sealed(tmp_path / "odd", weights))]) == 2
    assert "odd cannot be used: vae.safetensors is not what its manifest says" in capsys.readouterr().err


def test_inspect_says_that_it_is_not_told_how_a_bundle_was_made(tmp_path, capsys):
    manifest = a_sealed(tmp_path / "odd", struct.pack("<Q", 2) + b"{}") / "bundle.json"
    assert command_line.main(["inspect", str(manifest.parent)]) == 0  # the control
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"provenance": None}))
    assert command_line.main(["inspect", str(manifest.parent)]) == 2
    assert "needs 'provenance' as a dict" in capsys.readouterr().err


def test_bench_hands_its_options_on_and_says_where_it_is_missing(monkeypatch, tmp_path, capsys):
    benchmark = tmp_path / "engine.py"
    monkeypatch.setattr(command_line, "BENCHMARK", benchmark)
    assert command_line.main(["bench"]) == 2
    assert "part of the repository" in capsys.readouterr().err
    benchmark.write_text("import sys; sys.exit(5 if sys.argv[1:] == ['--only', 'planner'] else 6)")
    assert command_line.main(["bench", "--only", "planner"]) == 5
    benchmark.write_text("import sys; sys.exit(5 if sys.argv[1:] == ['--json'] else 6)")
    assert command_line.main(["bench", "--json"]) == 5  # the benchmark's to take or to refuse


def test_all_but_generate_runs_without_torch():
    code = "import sys; sys.modules['torch'] = sys.modules['diffusers'] = None\nfrom engine.__main__ import main\n"
    code += "sys.exit(main(['plan']) or main(['inspect']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- what a user may do wrong ---


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["generate", "-o", "out.mp4"], "makes videos from photos: name a photo."),
        (["generate", "missing.jpg", "-o", "out.mp4"], "There is no file missing.jpg."),
        (["generate", "PHOTO", "-o", "out.mp4", "--mask", "missing.png"], "There is no file missing.png."),
        (["generate", "PHOTO", "-o", "nowhere/out.mp4"], "There is no folder nowhere to write into."),
        (["generate", "PHOTO", "-o", "PHOTO"], "photo.jpg, which it is made of. Name another file."),
        (["generate", "PHOTO", "-o", "out.mp4", "--mask", "out.mp4"], "There is no file out.mp4."),
        (["generate", "PHOTO", "-o", "out.mov"], "The video is an MP4: end its name in .mp4, unlike out.mov."),
        ([*WORDS, "-o", "/proc/out.mp4"], "The folder /proc cannot be written into"),
        (
            ["generate", "PHOTO", "-o", "out.mp4", "--seconds", "99"],
            "seconds: Input should be less than or equal to 15.",
        ),
        (
            ["generate", "PHOTO", "-o", "out.mp4", "--guidance", "2", "--size", "32x32", "--device", "cpu"],
            "aquarius-nano does not use --size, --guidance, --device: leave",
        ),
        (["generate", "PHOTO", "-o", "out.mp4", "--mesh", "rows=2"], "A mesh is ranks on axes, as cfg=2"),
        (["generate", "PHOTO", "-o", "out.mp4", "--mesh", "cfg=3"], "at most two ranks can share it, not 3"),
        (["generate", "PHOTO", "-o", "out.mp4", "--bundle", "nowhere"], "There is no model bundle at nowhere"),
        ([*WORDS, "--size", "72x64"], "72x64 pixels: widths have to be multiples of 16, and heights multiples of 16."),
        ([*WORDS, "--frames", "18"], "18 frames: the model makes 1 + 4n of them, such as 17."),
        ([*WORDS, "--steps", "0"], "steps: Input should be greater than or equal to 1."),
        ([*WORDS, "--fps", "0"], "fps: Input should be greater than or equal to 1."),
        ([*WORDS, "--fps", "61"], "fps: Input should be less than or equal to 60."),
        ([*WORDS, "--seed", "-1"], "seed: Input should be greater than or equal to 0."),
        ([*WORDS, "--seed", "99999999999999999999"], "seed: Input should be less than or equal to 2147483647."),
        ([*WORDS, "--guidance", "nan"], "guidance: Input should be a finite number."),
        ([*WORDS, "--guidance", "0"], "guidance: Input should be greater than 0."),
        (["inspect", "nowhere"], "There is no model bundle at nowhere"),
        (["inspect", "."], "it holds no bundle.json"),
        (["plan", "--model", "nowhere"], "There is no model 'nowhere'"),
        (["plan", "--model", str(SHIPPED)], "there is nothing to plan"),
        (["plan", "--machine", "abacus"], "Of any other say --memory, --tflops and --link."),
        (["plan", "--memory", "-1"], "has to be above 0 and below 1e9, not -1.0"),
        (["plan", "--tflops", "1e308"], "has to be above 0 and below 1e9, not 1e+308"),
        (["plan", "--link", "nan"], "has to be above 0 and below 1e9, not nan"),
        (["plan", "--model", "2b", "--dit", "multimodal"], "The preset 2b is one transformer: leave --dit out"),
        (["plan", "--size", "large"], "--size is WIDTHxHEIGHT"),
        (["plan", "--size", "1280x728"], "1280x728 pixels: widths have to be multiples of 16"),
        (["plan", "--model", TINY, "--size", "64x72", "--frames", "17"], "64x72 pixels: widths have to be multiples"),
        (["plan", "--frames", "80"], "80 frames: the model makes 1 + 4n of them"),
        ([*PLAN, "--budget", "0.05", "--steps", "50"], "calibrated for 20 steps, not 50: leave --steps out."),
        ([*PLAN, "--budget", "0.05", "--dit", "multimodal"], "calibrated on its Single-DiT: leave --budget"),
        ([*PLAN, "--budget", "0.05", "--no-guidance"], "calibrated with a guidance of 2: leave --no-guidance"),
        (["plan", "--devices", "0"], "--devices has to be at least 1, not 0."),
        (["plan", "--model", "13b", "--memory", "4"], "What would fit: "),
    ],
)
def test_a_mistake_is_told_in_a_sentence(arguments, sentence, photo, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command_line.main([str(photo) if part == "PHOTO" else part for part in arguments]) == 2
    said = capsys.readouterr()
    assert sentence in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


def test_a_damaged_bundle_is_told(tmp_path, capsys):
    shutil.copytree(SHIPPED, tmp_path / "bundle")
    (tmp_path / "bundle" / "text.json").write_text("{}")
    assert command_line.main(["inspect", str(tmp_path / "bundle")]) == 2
    assert "text.json is damaged" in capsys.readouterr().err


def test_a_fault_of_ours_is_not_hidden(monkeypatch):
    """The control: only what a user can mend is told in a sentence."""

    def broken(path):
        raise AssertionError("ours")

    monkeypatch.setattr("engine.commands.inspect.read_bundle", broken)
    with pytest.raises(AssertionError):
        command_line.main(["inspect"])
    assert issubclass(BundleError, ValueError)


@pytest.mark.parametrize("arguments", [[], ["dance"], ["plan", "--unknown"]])
def test_a_command_that_is_not_there_is_told_with_the_usage(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        command_line.main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m engine" in capsys.readouterr().err
