"""`run`, `resume` and `compare`: typed settings, the record of a run, a warm start. The recipe is a toy."""

import errno
import json
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from socket import socket

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from engine.bundles import SHIPPED, write_bundle
from tests.trainer import tiny_run
from tests.trainer.tiny_run import make, tiny
from trainer.__main__ import _worked, main
from trainer.catalogue import RECIPES
from trainer.export_mask import recorded_config
from trainer.loop import LoopConfig
from trainer.recipes.nano import nano_smoke
from trainer.record import Record
from trainer.settings import configuration, override

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Inner:
    rate: float = 1.0
    steps: int = 3
    on: bool = True
    name: str | None = None


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    axes: tuple[int, int, int] = (1, 2, 3)
    sizes: dict[str, object] = field(default_factory=lambda: {"depth": 2, "kind": "x"})


def call(*words: object) -> int:
    return main([str(word) for word in words])


def record(folder: Path) -> dict:
    return json.loads((folder / "record.json").read_text())


def losses(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "stage" / "steps.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("inner.rate=2", Outer(Inner(rate=2.0))),
        ("inner.rate=1e-3", Outer(Inner(rate=1e-3))),
        ("inner.steps=7", Outer(Inner(steps=7))),
        ("inner.on=false", Outer(Inner(on=False))),
        ("inner.name=warm", Outer(Inner(name="warm"))),
        ("axes=4,5,6", Outer(axes=(4, 5, 6))),
        ("sizes.depth=9", Outer(sizes={"depth": 9, "kind": "x"})),
    ],
)
def test_a_setting_has_the_type_of_its_field(assignment, expected):
    assert override(Outer(), [assignment]) == expected


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("inner.stepz=7", r"no setting inner\.stepz: inner has name, on, rate, steps"),
        ("outer=7", r"no setting outer: the recipe has axes, inner, sizes"),
        ("inner.steps=many", r"inner\.steps takes a whole number, and 'many' is not"),
        ("inner.steps=1.5", r"inner\.steps takes a whole number, and 1\.5 is not"),
        ("inner.steps=true", r"inner\.steps takes a whole number"),
        ("inner.on=1", r"inner\.on takes true or false"),
        ("axes=4,5", r"axes takes 3 values, not 2"),
        ("inner=7", r"inner is a group of settings: set one of name, on"),
        ("inner.rate.x=7", r"inner\.rate is a value"),
        ("sizes.width=9", r"no setting sizes\.width: sizes has depth, kind"),
        ("sizes.depth=deep", r"sizes\.depth takes a whole number"),
        ("inner.steps", r"assigns nothing"),
    ],
)
def test_an_unknown_setting_or_another_type_is_a_sentence_that_lists_what_there_is(assignment, says):
    with pytest.raises(ValueError, match=says):
        override(Outer(), [assignment])


def test_a_configuration_comes_back_from_json():
    config = tiny_run.with_loop(replace(tiny(), plant="x"), steps=5)
    kept = json.loads(json.dumps(asdict(config)))
    assert configuration(type(config), kept) == config


def test_a_group_that_an_older_record_lacks_is_the_recipes_own():
    config = replace(nano_smoke(), seed=3)
    kept = json.loads(json.dumps(asdict(config)))
    del kept["closeups"], kept["roundness"], kept["seed"]
    assert configuration(type(config), kept, lacking=nano_smoke()) == nano_smoke()
    kept["roundness"] = {"steps": 2, "batch": 3, "learning_rate": 0.5}
    assert configuration(type(config), kept, lacking=nano_smoke()).roundness == LoopConfig(2, 3, 0.5)
    assert configuration(type(config), kept).closeups.count == 24_000, "the control"


def test_a_run_of_a_recipe_is_resumed_with_the_groups_that_its_record_lacks(tmp_path, monkeypatch):
    assert call("run", "nano_smoke", "--out", tmp_path, "--stage", "roundness", "--minutes", "0") == 3
    path = tmp_path / "record.json"
    kept = json.loads(path.read_text())
    del kept["config"]["closeups"], kept["config"]["roundness"]
    path.write_text(json.dumps(kept))
    seen = []
    monkeypatch.setattr("trainer.nano.run_nano", lambda config, *_: not seen.append(config))
    assert call("resume", tmp_path) == 0
    assert recorded_config(tmp_path, "roundness").closeups.count == seen[0].closeups.count == 8


