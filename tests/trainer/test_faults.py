"""What goes wrong in a run is told, noted and mended: bad batches are left out, and a rank that hangs is named."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainer.test_resume import ASYNC, differing, losses, samples, stop_after
from tests.trainer.tiny_run import live, make, run_tiny, with_loop
from trainer.__main__ import main
from trainer.faults import FaultsConfig, Spikes
from trainer.log import HELD_OUT, Log
from trainer.loop import Stopped
from trainer.watch import EXIT, Beat, Watch, blame, operation_of

ROOT = Path(__file__).parents[2]
SKIP = with_loop(ASYNC, faults=FaultsConfig(non_finite="skip", in_a_row=3))
SPIKE = FaultsConfig(spike=20.0, window=4, offending=2, in_a_row=3)
WATCHED = with_loop(ASYNC, faults=FaultsConfig(beat=0.25, patience=8))


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    assert live(ASYNC, folder, world=2) == [0, 0]
    return folder


def noted(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "stage" / "faults.jsonl").read_text().splitlines()]


def batches(folder: Path) -> list[int]:
    return [row["batch"] for row in losses(folder)]


def told_to_leave_out(folder: Path, left_out: list[int]) -> Path:
    """A run that knows from the beginning what it leaves out."""
    (folder / "stage").mkdir(parents=True)
    (folder / "stage" / "faults.jsonl").write_text(json.dumps({"what": "known", "left_out": left_out}) + "\n")
    assert run_tiny(ASYNC, folder, ())
    return folder


def test_a_loss_that_is_not_finite_is_skipped_with_a_record(tmp_path):
    assert run_tiny(replace(SKIP, plant="nan", at=6), tmp_path / "run", ())
    assert batches(tmp_path / "run") == [*range(6), *range(7, 17)]
    (row,) = noted(tmp_path / "run")
    assert row["what"] == "the loss is not finite" and row["left_out"] == [6] and row["step"] == 6
    known = told_to_leave_out(tmp_path / "known", [6])
    assert differing(tmp_path / "run", known) == {"samples"}  # its loss was looked at in one of them


def test_control_a_loss_that_is_not_finite_stops_by_default(tmp_path):
    with pytest.raises(Stopped, match="loss of step 6 is not finite"):
        run_tiny(replace(ASYNC, plant="nan", at=6), tmp_path, ())
    assert make(ASYNC, tmp_path).step == 4


def test_what_a_loss_that_is_not_finite_advises_can_be_done(tmp_path, capsys):
    run, planted = tmp_path / "run", ["--set", "plant=nan", "--set", "at=6"]
    assert main(["run", "tiny", "--out", str(run), *planted]) == 2
    told = capsys.readouterr().err
    assert "`faults.non_finite=skip`" in told and f"`--from {run}`" in told
    lower = ["--set", "loop.learning_rate=0.001"]
    assert main(["run", "tiny", "--out", str(tmp_path / "lower"), "--from", str(run), *lower]) == 0
    assert main(["resume", str(run), "--set", "loop.faults.non_finite=skip"]) == 0
    assert batches(run) == [*range(6), *range(7, 17)]


def test_many_losses_that_are_not_finite_stop(tmp_path):
    with pytest.raises(Stopped, match="At step 6 4 times in a row: the loss is not finite"):
        run_tiny(replace(SKIP, plant="nans", at=6), tmp_path, ())


def test_a_spike_goes_back_to_the_last_good_checkpoint_and_leaves_its_batches_out(tmp_path):
    config = with_loop(ASYNC, faults=SPIKE)
    assert run_tiny(replace(config, plant="spike", at=10), tmp_path / "run", ())
    assert batches(tmp_path / "run") == [*range(9), *range(11, 18)]
    (row,) = noted(tmp_path / "run")
    assert row["what"] == "the loss spiked" and row["left_out"] == [9, 10]
    assert row["spiked_at"] == 10 and row["step"] == 8 and row["loss"] > row["limit"]
    known = told_to_leave_out(tmp_path / "known", [9, 10])
    assert differing(tmp_path / "run", known) == {"samples"}


def test_a_spike_before_the_first_checkpoint_goes_back_to_the_beginning(tmp_path):
    config = with_loop(ASYNC, faults=replace(SPIKE, window=2), save_every=16)
    assert run_tiny(replace(config, plant="spike", at=3), tmp_path / "run", ())
    assert batches(tmp_path / "run") == [0, 1, *range(4, 18)]
    assert differing(tmp_path / "run", told_to_leave_out(tmp_path / "known", [2, 3])) == {"samples"}


def test_one_process_that_watches_for_spikes_keeps_what_it_can_go_back_to(tmp_path):
    """By itself, and where it kept a file before it watched."""
    watching = with_loop(faults=SPIKE)
    assert run_tiny(replace(watching, plant="spike", at=10), tmp_path / "run", ())
    assert batches(tmp_path / "run") == [*range(9), *range(11, 18)]
    stop_after(with_loop(), tmp_path / "later", 6)
    assert make(watching, tmp_path / "later").saved == "file"
    assert run_tiny(replace(watching, plant="spike", at=9), tmp_path / "later", ())
    assert batches(tmp_path / "later") == [*range(8), *range(10, 18)]


def test_a_single_file_and_spikes_are_refused_before_a_step(tmp_path):
    with pytest.raises(ValueError, match="set `checkpoints` to auto, async or sync"):
        run_tiny(with_loop(checkpoints="file", faults=SPIKE), tmp_path, ())
    assert not (tmp_path / "samples").exists() or not samples(tmp_path)


def test_control_a_spike_that_is_not_watched_for_is_learnt(tmp_path):
    assert run_tiny(replace(ASYNC, plant="spike", at=10), tmp_path / "run", ())
    assert batches(tmp_path / "run") == list(range(16))
    assert run_tiny(ASYNC, tmp_path / "whole", ())
    assert "average.model.0.weight" in differing(tmp_path / "run", tmp_path / "whole")


def test_a_run_that_went_back_and_was_killed_ends_with_the_same_bits(tmp_path):
    config = replace(with_loop(ASYNC, faults=SPIKE), plant="spike", at=10)
    assert run_tiny(config, tmp_path / "whole", ())
    stop_after(config, tmp_path / "cut", 14)
    assert run_tiny(config, tmp_path / "cut", ())
    assert "losses" not in differing(tmp_path / "whole", tmp_path / "cut")


def test_no_checkpoint_from_before_a_spike_is_a_sentence(tmp_path):
    config = with_loop(ASYNC, faults=replace(SPIKE, offending=9))
    with pytest.raises(Stopped, match="no checkpoint from before batch 2 is kept: raise `keep`"):
        run_tiny(replace(config, plant="spike", at=10), tmp_path, ())


def test_a_spike_is_told_from_the_median_and_only_when_enough_is_known():
    spikes = Spikes(FaultsConfig(spike=3.0, window=3))
    spikes.add(1.0)
    spikes.add(9.0)
    assert spikes.limit == float("inf")
    spikes.add(1.2)
    assert spikes.limit == pytest.approx(3.6)


def beat(rank: int, count: int, moves: int) -> Beat:
    return Beat(rank, count, moves, step=7, phase="gradients", operation="all_reduce in x", host="h", pid=rank)


def test_the_silent_rank_is_named_and_else_the_one_behind():
    before = [beat(0, 5, 30), beat(1, 5, 30), beat(2, 5, 29)]
    assert blame(before, [beat(0, 6, 30), beat(1, 5, 30), beat(2, 6, 29)]) == [
        "rank 1 gives no sign of life, last in gradients of step 7, at all_reduce in x"
    ]
    assert [who[:17] for who in blame(before, [beat(0, 6, 30), beat(1, 6, 30), beat(2, 6, 29)])] == [
        "rank 2 is behind,"
    ]
    assert blame(before, [beat(0, 6, 30), beat(1, 6, 30), beat(2, 6, 30)])[0].startswith("all ranks wait")


def test_an_operation_is_named_by_our_line():
    assert operation_of(sys._getframe()).startswith("tests/trainer/test_faults.py:")


HANGS = pytest.param("hang", "rank 1 is behind, in loss of step 10", marks=pytest.mark.full)


@pytest.mark.parametrize(("plant", "says"), [("stop", "rank 1 is stopped"), HANGS])
def test_a_rank_that_hangs_is_named_with_its_operation_and_the_restart_has_the_same_bits(pair, tmp_path, plant, says):
    codes = live(replace(WATCHED, plant=plant, at=10, on=1), tmp_path, world=2)
    assert EXIT in codes  # whoever's patience ended first; the other may have lost its peer
    assert any("waited 8 s" in row["text"] and says in row["text"] for row in noted(tmp_path))
    assert live(WATCHED, tmp_path, world=2) == [0, 0]
    assert differing(pair, tmp_path) == set()


def test_a_killed_rank_is_named_by_the_others(tmp_path):
    live(replace(WATCHED, plant="kill", at=10, on=1), tmp_path, world=2)
    # Its connection may break before it is missed.
    assert re.search("rank 1 (is gone|gives no sign of life), last in", noted(tmp_path)[0]["text"])


def test_every_part_of_the_held_out_error_is_a_phase(tmp_path, monkeypatch):
    entered, enter = [], Watch.enter

    def note(self, phase, step):
        entered.append((phase, step))
        enter(self, phase, step)

    monkeypatch.setattr(Watch, "enter", note)
    assert run_tiny(with_loop(validate_every=8), tmp_path, ())
    parts = 3
    assert entered.count(("validation", 8)) == entered.count(("validation", 16)) == parts


@pytest.mark.full
def test_measuring_the_held_out_error_for_longer_than_the_patience_is_no_hang(tmp_path):
    """Two parts a rank: one is shorter than the patience, both are longer."""
    patience = WATCHED.loop.faults.patience
    config = replace(with_loop(WATCHED, validate_every=16), measuring=0.6 * patience)
    assert live(config, tmp_path, world=2) == [0, 0]
    assert [row["step"] for row in Log(tmp_path / "stage" / HELD_OUT).rows()] == [16]


@pytest.mark.full
@pytest.mark.parametrize("plant", ["kill", "stop"])
def test_torchrun_starts_again_from_the_last_good_checkpoint(pair, tmp_path, plant):
    """The command line itself, under torchrun: the losses are those of the undisturbed run."""
    planted, watched = [f"plant={plant}", "at=10", "on=1"], ["loop.faults.beat=0.5", "loop.faults.patience=5"]
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--max-restarts=2", "--shutdown_timeout=1"]
    meeting = ["--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0", "-m", "tests.trainer.tiny_run"]
    run = ["run", "tiny", "--out", str(tmp_path), *(word for one in [*planted, *watched] for word in ("--set", one))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, *torchrun, *meeting, *run]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    assert losses(tmp_path) == losses(pair)
    assert samples(tmp_path) == samples(pair)
    assert json.loads((tmp_path / "record.json").read_text())["calls"][1]["restart"] == 1
