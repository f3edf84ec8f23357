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

from trainer.evaluate.rows import BASELINES, Row

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
        values = [number(row.baselines.get(name)) for name in names]
        met = "[green]yes[/]" if row.met else "[red]no[/]"
        table.add_row(row.what, number(row.ours), *values, row.unit, str(row.goal), met, str(row.scenes))
    Console(width=max(180, Console().width)).print(table)


def write_json(rows: Iterable[Row], path: Path) -> None:
    """A list with the keys that every benchmark of the house writes, and a few of this one's own."""
    here, with_versions = machine(), versions(_PACKAGES)
    path.parent.mkdir(parents=True, exist_ok=True)
    found = [
        {
            "what": row.what,
            "ours": rounded(row.ours),
            "peer": rounded(row.peer),
            "ratio": rounded(row.ratio),
            "unit": row.unit,
            "goal": str(row.goal),
            "met": row.met,
            "machine": here,
            "versions": with_versions,
            "peer_name": row.peer_name,
            "baselines": {name: rounded(value) for name, value in row.baselines.items()},
            "scenes": row.scenes,
            "detail": row.detail,
        }
        for row in rows
    ]
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def machine() -> str:
    """The processor and how many of its cores this process may use."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {len(os.sched_getaffinity(0))} cores"


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Of the packages, of Python, and the commit."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {name: version(name) for name in packages} | {
        "python": platform.python_version(),
        "commit": commit.stdout.strip() or "unknown",
    }


def number(value: float | None) -> str:
    """As it stands in a table."""
    if value is None:
        return "–"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def rounded(value: float | None) -> float | None:
    """As it stands in the JSON."""
    return None if value is None else round(value, 5)
