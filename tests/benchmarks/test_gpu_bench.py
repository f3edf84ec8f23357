"""`make bench-gpu`: without a CUDA device it says so; what it measures is right on the one device there always is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from engine.generate import Engine
from tests.benchmarks import gpu


def test_without_a_device_it_says_so_and_measures_nothing(tmp_path: Path) -> None:
    hidden = {"CUDA_VISIBLE_DEVICES": "", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, gpu.__file__, "--out", str(tmp_path / "gpu.json")]
    done = subprocess.run(command, capture_output=True, text=True, env=hidden)
    assert done.returncode == 1
    assert done.stderr.strip() == gpu.NONE
    assert not (tmp_path / "gpu.json").exists()


def test_every_network_is_measured_and_agrees_with_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = gpu.measure(Engine.load(), torch.device("cpu"), rounds=1)
    gpu.report(found, "this machine", tmp_path / "gpu.json")
    rows = json.loads((tmp_path / "gpu.json").read_text())
    assert [row["met"] for row in rows] == [True] * 5
    assert all(row["ours"] > 0 and row["peer"] > 0 for row in rows)
    assert all(row["what"] in capsys.readouterr().out for row in rows[:1])


def test_a_network_that_computes_something_else_is_found() -> None:
    """The control."""
    one, other = torch.ones(3), torch.ones(3) * 1.1
    measured = gpu.compare("wrong", lambda: one, lambda: other, torch.device("cpu"), rounds=1)
    assert gpu.as_row(measured, "this machine")["met"] is False
