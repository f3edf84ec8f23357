"""What is told of a stage while it trains: the progress bar, the logs, TensorBoard, and how even the ranks are."""

from __future__ import annotations

import time
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from engine.device import name_of
from trainer.log import Tally
from trainer.meter import Meter, Work
from trainer.plan.devices import peak_of

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
        self.boards = run.folder / "tensorboard"
        self.meter, self.work = Meter(run.modules, run.spread.recompute), Work()
        self.peak = run.config.peak_tflops or _peak(run)
        self.told = self.held_out = ""  # for the bar
        self.worked = 0.0  # seconds of this rank's own since the last row
        self.since, self.first = time.monotonic(), run.step
        self._open = ExitStack()

    def __enter__(self) -> Report:
        self._open.enter_context(self.bar)
        self._open.callback(self.meter.close)
        if self.writes and self.run.config.tensorboard and self.boards.exists():
            self._begin_board()
            self._take_back()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()

    def begin_step(self) -> None:
        """What a step that was not made has counted, does not count."""
        self.meter.take()

    def step(self, batch: int, made: dict[str, float], worked: float) -> None:
        """A step on `batch` was made; its means, and the seconds that this rank worked on it before it waited."""
        run = self.run
        run.tally.add(made)
        self.worked += worked
        self.work += self.meter.take()
        if self.writes:
            run.steps_log.append({"step": run.step, "batch": batch, **made})
        if run.step % run.config.log_every == 0 or run.finished:
            self._row()
        self.bar.update(self.task, completed=run.step)

    def validated(self, digest: str, found: dict[str, float]) -> None:
        """The held-out error after the last step, of what has this digest."""
        if not self.writes:
            return
        self.run.held_out_log.append({"step": self.run.step, "of": digest, **found})
        self._tell({f"held_out/{name}": value for name, value in found.items()})
        self.held_out = f" held-out {found['loss']:.4f}"
        self._describe()

    def went_back(self) -> None:
        """Steps were taken back, and what was counted and told since with them."""
        self._count_anew()
        self._take_back()
        self.bar.update(self.task, completed=self.run.step)

    def _count_anew(self) -> None:
        self.worked, self.work, self.since, self.first = 0.0, Work(), time.monotonic(), self.run.step

    def _row(self) -> None:
        run, means = self.run, self.run.tally.means()
        steps, seconds = run.step - self.first, time.monotonic() - self.since
        speed = self._speed(steps, seconds) | self._evenness(max(1, steps))
        if self.writes:
            run.log.write(run.step, means)
            self._tell({**means, **speed})
            self.told = f" loss {means['loss']:.4f}{_told(speed)}"
            self._describe()
        run.tally = Tally()
        self._count_anew()

    def _describe(self) -> None:
        self.bar.update(self.task, description=f"{self.run.folder.name}{self.told}{self.held_out}")

    def _speed(self, steps: int, seconds: float) -> dict[str, float]:
        """Of all ranks by the clock on the wall, waiting and saving with it; empty where no step was made."""
        run = self.run
        # Every rank asks the others alike, whatever its own clock says.
        work = self.work.over(run.ranks, run.spread.data_size) if self.meter.counts else None
        if seconds <= 0 or steps <= 0:
            return {}
        left = (run.config.steps - run.step) * seconds / steps
        speed = {"steps_per_second": steps / seconds, "seconds_left": left}
        if work is None:
            return speed
        speed |= {"tokens_per_second": work.tokens / seconds, "flops_per_second": work.model / seconds}
        if self.peak is not None:
            whole = seconds * run.ranks.world * self.peak * 1e12
            speed |= {"mfu": work.model / whole, "hfu": work.hardware / whole}
        return speed

    def _evenness(self, steps: int) -> dict[str, float]:
        """The slowest rank's own seconds over the mean of all, and who it is; and the same of the operations that each
        was given, which is what its seconds were to be.
        """
        if self.run.ranks.world == 1:
            return {}
        each = [seconds / steps for seconds in self.run.ranks.each(self.worked)]
        slowest = max(range(len(each)), key=each.__getitem__)
        found = {"slowest_over_mean": _over_mean(each), "slowest_rank": float(slowest)}
        if self.meter.counts:
            found["predicted_slowest_over_mean"] = _over_mean(self.run.ranks.each(self.work.hardware))
        return found

    def _tell(self, values: dict[str, float]) -> None:
        if not self.run.config.tensorboard:
            return
        if self.board is None:
            self._begin_board()
        for name, value in values.items():
            self.board.add_scalar(name, value, self.run.step)

    def _begin_board(self) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.board = SummaryWriter(str(self.boards))
        self._open.callback(self.board.close)

    def _take_back(self) -> None:
        """TensorBoard shows no steps any more that the run does not have: they were told of before it went back, or by
        a call after whose last checkpoint they came.
        """
        if self.board is None:
            return
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        # What SummaryWriter writes for its `purge_step`, which it takes in the beginning only: readers drop what they
        # have read of this step and later ones.
        begins = SessionLog(status=SessionLog.START)
        self.board.file_writer.add_event(Event(session_log=begins), self.run.step + 1)


def _told(speed: dict[str, float]) -> str:
    """For the progress bar: shares of the device's peak where that is known, else operations a second."""
    found = [
        f"{speed[name] * scale:{form}}{unit}"
        for name, scale, form, unit in (
            ("steps_per_second", 1.0, ".2f", " steps/s"),
            ("tokens_per_second", 1.0, ",.0f", " tokens/s"),
            ("mfu", 100.0, ".1f", " % MFU"),
            ("hfu", 100.0, ".1f", " % HFU"),
            ("slowest_over_mean", 1.0, ".2f", " slowest/mean"),
            ("predicted_slowest_over_mean", 1.0, ".2f", " predicted"),
        )
        if name in speed
    ]
    if "mfu" not in speed and "flops_per_second" in speed:
        found.append(f"{speed['flops_per_second'] / 1e9:,.1f} GFLOP/s")
    return "".join(f" {one}" for one in found)


def _over_mean(values: list[float]) -> float:
    return max(values) * len(values) / max(sum(values), 1e-9)


def _peak(run: Run) -> float | None:
    """Dense TFLOP/s of a rank's device by its data sheet; None where that is not known, as of a CPU."""
    device = run.device
    return None if device.type == "cpu" else peak_of(name_of(device))
