"""Predicted times on several devices beside the published ones: `rows()`, or this file as a script for the whole table.

Constants are fitted on one-device rows only (`engine.timing`), so every row here is a prediction. `named` are the
tables of HunyuanVideo and CogVideoX, which the goal is about; the others are further off and told apart.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))  # run as a script, from anywhere

from rich.console import Console
from rich.table import Table

from engine.axes import MeshShape
from engine.timing import Work, layouts_of, machine_of, predict, published, published_work

GOAL = 0.15


@dataclass(frozen=True)
class Prediction:
    """A published row of several devices and what is predicted for it. `alone`: the table's own one-device row."""

    model: str
    machine: str
    layout: MeshShape
    best_of: int | None  # the table tells only the best of up to so many devices
    published: float
    published_alone: float
    predicted: float
    predicted_alone: float
    named: bool
    fitted: bool  # of a table whose one-device seconds the constants are fitted on
    source: str

    @property
    def error(self) -> float:
        """Of the time relative to one device's, as a share of the published one."""
        return (self.predicted / self.predicted_alone) / (self.published / self.published_alone) - 1

    @property
    def error_in_seconds(self) -> float:
        """Of the time itself."""
        return self.predicted / self.published - 1


def predictions(*, leave_out: bool = False) -> list[Prediction]:
    """For every published row of several devices; with `leave_out` as if its machine were in no table."""
    return [
        _prediction(table, name, steps, seconds, layout, leave_out)
        for table in published()["tables"]
        for name, steps, seconds, layout in table["rows"]
        if layout
    ]


def _prediction(
    table: dict[str, Any], name: str, steps: int, seconds: float, layout: dict[str, int], leave_out: bool
) -> Prediction:
    work, best_of = published_work(table, steps), layout.get("best of")
    machine = machine_of(name, 1, without=name if leave_out else None)
    some = _up_to(best_of, work) if best_of else [MeshShape(**layout)]
    best = min(some, key=lambda one: predict(work, one, machine).total)
    alone = next(row[2] for row in table["rows"] if row[0] == name and not row[3])
    return Prediction(
        table.get("name", table["model"]),
        name,
        best,
        best_of,
        seconds,
        alone,
        predict(work, best, machine).total,
        predict(work, MeshShape(), machine).total,
        table.get("named", False),
        table["fitted"],
        table["source"],
    )


def _up_to(devices: int, work: Work) -> list[MeshShape]:
    return [layout for count in range(2, devices + 1) for layout in layouts_of(count, work, tensor=False)]


def median(errors: Iterable[float]) -> float:
    """Of the absolute errors."""
    return statistics.median(abs(error) for error in errors)


def rows(reduced: bool) -> list[dict[str, Any]]:
    """Median errors in percent; the goal is about the named tables."""
    known, unknown = predictions(), predictions(leave_out=True)
    figures = [
        ("planner: time over one device's, HunyuanVideo and CogVideoX, median error", known, "named", "error", True),
        ("planner: the same, a machine left out of the fit", unknown, "named", "error", True),
        (
            "planner: seconds, tables whose one-device row is fitted, median error",
            known,
            "fitted",
            "error_in_seconds",
            True,
        ),
        ("planner: seconds of a machine left out of the fit", unknown, "fitted", "error_in_seconds", False),
        ("planner: time over one device's, every published row", known, None, "error", False),
    ]
    return [_row(what, found, which, error, is_goal) for what, found, which, error, is_goal in figures]


def _row(what: str, found: list[Prediction], which: str | None, error: str, is_goal: bool) -> dict[str, Any]:
    errors = [getattr(one, error) for one in found if which is None or getattr(one, which)]
    value = 100 * median(errors)
    return {
        "what": f"{what} (n {len(errors)})",
        "ours": value,
        "peer": None,
        "ratio": None,
        "unit": "%",
        "goal": f"< {100 * GOAL:g}" if is_goal else "told",
        "met": value < 100 * GOAL or not is_goal,
    }


def print_all() -> None:
    """Every row, with its source."""
    columns = (
        "model",
        "machine",
        "layout",
        "published s",
        "predicted s",
        "published x",
        "predicted x",
        "error",
        "left out",
    )
    table = Table(*columns, title="published and predicted; x is over one device", caption="\n".join(_sources()))
    for one, other in zip(predictions(), predictions(leave_out=True), strict=True):
        layout = f"{one.layout}" + (f" (best of {one.best_of})" if one.best_of else "")
        speedups = one.published_alone / one.published, one.predicted_alone / one.predicted
        table.add_row(
            one.model,
            one.machine,
            layout,
            *(f"{value:.2f}" for value in (one.published, one.predicted, *speedups)),
            *(f"{100 * value:+.1f} %" for value in (one.error, other.error)),
        )
    Console(width=160).print(table)
    for row in rows(reduced=False):
        print(f"{row['what']}: {row['ours']:.1f} % (goal {row['goal']})")


def _sources() -> list[str]:
    return sorted({one.source for one in predictions()})


if __name__ == "__main__":
    print_all()
