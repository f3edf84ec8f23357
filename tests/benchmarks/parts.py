"""What the benchmarks of several parts share: run them one after the other, print the table, write the JSON.

Each file of `NAME_parts` is a part; its `rows(reduced)` gives rows of what, ours, peer, ratio, unit, goal, met. A part
that fails is told, the others run; the exit code is 1.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.i2v_parts.report import machine, number, rounded, versions

ROOT = Path(__file__).parents[2]
COLUMNS = ("what", "ours", "peer", "ratio", "unit", "goal", "met")


def run(name: str, about: str | None, packages: Sequence[str]) -> int:
    """The benchmark `name` as its command line asks for it; `about` it for `--help`."""
    every = sorted(path.stem for path in (Path(__file__).parent / f"{name}_parts").glob("*.py"))
    every = [part for part in every if part != "__init__"]
    options = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", nargs="+", choices=every, default=every, help="some parts of the run")
    options.add_argument("--reduced", action="store_true", help="fewer repetitions: a quick look")
    options.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / f"{name}.json")
    chosen = options.parse_args()
    rows, failed = measure(name, chosen.only, chosen.reduced)
    print_table(name, rows)
    write_json(rows, chosen.out, packages)
    for part in failed:
        print(f"The part {part} failed: see above.", file=sys.stderr)
    return 1 if failed else 0


def measure(name: str, parts: Sequence[str], reduced: bool) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of these parts, one part after the other, and the parts that failed."""
    rows, failed = [], []
    for part in parts:
        try:
            rows += importlib.import_module(f"tests.benchmarks.{name}_parts.{part}").rows(reduced)
        except Exception:
            traceback.print_exc()
            failed.append(part)
    return rows, failed


def print_table(name: str, rows: list[dict[str, Any]]) -> None:
    table = Table(*COLUMNS, title=name)
    for row in rows:
        met = "[green]yes[/]" if row["met"] else "[red]no[/]"
        table.add_row(
            row["what"], *(number(row[name]) for name in ("ours", "peer", "ratio")), row["unit"], row["goal"], met
        )
    Console(width=max(160, Console().width)).print(table)


def write_json(rows: list[dict[str, Any]], path: Path, packages: Sequence[str]) -> None:
    """A list with the keys that every benchmark of the house writes."""
    about = {"machine": machine(), "versions": versions(packages)}
    values = ("ours", "peer", "ratio")
    found = [row | {name: rounded(row[name]) for name in values} | about for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
