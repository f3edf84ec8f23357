"""A run that was stopped, killed or spread over other ranks goes on bit for bit; wrong ways to go on are told."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp

from tests.trainer.tiny_run import TinyConfig, live, loss_of, make, run_tiny, samples, validation_of, with_loop
from trainer.checkpoint import Checkpoints, read_average
from trainer.loop import Run, train

ASYNC = with_loop(checkpoints="async")
WAYS = {"file": with_loop(checkpoints="file"), "async": ASYNC, "sync": with_loop(checkpoints="sync")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The undisturbed run of one process."""
    folder = tmp_path_factory.mktemp("whole")
    assert run_tiny(ASYNC, folder, ())
    return folder


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Path:
    """The undisturbed run of two ranks."""
    folder = tmp_path_factory.mktemp("pair")
    assert live(ASYNC, folder, world=2) == [0, 0]
    return folder


def state(folder: Path, config: TinyConfig = ASYNC) -> dict[str, torch.Tensor]:
    """Everything that a run ends with, by name."""
    run = make(replace(config, plant=""), folder)
    assert run.finished
    found = {f"net.{name}": value for name, value in run.net.state_dict().items()}
    found |= {f"average.{name}": value for name, value in run.average.items()}
    for name, parameter in run.net.named_parameters():
        found |= {f"optimiser.{name}.{key}": value for key, value in run.optimiser.state[parameter].items()}
    return found


def differing(first: Path, second: Path) -> set[str]:
    """What two runs do not have bit for bit alike: names of tensors, `losses`, `samples`."""
    ours, theirs = state(first), state(second)
    assert ours.keys() == theirs.keys()
    found = {name for name in ours if not torch.equal(ours[name], theirs[name])}
    found |= {"losses"} if losses(first) != losses(second) else set()
    return found | ({"samples"} if samples(first) != samples(second) else set())


def losses(folder: Path) -> list[dict]:
    return make(ASYNC, folder).steps_log.rows()


def stop_after(config: TinyConfig, folder: Path, step: int) -> None:
    """Leave a run as a kill would, on its way to a step."""

    class Killed(Exception):
        pass

    run = make(config, folder)
    loss = loss_of(config, folder, run)

    def until(batch, draws):
        if batch == step:
            raise Killed
        return loss(batch, draws)

    with pytest.raises(Killed):
        train(run, until, validation=validation_of(run))
    run.kept.wait()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("step", random.Random(20).sample(range(1, 16), 2))
def test_a_run_stopped_at_a_random_step_ends_with_the_same_bits(whole, tmp_path, way, step):
    stop_after(WAYS[way], tmp_path, step)
    assert make(WAYS[way], tmp_path).step == step // 4 * 4
    assert run_tiny(WAYS[way], tmp_path, ())
    assert differing(whole, tmp_path) == set()


@pytest.mark.parametrize(
    ("plant", "told"), [("stale", "losses"), ("dropped", "samples"), ("average", "average.model.0.bias")]
)
def test_control_wrong_ways_to_go_on_are_told(tmp_path, plant, told):
    wrong = replace(ASYNC, plant=plant)
    assert run_tiny(wrong, tmp_path / "whole", ())
    stop_after(wrong, tmp_path / "cut", 9)
    torch.manual_seed(99)  # another process has another state of torch's own generator
    assert run_tiny(wrong, tmp_path / "cut", ())
    assert told in differing(tmp_path / "whole", tmp_path / "cut")


def test_a_killed_process_goes_on_with_the_same_bits(whole, tmp_path):
    assert live(replace(ASYNC, plant="kill", at=10), tmp_path) == [-9]
    assert live(ASYNC, tmp_path) == [0]
    assert differing(whole, tmp_path) == set()


def test_a_kill_in_the_middle_of_a_save_leaves_the_last_checkpoint(whole, tmp_path, monkeypatch):
    """The save of step 8 has written its files, and dies before it is published."""
    run = make(ASYNC, tmp_path)
    publish = Checkpoints._publish

    def die(self, step):
        if step == 8:
            raise KeyboardInterrupt
        publish(self, step)

    monkeypatch.setattr(Checkpoints, "_publish", die)
    with pytest.raises(KeyboardInterrupt):
        train(run, loss_of(ASYNC, tmp_path, run))
    monkeypatch.undo()
    half = next((tmp_path / "stage" / "checkpoints").glob(".step-00000008.tmp/*.distcp"))
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    assert make(ASYNC, tmp_path).step == 4
    assert run_tiny(ASYNC, tmp_path, ())
    assert differing(whole, tmp_path) == set()


