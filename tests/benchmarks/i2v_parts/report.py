"""Rows as a table on the terminal and as JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks.i2v_parts.rows import BASELINES, Row

ROOT = Path(__file__).parents[3]
_PACKAGES = ("torch", "numpy", "opencv-python-headless", "av", "scikit-image")


def print_table(rows: Iterable[Row]) -> None:
    rows = list(rows)
    known = {name for row in rows for name in row.baselines}
    names = [name for name in BASELINES if name in known] + sorted(known - set(BASELINES))
    table = Table(title="image to video")
    for column in ("what", "ours", *names, "unit", "goal", "met", "n"):
        table.add_column(column, justify="right" if column in ("ours", *names, "n") else "left")
    for row in rows:
        values = [_number(row.baselines.get(name)) for name in names]
        met = "[green]yes[/]" if row.met else "[red]no[/]"
        table.add_row(row.what, _number(row.ours), *values, row.unit, str(row.goal), met, str(row.scenes))
    Console(width=max(180, Console().width)).print(table)


def write_json(rows: Iterable[Row], path: Path) -> None:
    """A list with the keys that every benchmark of the house writes, and a few of this one's own."""
    machine, versions = _machine(), _versions()
    path.parent.mkdir(parents=True, exist_ok=True)
    found = [
        {
            "what": row.what,
            "ours": _rounded(row.ours),
            "peer": _rounded(row.peer),
            "ratio": _rounded(row.ratio),
            "unit": row.unit,
            "goal": str(row.goal),
            "met": row.met,
            "machine": machine,
            "versions": versions,
            "peer_name": row.peer_name,
            "baselines": {name: _rounded(value) for name, value in row.baselines.items()},
            "scenes": row.scenes,
            "detail": row.detail,
        }
        for row in rows
    ]
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {len(os.sched_getaffinity(0))} cores"


def _versions() -> dict[str, str]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {name: version(name) for name in _PACKAGES} | {
        "python": platform.python_version(),
        "commit": commit.stdout.strip() or "unknown",
    }


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)
