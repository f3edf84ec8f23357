"""The step benchmark compares the same steps, bit for bit; a loop that does another thing is found."""

from pathlib import Path

import pytest
import torch

from tests.benchmarks.trainer_parts import step

TINY = {"hidden": 32, "heads": 2, "depth": 1, "rope_axes": (4, 6, 6)}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(step.SINGLE_DIT, "nano", {**step.SINGLE_DIT["nano"], **TINY})
    monkeypatch.setattr(step, "GRID", (4, 2, 2))
    torch.set_num_threads(1)


def test_the_three_loops_make_the_same_steps(tmp_path: Path) -> None:
    loops = [step.Ours(tmp_path), step.Plain(), step.Accelerated()]
    for loop in loops * 2:
        assert min(loop.turn()) > 0
    loops[0].end()
    assert loops[0].losses == loops[1].losses == loops[2].losses
    assert len(set(loops[0].losses)) == 2 * step.STEPS


def test_control_a_loop_that_does_not_clip_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, other = step.Ours(tmp_path), step.Plain()
    monkeypatch.setattr(other, "clip", lambda: None)
    ours.turn(), other.turn()
    ours.end()
    assert ours.losses != other.losses
    row = step._row("plain", 0, {"ours": [(1.0, 1.0)], "plain": [(2.0, 2.0)]}, ours.losses == other.losses)
    assert row["ratio"] == 0.5
    assert row["met"] is False