def test_control_half_a_checkpoint_that_was_named_good_is_not_read(tmp_path):
    stop_after(ASYNC, tmp_path, 9)
    part = next((tmp_path / "stage" / "checkpoints" / "step-00000008").glob("*.distcp"))
    part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
    with pytest.raises(RuntimeError, match=r"step-00000008 cannot be read"):
        make(ASYNC, tmp_path)


def test_what_is_saved_while_training_goes_on_is_the_state_of_its_step(tmp_path):
    run = make(ASYNC, tmp_path)
    before = {name: value.clone() for name, value in run.net.state_dict().items()}
    run.save()
    with torch.no_grad():
        for parameter in run.net.parameters():
            parameter.fill_(7.0)
    run.kept.settle()
    again = make(ASYNC, tmp_path)
    assert all(torch.equal(value, before[name]) for name, value in again.net.state_dict().items())


def test_the_last_few_checkpoints_are_kept_and_one_is_named(whole):
    folders = sorted(path.name for path in (whole / "stage" / "checkpoints").iterdir())
    assert folders == ["last_good.json", "step-00000012", "step-00000016"]
    assert json.loads((whole / "stage" / "checkpoints" / "last_good.json").read_text()) == {"step": 16}


def test_a_single_file_goes_on_as_folders_and_back(whole, tmp_path):
    stop_after(WAYS["file"], tmp_path, 6)
    assert (tmp_path / "stage" / "checkpoint.pt").exists()
    stop_after(ASYNC, tmp_path, 10)
    assert make(ASYNC, tmp_path).step == 8
    assert run_tiny(WAYS["file"], tmp_path, ())
    assert make(WAYS["file"], tmp_path).finished
    assert differing(whole, tmp_path) == set()


def test_two_ranks_see_the_samples_and_the_noise_of_one(whole, pair):
    assert samples(pair) == samples(whole)
    noise = [[row["noise"] for row in losses(folder)] for folder in (whole, pair)]
    assert noise[1] == pytest.approx(noise[0], rel=1e-6)
    assert [row["loss"] for row in losses(pair)] == pytest.approx([row["loss"] for row in losses(whole)], rel=2e-2)


def test_a_killed_rank_and_the_restart_end_with_the_same_bits(pair, tmp_path):
    codes = live(replace(ASYNC, plant="kill", at=10, on=1), tmp_path, world=2)
    assert codes[1] == -9 and codes[0] != 0
    assert live(ASYNC, tmp_path, world=2) == [0, 0]
    assert differing(pair, tmp_path) == set()


@pytest.mark.parametrize(("first", "then"), [(2, 1), (1, 2)])
def test_a_run_goes_on_with_another_number_of_ranks_on_the_same_samples(whole, tmp_path, first, then):
    live(replace(ASYNC, plant="kill", at=10, on=first - 1), tmp_path, world=first)
    assert make(ASYNC, tmp_path).step in (4, 8)  # the save of 8 may have been under way
    assert live(ASYNC, tmp_path, world=then) == [0] * then
    assert samples(tmp_path) == samples(whole)
    assert [row["loss"] for row in losses(tmp_path)] == pytest.approx([row["loss"] for row in losses(whole)], rel=2e-2)


def test_averaged_weights_are_read_from_folders(whole):
    run = make(ASYNC, whole)
    assert all(torch.equal(value, run.average[name]) for name, value in read_average(whole / "stage").items())


def test_another_recipe_does_not_go_on_with_folders(whole):
    with pytest.raises(ValueError, match=r"data\.items is 24, asked for 25"):
        make(replace(ASYNC, items=25), whole)
    with pytest.raises(ValueError, match="has 16 steps, more than the 8"):
        make(with_loop(ASYNC, steps=8), whole)


def test_a_folder_is_what_dcp_itself_reads(whole):
    assert dcp.FileSystemReader(whole / "stage" / "checkpoints" / "step-00000016").read_metadata()
    assert isinstance(make(ASYNC, whole), Run)
