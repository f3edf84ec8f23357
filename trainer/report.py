"""What is told of a stage while it trains: the progress bar, the logs, TensorBoard, and how even the ranks are."""

from __future__ import annotations

import time
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from trainer.log import Tally

if TYPE_CHECKING:
    from trainer.run import Run


class Report:
    """Told of every step by the loop; rank 0 writes."""

    def __init__(self, run: Run) -> None:
        self.run, self.writes = run, run.ranks.rank == 0
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        # Once a second: every drawing takes CPU time from the steps.
        self.bar = Progress(*columns, disable=not self.writes, refresh_per_second=1)
        self.task = self.bar.add_task(run.folder.name, total=run.config.steps, completed=run.step)
        self.board: Any = None
        self.worked = 0.0  # seconds of this rank's own since the last row
        self.since, self.first = time.monotonic(), run.step
        self._open = ExitStack()

    def __enter__(self) -> Report:
        self._open.enter_context(self.bar)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()

    def step(self, batch: int, made: dict[str, float], worked: float) -> None:
        """A step on `batch` was made; its means, and the seconds that this rank worked on it before it waited."""
        run = self.run
        run.tally.add(made)
        self.worked += worked
        if self.writes:
            run.steps_log.append({"step": run.step, "batch": batch, **made})
        if run.step % run.config.log_every == 0 or run.finished:
            self._row()
        self.bar.update(self.task, completed=run.step)

    def went_back(self) -> None:
        """Steps were taken back, and what was counted since with them."""
        self.worked, self.since, self.first = 0.0, time.monotonic(), self.run.step

    def _row(self) -> None:
        run, means = self.run, self.run.tally.means()
        steps, seconds = run.step - self.first, time.monotonic() - self.since
        speed = {"steps_per_second": steps / seconds} if seconds > 0 and steps > 0 else {}
        speed |= self._evenness(max(1, steps))
        if self.writes:
            run.log.write(run.step, means)
            self._tell({**means, **speed})
            told = "".join(f" {speed[name]:.2f} {unit}" for name, unit in UNITS.items() if name in speed)
            self.bar.update(self.task, description=f"{run.folder.name} loss {means['loss']:.4f}{told}")
        run.tally = Tally()
        self.went_back()

    def _evenness(self, steps: int) -> dict[str, float]:
        """The slowest rank's own seconds over the mean of all, and who it is."""
        if self.run.ranks.world == 1:
            return {}
        each = [seconds / steps for seconds in self.run.ranks.each(self.worked)]
        slowest = max(range(len(each)), key=each.__getitem__)
        return {"slowest_over_mean": each[slowest] * len(each) / max(sum(each), 1e-9), "slowest_rank": float(slowest)}

    def _tell(self, values: dict[str, float]) -> None:
        if not self.run.config.tensorboard:
            return
        if self.board is None:
            from torch.utils.tensorboard import SummaryWriter

            # What was told of steps that were taken back is taken back too.
            self.board = SummaryWriter(str(self.run.folder / "tensorboard"), purge_step=self.run.step)
            self._open.callback(self.board.close)
        for name, value in values.items():
            self.board.add_scalar(name, value, self.run.step)


UNITS = {"steps_per_second": "steps/s", "slowest_over_mean": "slowest/mean"}
