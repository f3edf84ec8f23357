"""Resume is bitwise, a kill leaves a whole checkpoint, a loss that is not finite stops."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from trainer.data import batch_indices
from trainer.draws import Draws, normal_like_whole
from trainer.log import Log
from trainer.loop import LoopConfig, Run, learning_rate, train

CONFIG = LoopConfig(steps=12, batch=4, learning_rate=1e-2, warmup=3, save_every=5, log_every=2, seed=7)


def make(folder: Path, config: LoopConfig = CONFIG, width: int = 16) -> tuple[Run, object]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, width), nn.GELU(), nn.Linear(width, 1))
    run = Run(folder, {"model": model}, config)

    def loss(step: int, generator: torch.Generator):
        x = torch.randn(config.batch, 6, generator=generator)
        value = (model(x).float() - x.sum(-1, keepdim=True)).square().mean()
        return value, {"half": value.item() / 2}

    return run, loss


def weights(run: Run) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in [*run.net.parameters(), *run.average.values()]])


def test_a_run_that_was_cut_ends_with_the_same_bits(tmp_path):
    whole, loss = make(tmp_path / "whole")
    assert train(whole, loss)
    cut, loss = make(tmp_path / "cut")
    stop_at(cut, loss, 5)
    resumed, loss = make(tmp_path / "cut")
    assert resumed.step == 5
    assert train(resumed, loss)
    assert torch.equal(weights(whole), weights(resumed))


@pytest.mark.parametrize("kind", ["fused", "8bit"])
@pytest.mark.parametrize("checkpoints", ["file", "sync"])
def test_every_optimiser_goes_on_with_the_same_bits(tmp_path, kind, checkpoints):
    config = replace(CONFIG, optimiser=kind, checkpoints=checkpoints)
    whole, loss = make(tmp_path / "whole", config, width=1024)  # moments of 8 bits begin at 4,096 numbers
    assert train(whole, loss)
    cut, loss = make(tmp_path / "cut", config, width=1024)
    stop_at(cut, loss, 5)
    resumed, loss = make(tmp_path / "cut", config, width=1024)
    assert resumed.step == 5
    assert train(resumed, loss)
    assert torch.equal(weights(whole), weights(resumed))
    plain, loss = make(tmp_path / "plain", width=1024)  # the control: it is another optimiser
    train(plain, loss)
    assert not torch.equal(weights(whole), weights(plain))


def test_moments_of_8_bits_are_read_by_a_process_that_has_made_none(tmp_path):
    run, loss = make(tmp_path / "run", replace(CONFIG, optimiser="8bit", checkpoints="file"), width=1024)
    stop_at(run, loss, 5)
    read = f"from pathlib import Path; from trainer.checkpoint import read_file; read_file(Path({str(run.folder)!r}))"
    subprocess.run([sys.executable, "-c", read], check=True)


def test_a_run_goes_on_with_the_optimiser_that_it_began_with(tmp_path):
    run, loss = make(tmp_path / "run")
    stop_at(run, loss, 5)
    with pytest.raises(ValueError, match="optimiser"):
        make(tmp_path / "run", replace(CONFIG, optimiser="fused"))
    with pytest.raises(ValueError, match="no optimiser 'sgd'"):
        make(tmp_path / "other", replace(CONFIG, optimiser="sgd"))


def test_control_forgetting_the_optimiser_changes_the_bits(tmp_path):
    whole, loss = make(tmp_path / "whole")
    train(whole, loss)
    cut, loss = make(tmp_path / "cut")
    stop_at(cut, loss, 5)
    resumed, loss = make(tmp_path / "cut")
    resumed.optimiser.state.clear()
    train(resumed, loss)
    assert not torch.equal(weights(whole), weights(resumed))


def test_minutes_pause_a_run_that_goes_on_later(tmp_path):
    run, loss = make(tmp_path / "run")
    assert train(run, loss, deadline=0.0) is False
    assert run.checkpoint.exists()
    again, loss = make(tmp_path / "run")
    assert train(again, loss) is True


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(tmp_path):
    run, loss = make(tmp_path / "run")
    stop_at(run, loss, 5)
    before = run.checkpoint.read_bytes()
    with pytest.raises(RuntimeError, match="step 5 is not finite"):
        train(run, lambda step, generator: (torch.tensor(float("nan"), requires_grad=True), {}))
    assert run.checkpoint.read_bytes() == before


def test_the_log_says_what_was_lost_at_which_step(tmp_path):
    run, loss = make(tmp_path / "run")
    train(run, loss)
    rows = [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 6, 8, 10, 12]
    assert all(abs(row["half"] * 2 - row["loss"]) < 1e-4 for row in rows)


def constant(run: Run):
    """A loss that is always 1, so that every mean of it is 1."""

    def loss(step: int, generator: torch.Generator):
        return sum(p.sum() for p in run.net.parameters()) * 0 + 1.0, {}

    return loss


LONG = replace(CONFIG, steps=50, log_every=20, save_every=10)


def test_a_pause_does_not_change_what_is_logged(tmp_path, monkeypatch):
    run, _ = make(tmp_path / "run", LONG)
    monkeypatch.setattr("trainer.loop.time", SimpleNamespace(monotonic=lambda: run.step))
    train(run, constant(run), deadline=17)
    assert run.step == 17
    again, _ = make(tmp_path / "run", LONG)
    train(again, constant(again))
    assert [(row["step"], row["loss"]) for row in again.log.rows()] == [(20, 1.0), (40, 1.0), (50, 1.0)]


def test_a_kill_logs_no_step_twice_and_the_same_as_no_kill(tmp_path):
    whole, loss = make(tmp_path / "whole")
    train(whole, loss)
    cut, loss = make(tmp_path / "cut")
    stop_at(cut, loss, 9)
    with (cut.folder / "log.jsonl").open("a") as log:
        log.write('{"step": 10, "lo')  # the kill came in the middle of a row
    assert cut.log.rows()[-1]["step"] == 8
    resumed, loss = make(tmp_path / "cut")
    assert resumed.step == 5
    train(resumed, loss)
    assert without_time(resumed.log.rows()) == without_time(whole.log.rows())


def test_a_finished_run_is_left_as_it_is(tmp_path):
    run, loss = make(tmp_path / "run")
    train(run, loss)
    before = {path.name: path.stat().st_mtime_ns for path in run.folder.iterdir()}
    again, loss = make(tmp_path / "run")
    assert train(again, loss)
    assert {path.name: path.stat().st_mtime_ns for path in run.folder.iterdir()} == before


def test_a_run_that_is_only_looked_at_makes_no_folder(tmp_path):
    make(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"learning_rate": 0.5}, r"loop\.learning_rate is 0\.01, asked for 0\.5"),
        ({"batch": 8}, r"loop\.batch is 4, asked for 8"),
        ({"steps": 3}, "has 12 steps, more than the 3"),
    ],
)
def test_another_recipe_does_not_go_on_with_a_checkpoint(tmp_path, change, says):
    run, loss = make(tmp_path / "run")
    train(run, loss)
    with pytest.raises(ValueError, match=says):
        make(tmp_path / "run", replace(CONFIG, **change))


def test_other_data_and_other_modules_do_not_go_on_with_a_checkpoint(tmp_path):
    Run(tmp_path, {"model": nn.Linear(2, 2)}, CONFIG, {"clips": 10}).save()
    with pytest.raises(ValueError, match=r"data\.clips is 10, asked for 20"):
        Run(tmp_path, {"model": nn.Linear(2, 2)}, CONFIG, {"clips": 20})
    with pytest.raises(ValueError, match=r"other weights \(model\.bias, model\.weight\)"):
        Run(tmp_path, {"model": nn.Linear(2, 3)}, CONFIG, {"clips": 10})


def test_more_steps_and_another_rhythm_may_be_asked_for(tmp_path):
    run, loss = make(tmp_path / "run")
    train(run, loss)
    more, loss = make(tmp_path / "run", replace(CONFIG, steps=15, save_every=1, log_every=5))
    assert more.step == 12
    assert train(more, loss) and more.step == 15


def test_a_checkpoint_of_an_earlier_version_goes_on_and_notes_its_recipe(tmp_path):
    run, loss = make(tmp_path / "run")
    stop_at(run, loss, 5)
    state = torch.load(run.checkpoint, weights_only=True)
    torch.save({key: state[key] for key in ("net", "average", "step", "optimiser")}, run.checkpoint)
    again, loss = make(tmp_path / "run")
    assert train(again, loss)
    assert torch.load(again.checkpoint, weights_only=True)["recipe"] == run.recipe


def test_an_epoch_draws_each_item_once_and_depends_on_seed_and_step_alone():
    sizes = {"a": 20, "b": 12}
    seen: dict[str, list[int]] = {"a": [], "b": []}
    for step in range(100):
        format, items = batch_indices(5, step, sizes, 4)
        if len(seen[format]) < sizes[format]:
            seen[format] += items.tolist()
    assert {name: sorted(items) for name, items in seen.items()} == {"a": list(range(20)), "b": list(range(12))}
    first, again = batch_indices(5, 42, sizes, 4), batch_indices(5, 42, sizes, 4)
    assert first[0] == again[0] and first[1].tolist() == again[1].tolist()
    assert batch_indices(6, 42, sizes, 4)[1].tolist() != first[1].tolist()


def test_more_checkpoints_than_the_one_file_are_no_single_process_s(tmp_path):
    run, loss = make(tmp_path / "file", replace(CONFIG, keep=3))
    with pytest.raises(ValueError, match=r"a single file, and not 3 checkpoints: set `checkpoints` to async or sync"):
        train(run, loss)
    assert not (tmp_path / "file").exists()
    run, loss = make(tmp_path / "folders", replace(CONFIG, keep=3, checkpoints="sync", save_every=2))
    assert train(run, loss) and len(run.kept.steps()) == 3
    assert make(tmp_path / "folders", replace(CONFIG, keep=3))[0].finished, "the control: folders go on"


def test_a_row_that_a_kill_left_half_written_does_not_swallow_the_next(tmp_path):
    log = Log(tmp_path / "faults.jsonl")
    log.append({"left_out": [1]})
    with log.path.open("a") as file:
        file.write('{"left_out": [2')
    log.append({"left_out": [3]})
    log.append({"left_out": [4]})
    assert [row["left_out"] for row in log.rows()] == [[1], [3], [4]]


def test_an_epoch_that_is_no_whole_number_of_batches_draws_each_item_once_too():
    sizes = {"a": 7, "b": 9}
    seen: dict[str, list[int]] = {"a": [], "b": []}
    for step in range(126):
        format, items = batch_indices(5, step, sizes, 4)
        seen[format] += items.tolist()
    for name, size in sizes.items():
        epochs = [seen[name][start : start + size] for start in range(0, len(seen[name]), size)]
        assert len(epochs) == 252 // size and all(sorted(epoch) == list(range(size)) for epoch in epochs)
        assert len({tuple(epoch) for epoch in epochs}) > 10, "each in another order"


def test_whole_epochs_are_in_the_order_that_they_always_had():
    """Runs that were begun before epochs of any length go on with the same bits where theirs had no tail."""
    for step in range(40):
        order = np.random.default_rng((5, 0, step // 5)).permutation(20)
        assert batch_indices(5, step, {"all": 20}, 4)[1].tolist() == order[step % 5 * 4 :][:4].tolist()


def test_parts_of_a_batch_draw_what_the_whole_draws():
    whole = Draws.of(7, 3, range(6), 6)
    expected, of_rows = normal_like_whole(whole, 6, 2), whole.normal(2)
    parts = [Draws.of(7, 3, rows, 6) for rows in (range(4), range(4, 6))]
    assert torch.equal(torch.cat([part.normal(2) for part in parts]), of_rows)
    parts = [Draws.of(7, 3, rows, 6) for rows in (range(4), range(4, 6))]
    assert torch.equal(torch.cat([normal_like_whole(part, len(part.rows), 2) for part in parts]), expected)
    assert len({tuple(row) for row in of_rows.tolist()}) == 6
    assert not torch.equal(Draws.of(7, 4, range(6), 6).normal(2), of_rows)
    assert not torch.equal(Draws.of(8, 3, range(6), 6).normal(2), of_rows)


def test_a_loss_of_whole_batches_is_refused_where_a_rank_has_a_part(tmp_path):
    run, loss = make(tmp_path / "run", replace(CONFIG, microbatches=2))
    with pytest.raises(ValueError, match="takes whole batches"):
        train(run, loss)


def test_the_rate_warms_up_and_falls():
    rates = [learning_rate(CONFIG, step) for step in range(12)]
    assert rates[0] < rates[1] < rates[2] == pytest.approx(1e-2)
    assert all(a >= b for a, b in pairwise(rates[3:]))


def without_time(rows: list[dict]) -> list[dict]:
    return [{key: value for key, value in row.items() if key != "time"} for row in rows]


def stop_at(run: Run, loss, step: int) -> None:
    """Train like `train`, but leave after the checkpoint of this step, as a kill would."""

    class Killed(Exception):
        pass

    def until(at: int, generator: torch.Generator):
        if at == step:
            raise Killed
        return loss(at, generator)

    with pytest.raises(Killed):
        train(run, until)
