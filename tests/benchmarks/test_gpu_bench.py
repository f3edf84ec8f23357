"""`make bench-gpu`: without a CUDA device it says so; what it measures is right on the one device there always is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from engine.generate import Engine
from engine.memory import quantise
from engine.planner import WAN_VAE
from tests.benchmarks import gpu
from tests.benchmarks.gpu_parts import large, parity, training


def test_without_a_device_it_says_so_and_measures_nothing(tmp_path: Path) -> None:
    hidden = {"CUDA_VISIBLE_DEVICES": "", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, gpu.__file__, "--out", str(tmp_path / "gpu.json")]
    done = subprocess.run(command, capture_output=True, text=True, env=hidden)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == gpu.NONE
    assert not (tmp_path / "gpu.json").exists()


def test_every_network_is_measured_and_agrees_with_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = gpu.measure(Engine.load(), torch.device("cpu"), rounds=1)
    gpu.print_networks(found)
    gpu.write([gpu.as_row(row) for row in found], "this machine", tmp_path / "gpu.json")
    rows = json.loads((tmp_path / "gpu.json").read_text())
    assert [row["met"] for row in rows] == [True] * 7
    assert all(row["ours"] > 0 and row["peer"] > 0 for row in rows)
    assert all(row["what"] in capsys.readouterr().out for row in rows[:1])


def test_a_network_that_computes_something_else_is_found() -> None:
    """The control."""
    one, other = torch.ones(3), torch.ones(3) * 1.1
    measured = gpu.compare("wrong", lambda: one, lambda: other, torch.device("cpu"), rounds=1)
    assert gpu.as_row(measured)["met"] is False


# --- the large models, at tiny size on the CPU ---

CPU = torch.device("cpu")
TINY = {
    "in_channels": 2,
    "condition_channels": 3,
    "patch_size": (1, 2, 2),
    "hidden": 64,
    "heads": 2,
    "text_dim": 8,
    "rope_axes": (8, 12, 12),
}
TINY_GRIDS = {"480p": (2, 4, 4), "720p": (2, 6, 8)}


@pytest.fixture(autouse=True)
def two_forwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "ENOUGH", 0.0)


def a_lot_of_time() -> float:
    return 1e9


@pytest.mark.parametrize(
    ("kind", "depths"), [("single", {"depth": 1}), ("multimodal", {"dual_depth": 1, "single_depth": 1})]
)
def test_every_way_of_a_model_is_measured(kind: str, depths: dict[str, int]) -> None:
    ways = [large.Case("2b", "480p"), large.Case("2b", "720p", "sdpa")]
    found = list(large.measure_model({**TINY, **depths}, kind, ways, a_lot_of_time, CPU, TINY_GRIDS))
    assert [one.why_not for one in found] == [""] * 2
    assert all(one.seconds > 0 and one.flops > 0 for one in found)
    rows = large.as_rows(found, "NVIDIA H200")
    large.print_rows(rows)
    assert all(row["mfu"] is not None and row["met"] for row in rows)


def test_weights_are_rounded_last() -> None:
    ways = [large.Case("2b", "480p", fp8=True), large.Case("2b", "480p")]
    found = list(large.measure_model({**TINY, "depth": 1}, "single", ways, a_lot_of_time, CPU, TINY_GRIDS))
    assert ["fp8" in one.what for one in found] == [False, True]
    assert [one.why_not for one in found] == ["", ""]


def test_without_torchao_the_other_rows_are_there_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantise, "find_spec", lambda name: None)
    ways = [large.Case("2b", "480p"), large.Case("2b", "480p", fp8=True)]
    whole, rounded = large.measure_model({**TINY, "depth": 1}, "single", ways, a_lot_of_time, CPU, TINY_GRIDS)
    assert whole.why_not == ""
    assert "need torchao" in rounded.why_not


def test_a_backend_that_is_not_there_is_told_and_the_others_run() -> None:
    ways = [large.Case("2b", "480p", "flash"), large.Case("2b", "480p")]
    found = list(large.measure_model({**TINY, "depth": 1}, "single", ways, a_lot_of_time, CPU, TINY_GRIDS))
    assert "flash cannot be used here" in found[0].why_not
    assert found[1].why_not == ""
    assert [row["met"] for row in large.as_rows(found, "an abacus")] == [False, True]


def test_what_there_is_no_time_for_is_told() -> None:
    found = list(large.measure(lambda: 0.0, CPU))
    assert {one.why_not for one in found} == {"no time was left"}
    assert len(found) == len(large.cases()) + 3


def test_decoding_is_measured_in_all_three_ways() -> None:
    config = {**WAN_VAE, "base_dim": 8, "z_dim": 4, "dim_mult": [1, 1, 1, 1]}
    found = list(large.measure_decoding(config, (1, 4, 4), a_lot_of_time, CPU))
    assert [one.why_not for one in found] == [""] * 3


def test_a_device_is_found_by_its_name() -> None:
    assert large.peak_flops("NVIDIA H200") == large.peak_flops("NVIDIA H100 80GB HBM3") == 989.4e12
    assert large.peak_flops("NVIDIA A100-SXM4-80GB") == 312e12
    assert large.peak_flops("an abacus") is None


@pytest.mark.full
def test_ranks_that_share_a_device_are_compared() -> None:
    assert all(row["met"] for row in parity.rows("cpu"))


def test_a_training_step_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "TIMED", 2)
    config = {**TINY, "depth": 1}
    found = list(training.rows(a_lot_of_time, CPU, "NVIDIA H200", config, {"8k": (2, 4, 4)}))
    training.print_rows(found)
    assert [row["why_not"] for row in found] == [""]
    assert found[0]["ours"] is not None and found[0]["seconds"] > 0
    late = list(training.rows(lambda: -1.0, CPU, "NVIDIA H200", config, {"8k": (2, 4, 4)}))
    assert [(row["why_not"], row["met"]) for row in late] == [("no time was left", False)]
