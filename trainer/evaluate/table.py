"""Figures as a table on the terminal, and numbers as people read them."""

from __future__ import annotations

from rich.table import Table

from trainer.evaluate.cases import KINDS, OURS
from trainer.evaluate.figures import Figure


def table_of(figures: list[Figure]) -> Table:
    """All figures with all their baselines."""
    table = Table(title="evaluation")
    for column in ("figure", *KINDS, "unit", "better", "n"):
        table.add_column(column)
    for figure in figures:
        told = [number(figure.values.get(kind)) for kind in KINDS]
        if figure.ours is None:
            told[KINDS.index(OURS)] = "not measured"
        table.add_row(figure.name, *told, figure.unit, figure.better, str(figure.scenes or ""))
    return table


def number(value: float | None) -> str:
    if not value:
        return "" if value is None else "0"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