def test_a_run_is_recorded_and_resumed_from_its_record_alone(tmp_path, capsys):
    assert call("run", "tiny", "--out", tmp_path, "--set", "loop.steps=6", "--set", "width=8") == 0
    kept = record(tmp_path)
    assert kept["recipe"] == "tiny" and kept["config"]["loop"]["steps"] == 6 and kept["config"]["width"] == 8
    assert kept["command"] == f"python -m trainer run tiny --out {tmp_path} --set loop.steps=6 --set width=8"
    assert len(kept["commit"]) == 40 or kept["commit"] == "unknown"
    assert kept["dirty"] in (True, False, None) and kept["environment"]["packages"]["torch"] == torch.__version__
    assert len(kept["data"]["digest"]) == 64
    assert call("resume", tmp_path, "--set", "loop.steps=8") == 0
    assert "changed since the last call: loop.steps is 6, asked for 8" in capsys.readouterr().out
    assert [row["step"] for row in losses(tmp_path)] == list(range(1, 9))
    assert record(tmp_path)["calls"][1]["changed"] == ["loop.steps is 6, asked for 8"]


def test_a_machine_without_git_trains_and_does_not_know_the_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert call("run", "tiny", "--out", tmp_path / "run", "--set", "loop.steps=2") == 0
    assert call("resume", tmp_path / "run", "--set", "loop.steps=3") == 0
    assert (record(tmp_path / "run")["commit"], record(tmp_path / "run")["dirty"]) == ("unknown", None)


def test_two_processes_of_a_run_keep_each_others_calls(tmp_path):
    """As the transformers of tiny_video are trained side by side; a call that is refused takes only itself back."""
    first, second, refused = Record(tmp_path), Record(tmp_path), Record(tmp_path)
    first.begin("tiny", tiny(), "first")
    second.begin("tiny", replace(tiny(), items=25), "second")
    refused.begin("tiny", replace(tiny(), items=99), "refused", ["items=99"])
    first.end()
    assert [one["command"] for one in record(tmp_path)["calls"]] == ["first", "second", "refused"]
    refused.take_back()
    second.end()
    kept = record(tmp_path)
    assert [one["command"] for one in kept["calls"]] == ["first", "second"] and kept["config"]["items"] == 25
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_two_processes_do_not_train_one_stage(tmp_path, capsys):
    words = ["run", "tiny", "--out", str(tmp_path), "--set", "slow=0.1", "--set", "loop.steps=1000"]
    first = subprocess.Popen([sys.executable, "-m", "tests.trainer.tiny_run", *words], cwd=ROOT)
    try:
        while not list(tmp_path.glob("samples/*")):
            assert first.poll() is None
            time.sleep(0.05)
        before = record(tmp_path)
        assert call(*words, "--minutes", "0") == 2
        assert f"Another process trains in {tmp_path / 'stage'}: wait for it, or end it" in capsys.readouterr().err
        assert first.poll() is None and record(tmp_path)["calls"][0] == before["calls"][0]
    finally:
        first.kill()
        first.wait()
    assert call(*words, "--minutes", "0") == 3, "a process that was killed holds nothing"


def test_what_a_killed_call_had_made_is_no_change_of_the_next(tmp_path):
    first, second, third = (Record(tmp_path) for _ in range(3))
    first.begin("tiny", tiny(), "run")
    (tmp_path / "bank").mkdir()
    (tmp_path / "bank" / "bank.json").write_text("1")
    assert Record(tmp_path).begin("tiny", tiny(), "resume") == [], "the first was killed before it noted its bank"
    second.begin("tiny", tiny(), "resume")
    second.end()
    assert third.begin("tiny", tiny(), "resume") == []
    third.end()
    (tmp_path / "bank" / "bank.json").write_text("2")
    changed = Record(tmp_path).begin("tiny", tiny(), "resume")
    assert len(changed) == 1 and changed[0].startswith("data.digest is"), "the control"


