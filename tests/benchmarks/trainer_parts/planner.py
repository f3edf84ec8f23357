"""Predicted MFU beside published runs, and how much of the time a run advances when nodes fail.

The peer is what was published. Rows of the two runs that the planner's constant is fitted on, and of runs of which
mesh, length or recompute is not told, say so and have no goal. `python -m trainer plan --published` prints the sources.
"""

from __future__ import annotations

import statistics
from typing import Any

from trainer.plan.devices import Prediction, not_comparable, predictions
from trainer.plan.simulate import Faults, Saving
from trainer.plan.simulate import rows as failures

GOAL = 15.0  # percent
SAVING = Saving(0.0, blocking=5.0, writing=60.0)


def rows(reduced: bool) -> list[dict[str, Any]]:
    found = predictions()
    errors = [100 * abs(one.error) for one in found if not one.fitted]
    median = {
        "what": f"plan: error of predicted MFU, median (n {len(errors)})",
        "ours": statistics.median(errors),
        "peer": None,
        "ratio": None,
        "unit": "%",
        "goal": f"<= {GOAL:g}",
        "met": statistics.median(errors) <= GOAL,
    }
    unknown = [
        _told(f"plan: {one['name']}, {one['figure']}", None, "%", f"not comparable: {one['missing']}")
        for one in not_comparable()
    ]
    return [median, *(_row(one) for one in found), *unknown, *_effective()]


def _row(one: Prediction) -> dict[str, Any]:
    return {
        "what": f"plan: MFU, {one.name}",
        "ours": 100 * one.predicted,
        "peer": 100 * one.published,
        "ratio": one.predicted / one.published,
        "unit": "%",
        "goal": "fitted on it" if one.fitted else f"within {GOAL:g} %",
        "met": one.fitted or 100 * abs(one.error) <= GOAL,
    }


def _effective() -> list[dict[str, Any]]:
    """At Llama 3's failures, with the best interval: the peer is a checkpoint an hour."""
    return [
        {
            "what": f"failures: time that advances, {row.devices:,} devices, saved every {row.best / 60:.0f} min",
            "ours": 100 * row.simulated,
            "peer": 100 * row.hourly,
            "ratio": row.simulated / row.hourly,
            "unit": "%",
            "goal": "more than with one an hour",
            "met": row.simulated > row.hourly,
        }
        for row in failures(SAVING, Faults(), (1000, 10_000))
    ]


def _told(what: str, value: float | None, unit: str, goal: str) -> dict[str, Any]:
    return {"what": what, "ours": value, "peer": None, "ratio": None, "unit": unit, "goal": goal, "met": True}
