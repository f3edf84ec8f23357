"""What a stage logs: the means of its losses over the steps since the last row, one JSON object a line."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Within a stage's folder: every step's loss as it was, to compare runs by; and the held-out errors.
STEPS, HELD_OUT = "steps.jsonl", "validation.jsonl"


@dataclass
class Tally:
    """Sums over `count` steps; kept in the checkpoint, so that a row means the same whether a run was paused or not."""

    count: int = 0
    sums: dict[str, float] = field(default_factory=dict)

    def add(self, metrics: dict[str, float]) -> None:
        self.count += 1
        for key, value in metrics.items():
            self.sums[key] = self.sums.get(key, 0.0) + value

    def means(self) -> dict[str, float]:
        return {key: round(value / self.count, 6) for key, value in self.sums.items()}


class Log:
    """A stage's `log.jsonl`: rows of step, time (seconds since 1970) and means."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, step: int, means: dict[str, float]) -> None:
        self.append({"step": step, "time": round(time.time()), **means})

    def append(self, row: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # of a row that a kill left half-written: it must not swallow this one
                    file.write(b"\n")
            file.write(json.dumps(row).encode() + b"\n")

    def rows(self) -> list[dict[str, Any]]:
        """Every whole row; what a kill left half-written is none."""
        found = []
        for line in self.path.read_text().splitlines() if self.path.exists() else []:
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return found

    def forget_after(self, step: int) -> None:
        """Drop the rows of later steps."""
        if not self.path.exists():
            return
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text("".join(json.dumps(row) + "\n" for row in self.rows() if row["step"] <= step))
        temporary.replace(self.path)

    def last_means(self) -> dict[str, float]:
        """Mean of the last fifth of the rows."""
        rows = self.rows()
        rows = rows[-max(1, len(rows) // 5) :]
        keys = dict.fromkeys(key for row in rows for key in row if key not in ("step", "time"))
        found = {key: [row[key] for row in rows if key in row] for key in keys}
        return {key: round(sum(values) / len(values), 5) for key, values in found.items()}