def test_what_may_not_change_is_refused_and_the_record_stays(tmp_path, capsys):
    assert call("run", "tiny", "--out", tmp_path, "--set", "loop.steps=4") == 0
    before = (tmp_path / "record.json").read_bytes()
    assert call("resume", tmp_path, "--set", "loop.learning_rate=1") == 2
    assert "loop.learning_rate is 0.01, asked for 1.0" in capsys.readouterr().err
    assert (tmp_path / "record.json").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("run", "tiny", "--set", "loop.stepz=1"), "no setting loop.stepz: loop has batch, checkpoints, clip"),
        (("run", "tiny", "--stage", "other"), "tiny has no stage other"),
        (("resume", "NOWHERE"), "holds no record of a run"),
        (("run", "tiny", "--set", "loop.save_every=0"), "save_every is at least 1, and 0 was asked for"),
        (("run", "tiny", "--set", "loop.log_every=0"), "log_every is at least 1"),
        (("run", "tiny", "--set", "loop.microbatches=0"), "microbatches is at least 1"),
        (("run", "tiny", "--set", "loop.faults.window=0"), "faults.window is at least 1"),
        (("run", "tiny", "--set", "loop.faults.spike=0.5"), "faults.spike is so many times the usual loss"),
        (("run", "tiny", "--set", "loop.faults.spike=1"), "faults.spike is so many times the usual loss"),
        (("run", "tiny", "--set", "loop.faults.spike=NaN"), "faults.spike is so many times the usual loss"),
        (("run", "tiny", "--set", "loop.faults.beat=NaN"), "faults.beat and faults.patience are above 0"),
        (("run", "tiny", "--set", "loop.steps=-1"), "steps is a whole number from 0 on, and -1 was asked for"),
        (("run", "tiny", "--set", "loop.batch=-1"), "batch is a whole number from 0 on"),
        (("run", "tiny", "--set", "loop.warmup=-1"), "warmup is a whole number from 0 on"),
        (("run", "tiny", "--set", "loop.clip=0"), "clip is above 0, and 0.0 was asked for"),
        (("run", "tiny", "--set", "loop.clip=-1"), "clip is above 0"),
        (("run", "tiny", "--set", "loop.learning_rate=NaN"), "learning_rate is above 0, and nan was asked for"),
        (("run", "tiny", "--set", "loop.learning_rate=Infinity"), "learning_rate and weight_decay are finite"),
        (("run", "tiny", "--set", "loop.weight_decay=-1"), "weight_decay is 0 or more"),
        (("run", "tiny", "--set", "loop.ema=-0.1"), "ema is the share of the average that stays"),
        (("run", "tiny", "--set", "loop.ema=1.1"), "ema is the share of the average that stays"),
        (("run", "tiny", "--set", "loop.peak_tflops=0"), "peak_tflops is above 0"),
        (("run", "nano_smoke", "--set", "dit.batch=0"), "the stage single_dit takes at least 1 item, and 0 were asked"),
        (("run", "tiny_video_smoke", "--set", "text_loop.batch=0"), "the stage text takes at least 1 item"),
        (("run", "lora", "--set", "loop.batch=0"), "the stage adapter takes at least 1 item"),
        (("run", "sft", "--set", "loop.batch=0"), "the stage transformer takes at least 1 item"),
        (("run", "dpo", "--set", "loop.batch=0"), "the stage transformer takes at least 1 item"),
        (("run", "single_dit_2b_smoke", "--set", "multiple=0"), "multiple and text_tokens are from 1 on"),
        (("run", "single_dit_2b_smoke", "--set", "stages=[]"), "has at least one stage"),
        (("run", "single_dit_2b_smoke", "--set", 'stages=[{"name":"a"}]'), "stages lacks batch, grid, samples"),
        (
            ("run", "single_dit_2b_smoke", "--set", 'stages=[{"name":"a","grid":[1,1,1],"batch":0,"samples":4}]'),
            "The stage a has a batch and sides of grids from 1 on",
        ),
        (("evaluate", SHIPPED, "--out", "NEW", "--dit", "multimodal"), "leave out --dit multimodal"),
        (("run", "distil", "--set", f"base={SHIPPED}", "--set", "dit=multimodal"), "leave out dit=multimodal"),
        (("run", "dpo", "--set", f"base={SHIPPED}", "--set", "dit=multimodal"), "leave out dit=multimodal"),
        (("compare", "NOWHERE", "NOWHERE"), "There is no run in"),
        (("plan", "--failures", "--restart", "1e6"), "and a restart takes 1e+06: hardly one succeeds"),
        (("plan", "single_dit_2b", "--restart", "1e9"), "and a restart takes 1e+09: hardly one succeeds"),
    ],
)
def test_mistakes_are_sentences(tmp_path, capsys, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    assert call(*words) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("run", "tiny", "--threads", "0"), "--threads: give a whole number from 1 on, not 0"),
        (("evaluate", "BUNDLE", "--out", "NEW", "--threads", "0"), "--threads: give a whole number"),
        (("evaluate", "BUNDLE", "--out", "NEW", "--training-scenes", "0"), "--training-scenes: give a whole number"),
        (("evaluate", "BUNDLE", "--out", "NEW", "--steps", "0"), "--steps: give a whole number"),
        (("plan", "--failures", "--rate", "0"), "--rate: give a number above 0, not 0"),
        (("plan", "--failures", "--restart", "-1"), "--restart: give a number from 0 on, not -1"),
        (("plan", "--failures", "--restart", "nan"), "--restart: give a number from 0 on"),
        (("plan", "--failures", "--storage", "0"), "--storage: give a number above 0"),
        (("plan", "--failures", "--shape", "nan"), "--shape: give a number above 0"),
        (("plan", "single_dit_2b", "--gpus", "0"), "--gpus: give a whole number from 1 on, not 0"),
    ],
)
def test_numbers_that_cannot_be_are_told_by_their_option(capsys, words, says):
    with pytest.raises(SystemExit) as left:
        call(*words)
    assert left.value.code == 2 and says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("recipe", "settings", "says"),
    [
        ("tiny_video_smoke", ("films.scenes=1", "films.motions=1"), "the stage video_vae takes 2 items"),
        ("nano_smoke", ("bank.scenes=1", "bank.motions=1"), "the stage motion_vae takes 4 items"),
    ],
)
def test_too_few_items_for_a_batch_are_refused_before_any_is_made(tmp_path, capsys, recipe, settings, says):
    words = [word for one in settings for word in ("--set", one)]
    assert call("run", recipe, *words, "--out", tmp_path) == 2
    assert f"A batch of {says}, and there will be 1" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("recipe", "settings", "says"),
    [
        ("tiny_video", "films.height=72", "64x72 pixels: widths have to be multiples of 16"),
        ("tiny_video_smoke", "films.width=60", "60x32 pixels: widths have to be multiples of 8"),
        ("tiny_video_smoke", "films.width=136", "The aspect of a frame lies between 0.25 and 4"),
        ("tiny_video_smoke", "layout.shard=2", "is for 2 ranks, and there are 1: start as many with torchrun"),
        ("tiny_video_smoke", "dit_loop.keep=0", "keep is at least 1, and 0 was asked for"),
        ("tiny_video_smoke", "dit_loop.keep=3", "One process keeps a single file, and not 3 checkpoints"),
        ("tiny_video_smoke", "vae_loop.checkpoints=file vae_loop.faults.spike=9", "holds no earlier state to go back"),
        ("nano_smoke", "dit.checkpoints=file dit.faults.spike=9", "holds no earlier state to go back to"),
        ("motion_vae_smoke", "vae.keep=9", "One process keeps a single file, and not 9 checkpoints"),
        ("lora", "loop.validate_every=5", "The stage adapter has no held-out samples"),
        ("sft", "loop.validate_every=5", "The stage transformer has no held-out samples"),
        ("dpo", "loop.validate_every=5", "The stage transformer has no held-out samples"),
        ("distil", "few_steps.validate_every=5", "The stage few_steps has no held-out samples"),
        ("distil", "guidance.keep=5", "One process keeps a single file"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(tmp_path, capsys, recipe, settings, says):
    words = [word for one in settings.split() for word in ("--set", one)]
    assert call("run", recipe, "--out", tmp_path, *words) == 2
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_films_of_a_size_that_no_film_is_made_in_leave_the_folder_unclaimed(tmp_path, capsys):
    for sizes, says in (("32x32,16x80", "lies between 0.25 and 4"), ("4x8", "at least 8 pixels high and wide")):
        assert call("films", "--out", tmp_path / "films", "--scenes", "1", "--sizes", sizes) == 2
        assert says in capsys.readouterr().err
    assert not (tmp_path / "films").exists()


def test_what_a_disk_does_not_take_is_a_sentence(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").touch()
    assert call("run", "tiny", "--out", tmp_path / "file") == 2
    assert f"{tmp_path / 'file'} is a file: a run takes a folder" in capsys.readouterr().err
    assert call("run", "tiny", "--out", tmp_path / "file" / "run") == 2
    assert f"{tmp_path / 'file' / 'run'}: Not a directory." in capsys.readouterr().err

    def fails(*given, **words):
        raise OSError(errno.ENOSPC, "No space left on device", "frames.npy")

    monkeypatch.setattr(tiny_run, "run_tiny", fails)
    assert call("run", "tiny", "--out", tmp_path / "run") == 2
    assert "frames.npy: No space left on device. What was kept before" in capsys.readouterr().err


# No file of this process may be larger than 20,000 bytes, as on a disk with as little room: a checkpoint is.
NARROW = """
import resource, sys
from tests.trainer.tiny_run import command_line
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
sys.exit(command_line.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("way", ["file", "sync", "async"])
def test_a_checkpoint_that_has_no_room_leaves_the_one_before(tmp_path, way):
    words = ["--set", "width=512", "--set", f"loop.checkpoints={way}"]
    assert call("run", "tiny", "--out", tmp_path, "--set", "loop.steps=4", *words) == 0
    asked = ["resume", str(tmp_path), "--set", "loop.steps=8"]
    done = subprocess.run([sys.executable, "-c", NARROW, *asked], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "could not be written, most often for want of room; the one before it is whole" in done.stderr
    assert "Traceback" not in done.stderr and not list(tmp_path.glob("stage/*.tmp"))
    wide = tiny_run.with_loop(replace(tiny(), width=512), steps=8, checkpoints=way)
    assert make(wide, tmp_path).step == 4
    assert call(*asked) == 0


def test_a_folder_of_another_recipe_is_not_taken(tmp_path, capsys):
    assert call("run", "tiny", "--out", tmp_path, "--set", "loop.steps=2") == 0
    (tmp_path / "record.json").write_text(json.dumps({**record(tmp_path), "recipe": "nano"}))
    assert call("run", "tiny", "--out", tmp_path) == 2
    assert "holds a run of nano, not of tiny" in capsys.readouterr().err


def test_minutes_pause_and_resume_goes_on(tmp_path, capsys):
    assert call("run", "tiny", "--out", tmp_path, "--minutes", "0") == 3
    assert f"resume {tmp_path}` goes on" in capsys.readouterr().out
    assert call("resume", tmp_path) == 0


def test_what_goes_on_with_a_pause_runs_the_stages_that_were_asked_for(tmp_path, capsys, monkeypatch):
    folder, asked = tmp_path / "a run", []

    def run_some(config, folder, stages, minutes=None, device=None):
        asked.append(stages)
        return minutes is None

    monkeypatch.setattr(tiny_run, "STAGES", ("one", "two", "three"))
    monkeypatch.setattr(tiny_run, "run_tiny", run_some)
    assert call("run", "tiny", "--out", folder, "--stage", "one", "--stage", "three", "--minutes", "0") == 3
    printed = capsys.readouterr().out.split("`")[1]
    assert shlex.split(printed)[3:] == ["resume", str(folder), "--stage", "one", "--stage", "three"]
    assert call("resume", folder) == 0
    assert call(*shlex.split(printed)[3:]) == 0
    assert call("resume", folder, "--stage", "two") == 0
    assert call("run", "tiny", "--out", folder) == 0
    assert call("resume", folder) == 0
    assert asked == [*[("one", "three")] * 3, ("two",), *[("one", "two", "three")] * 2]


def test_a_pause_is_no_failure_to_torchrun(tmp_path, capsys, monkeypatch):
    with socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    told = {"TORCHELASTIC_RUN_ID": "one", "LOCAL_RANK": 0, "RANK": 0, "WORLD_SIZE": 1}
    told |= {"MASTER_ADDR": "localhost", "MASTER_PORT": port}
    with monkeypatch.context() as torchrun:
        for name, value in {**told, "GLOO_SOCKET_IFNAME": "lo"}.items():
            torchrun.setenv(name, str(value))
        assert call("run", "tiny", "--out", tmp_path, "--minutes", "0") == 0
    assert "paused: the same torchrun call goes on" in capsys.readouterr().out
    assert call("resume", tmp_path, "--minutes", "0") == 3, "the control: alone it is told"


def test_what_another_process_keeps_meanwhile_is_no_work_of_a_call_that_is_refused(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "steps.jsonl").touch()
    assert _worked(tmp_path, 0.0, set())
    assert not _worked(tmp_path, 0.0, {"theirs"})
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "steps.jsonl").touch()
    assert _worked(tmp_path, 0.0, {"theirs"}) and not _worked(tmp_path, time.time() + 1, {"theirs"})


def test_two_runs_side_by_side(tmp_path, capsys):
    one, two, other = (tmp_path / name for name in ("one", "two", "other"))
    for folder in (one, two):
        assert call("run", "tiny", "--out", folder, "--set", "loop.tensorboard=true") == 0
    assert call("run", "tiny", "--out", other, "--set", "loop.seed=4") == 0
    assert call("compare", one, two) == 0
    assert "16 steps are the same" in capsys.readouterr().out
    assert call("compare", one, other, "--plot", tmp_path / "plot.png") == 0
    assert "differ from step 1" in capsys.readouterr().out
    assert Image.open(tmp_path / "plot.png").getcolors(1_000_000) is not None
    assert list((one / "stage" / "tensorboard").glob("events.*"))


def test_a_stage_begins_at_another_runs_weights(tmp_path, capsys):
    assert call("run", "tiny", "--out", tmp_path / "first") == 0
    assert call("run", "tiny", "--out", tmp_path / "tuned", "--from", tmp_path / "first", "--minutes", "0") == 3
    first, tuned = make(tiny(), tmp_path / "first"), make(tiny(), tmp_path / "tuned")
    first.use_average()
    assert all(torch.equal(a, b) for a, b in zip(first.net.parameters(), tuned.net.parameters(), strict=True))
    assert record(tmp_path / "tuned")["from"]["modules"] == ["model"]
    assert call("resume", tmp_path / "tuned") == 0
    fresh = make(tiny(), tmp_path / "fresh")
    assert not any(torch.equal(a, b) for a, b in zip(first.net.parameters(), fresh.net.parameters(), strict=True))
    assert call("run", "tiny", "--out", tmp_path / "first", "--from", tmp_path / "tuned") == 2
    assert "began at nothing" in capsys.readouterr().err


def test_a_stage_begins_at_a_bundles_weights(tmp_path, capsys):
    model = nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Linear(16, 1))
    made = tmp_path / "bundle"
    made.mkdir()
    save_file(model.state_dict(), made / "model.safetensors")
    write_bundle(made, name="b", version="1", kinds=("image_to_video",), capabilities={}, provenance={})
    assert call("run", "tiny", "--out", tmp_path / "tuned", "--from", made, "--minutes", "0") == 3
    tuned = make(tiny(), tmp_path / "tuned")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), tuned.net.parameters(), strict=True))
    assert call("run", "tiny", "--out", tmp_path / "wide", "--from", made, "--set", "width=32") == 2
    assert "do not fit this recipe" in capsys.readouterr().err
    assert call("run", "tiny", "--out", tmp_path / "none", "--from", tmp_path / "nowhere") == 2
    assert "neither a bundle nor the folder of a run" in capsys.readouterr().err


def test_a_start_that_has_nothing_of_the_recipe_is_refused_and_what_begins_is_told(tmp_path, capsys, monkeypatch):
    made = tmp_path / "bundle"
    made.mkdir()
    save_file({"weight": torch.zeros(2)}, made / "vae.safetensors")
    write_bundle(made, name="b", version="1", kinds=("image_to_video",), capabilities={}, provenance={})
    assert call("run", "tiny", "--out", tmp_path / "run", "--from", made) == 2
    assert f"Nothing would begin at {made}: it holds vae, and this recipe trains model" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert call("run", "tiny", "--out", tmp_path / "first", "--set", "loop.steps=2") == 0
    monkeypatch.setattr(tiny_run, "modules_of", lambda config: ("model", "critic"))
    assert call("run", "tiny", "--out", tmp_path / "run", "--from", tmp_path / "first", "--minutes", "0") == 3
    assert f"at {tmp_path / 'first'} begin: model; at nothing: critic" in capsys.readouterr().out


@pytest.mark.parametrize("recipe", [name for name, recipe in RECIPES.items() if recipe.modules and name != "tiny"])
def test_every_recipe_that_begins_at_weights_knows_its_modules(recipe):
    assert RECIPES[recipe].part("modules")(RECIPES[recipe].part("config")())


def test_who_began_at_the_wrong_weights_may_begin_again(tmp_path, capsys):
    for name, width in (("wide", 32), ("right", 16)):
        assert call("run", "tiny", "--out", tmp_path / name, "--set", f"width={width}", "--set", "loop.steps=2") == 0
    tuned = tmp_path / "tuned"
    assert call("run", "tiny", "--out", tuned, "--from", tmp_path / "wide") == 2
    assert "do not fit this recipe" in capsys.readouterr().err
    assert not list(tuned.iterdir()), "a call without --from would begin there too"
    (tuned / "bank").mkdir()
    (tuned / "bank" / "made").touch()  # by a stage before, as a recipe of several makes it
    before = record(tmp_path / "wide")
    (tuned / "record.json").write_text(json.dumps({**before, "from": {"path": "wide", "digest": "0"}}))
    assert call("run", "tiny", "--out", tuned, "--from", tmp_path / "right", "--minutes", "0") == 3
    assert record(tuned)["from"]["path"] == str(tmp_path / "right")
    assert call("run", "tiny", "--out", tuned, "--from", tmp_path / "wide") == 2
    assert f"began at {tmp_path / 'right'}" in capsys.readouterr().err, "it has learnt from it"


def test_a_refused_beginning_leaves_the_one_before(tmp_path, capsys):
    for name in ("first", "second"):
        assert call("run", "tiny", "--out", tmp_path / name, "--set", "loop.steps=2") == 0
    tuned = tmp_path / "tuned"
    assert call("run", "tiny", "--out", tuned, "--from", tmp_path / "first", "--minutes", "0") == 3
    for stage in [path for path in tuned.iterdir() if path.is_dir()]:
        shutil.rmtree(stage)  # nothing has been learnt: it may begin elsewhere
    before = files(tuned)
    assert call("run", "tiny", "--out", tuned, "--from", tmp_path / "second", "--set", "width=32") == 2
    assert "do not fit this recipe" in capsys.readouterr().err
    assert files(tuned) == before
    (tuned / "record.json").write_text(json.dumps({**record(tuned), "recipe": "nano"}))
    before = files(tuned)
    assert call("run", "tiny", "--out", tuned, "--from", tmp_path / "second") == 2
    assert "holds a run of nano, not of tiny" in capsys.readouterr().err
    assert files(tuned) == before


def files(folder) -> dict[str, bytes]:
    """The files that lie in a folder itself."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
