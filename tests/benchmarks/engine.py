"""The figures of the engine: `make bench NAME=engine`, or `python tests/benchmarks/engine.py --only planner --reduced`.

Each file of `engine_parts` is a part; its `rows(reduced)` gives rows of what, ours, peer, ratio, unit, goal, met. The
table is printed and `build/bench/engine.json` written. A part that fails is told, the others run; the exit code is 1.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # run as a script, from anywhere
sys.path = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).parent]  # `engine` is ours

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from tests.benchmarks.i2v_parts.report import machine, number, rounded, versions  # noqa: E402

PARTS = sorted(path.stem for path in (Path(__file__).parent / "engine_parts").glob("*.py") if path.stem != "__init__")
PACKAGES = ("torch", "diffusers", "cache-dit", "torchao")
COLUMNS = ("what", "ours", "peer", "ratio", "unit", "goal", "met")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="some parts of the run")
    options.add_argument("--reduced", action="store_true", help="fewer repetitions: a quick look")
    options.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "engine.json")
    chosen = options.parse_args()
    rows, failed = measure(chosen.only, chosen.reduced)
    print_table(rows)
    write_json(rows, chosen.out)
    for part in failed:
        print(f"The part {part} failed: see above.", file=sys.stderr)
    return 1 if failed else 0


def measure(parts: list[str], reduced: bool) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of these parts, one part after the other, and the parts that failed."""
    rows, failed = [], []
    for part in parts:
        try:
            rows += importlib.import_module(f"tests.benchmarks.engine_parts.{part}").rows(reduced)
        except Exception:
            traceback.print_exc()
            failed.append(part)
    return rows, failed


def print_table(rows: list[dict[str, Any]]) -> None:
    table = Table(*COLUMNS, title="engine")
    for row in rows:
        met = "[green]yes[/]" if row["met"] else "[red]no[/]"
        table.add_row(
            row["what"], *(number(row[name]) for name in ("ours", "peer", "ratio")), row["unit"], row["goal"], met
        )
    Console(width=max(160, Console().width)).print(table)


def write_json(rows: list[dict[str, Any]], path: Path) -> None:
    """A list with the keys that every benchmark of the house writes."""
    about = {"machine": machine(), "versions": versions(PACKAGES)}
    values = ("ours", "peer", "ratio")
    found = [row | {name: rounded(row[name]) for name in values} | about for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
