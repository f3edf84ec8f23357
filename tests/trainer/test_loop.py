"""Resume is bitwise, a kill leaves a whole checkpoint, a loss that is not finite stops."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn

from trainer.data import batch_indices
from trainer.loop import LoopConfig, Run, learning_rate, train

CONFIG = LoopConfig(steps=12, batch=4, learning_rate=1e-2, warmup=3, save_every=5, log_every=2, seed=7)


def make(folder: Path, config: LoopConfig = CONFIG) -> tuple[Run, object]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Linear(16, 1))
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
    assert train(run, loss, minutes=0.0) is False
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


def test_the_rate_warms_up_and_falls():
    rates = [learning_rate(CONFIG, step) for step in range(12)]
    assert rates[0] < rates[1] < rates[2] == pytest.approx(1e-2)
    assert all(a >= b for a, b in pairwise(rates[3:]))


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
