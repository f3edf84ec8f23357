"""The training loop: one path from step to step, on one process or many, exact on resume.

All randomness of a step is a function of (seed, number of the batch, row of the batch) and never of the rank, so that
a resumed run continues bit for bit on the same machine, and needs no saved random state.
"""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from torch import Tensor

from trainer.checks import check_loop
from trainer.claim import alone
from trainer.draws import Draws
from trainer.kernels import kernels
from trainer.optimisation import FREE, LoopConfig
from trainer.parallel.optimiser import set_rate
from trainer.report import Report
from trainer.run import Run, Stopped, learning_rate
from trainer.validation import Validation, measure
from trainer.watch import Watch

__all__ = ["FREE", "LoopConfig", "Loss", "LossValue", "Run", "Stopped", "learning_rate", "train"]

LossValue = tuple[Tensor, dict[str, float]]  # what is minimised, and what is logged beside it: means over the rows
Loss = Callable[[int, Draws], LossValue]  # of a batch by its number; a `Draws` is a torch.Generator
Cut = Callable[[int], tuple[int, int]]  # of a batch by its number: its rows, and a rank's microbatches


def train(
    run: Run,
    loss: Loss,
    *,
    deadline: float = math.inf,
    size: Callable[[int], int] | None = None,
    microbatches: Callable[[int], int] | None = None,
    validation: Validation | None = None,
) -> bool:
    """Train until the stage is finished (True) or `time.monotonic()` reaches the deadline (False).

    `size`: how many rows a batch has, by its number; all as many as `config.batch` without it. `microbatches`: into how
    many a rank cuts its part of it; all into `config.microbatches`. `validation` is measured every
    `config.validate_every` steps and at the end: ValueError where it is asked for and there is none.

    Goes on where the run stands; a finished run is left as it is. Under torchrun every rank calls this, and its loss
    takes the rows that `draws.rows` names. Stopped: the loss is not finite, or faults follow one another; the last
    checkpoint is from before that step.
    """
    if run.finished:
        return True
    config = run.config
    if config.validate_every and validation is None:
        raise ValueError(f"The stage {run.folder.name} has no held-out samples: set its validate_every to 0.")
    check_loop(config, run.ranks.world, is_in_folders=run.saved == "folder")
    rows, parts = size or (lambda _: config.batch), microbatches or (lambda _: config.microbatches)
    with _alone(run):
        run.forget_later()
        _loop(run, loss, deadline, lambda batch: (rows(batch), parts(batch)), validation)
    return run.finished


@contextmanager
def _alone(run: Run) -> Iterator[None]:
    """Rank 0 has the stage's folder to itself; every rank is told where another process trains there: both would keep
    their checkpoints under one name, and log into the same files.
    """
    with ExitStack() as held:
        refused = None
        try:
            if run.ranks.rank == 0:
                held.enter_context(alone(run.folder, "trains in"))
        except ValueError as error:
            refused = error
        if run.ranks.any(refused is not None):
            raise refused or ValueError(f"Another process trains in {run.folder}.")
        yield


def _loop(run: Run, loss: Loss, deadline: float, cut: Cut, validation: Validation | None) -> None:
    """Step after step, until the stage is finished or the deadline has come; then all is kept."""
    config, saved = run.config, run.step if run.saved else None
    if config.faults.spike and run.saved != "folder":
        run.save()  # something to go back to
        saved = run.step
    watch = Watch(run.folder, run.ranks, config.faults, run.faults)
    with Report(run) as report, watch:
        while not run.finished and not _late(run, deadline):
            before = run.step
            _train_step(run, loss, cut, watch, report)
            # Before the step is kept: what goes on from there has its row.
            if validation is not None and run.step > before and _is_measured(run):
                # Each part is a phase of its own: all of them may take longer than the watch waits.
                tick = partial(watch.enter, "validation", run.step)
                report.validated(validation.digest, measure(run, validation, tick))
            saved = saved if saved is None else min(saved, run.step)  # it may have gone back
            if run.step % config.save_every == 0 and run.step != saved:
                watch.enter("checkpoint", run.step)
                run.save()
                saved = run.step
            run.kept.poll()
        watch.enter("checkpoint", run.step)
        if saved != run.step:
            run.save()
        run.kept.settle()


def _train_step(run: Run, loss: Loss, cut: Cut, watch: Watch, report: Report) -> None:
    """One step on the next batch; or none, where the batch is left out or steps are taken back."""
    config, batch = run.config, run.cursor
    set_rate(run.optimiser, learning_rate(config, run.step))
    run.optimiser.zero_grad(set_to_none=True)
    report.begin_step()
    whole, count = cut(batch)
    parts = [_Part(run, loss, batch, rows, whole, watch) for rows in run.spread.share(whole, count)]
    value, metrics = run.spread.backward(parts)
    watch.enter("gradients", run.step)
    norm = run.spread.clip(config.clip).item()
    if not _sound(run, batch, value, norm, report):
        return
    watch.enter("update", run.step)
    run.optimiser.step()
    run.advance(value)
    report.step(batch, {"loss": value, "norm": norm, **metrics}, sum(part.seconds for part in parts))


class _Part:
    """Some rows of the batch, of `whole` in all, whose loss is computed when it is asked for. `seconds`: how long that
    took.
    """

    def __init__(self, run: Run, loss: Loss, batch: int, rows: range, whole: int, watch: Watch) -> None:
        self.run, self.of, self.batch, self.rows, self.whole, self.watch = run, loss, batch, rows, whole, watch
        self.items, self.seconds = float(len(rows)), 0.0

    def loss(self) -> LossValue:
        run, began = self.run, time.monotonic()
        draws = Draws.of(run.config.seed, self.batch, self.rows, self.whole)
        self.watch.enter("loss", run.step)
        with kernels(run.device):
            value, metrics = self.of(self.batch, draws)
        if len(self.rows) < self.whole and not draws.asked:
            raise ValueError(f"The stage {run.folder.name} takes whole batches: run it as one process and microbatch.")
        self.watch.enter("backward", run.step)
        self.seconds = time.monotonic() - began
        return value, metrics


def _sound(run: Run, batch: int, loss: float, norm: float, report: Report) -> bool:
    """Whether a step may be made of this loss and gradient; what is to be done about it otherwise is done."""
    faults = run.config.faults
    if not math.isfinite(loss) or not math.isfinite(norm):
        what = "loss" if not math.isfinite(loss) else "gradient"
        if faults.non_finite == "stop":
            run.kept.settle()
            raise Stopped(f"The {what} of step {run.step} is not finite. {_what_helps(run)}")
        run.leave_out(range(batch, batch + 1), f"the {what} is not finite", loss=str(loss), norm=str(norm))
        return False
    if loss >= run.spikes.limit:
        limit, offending = run.spikes.limit, range(max(0, batch + 1 - faults.offending), batch + 1)
        at = run.step
        run.go_back(offending.start)
        report.went_back()
        run.leave_out(offending, "the loss spiked", spiked_at=at, loss=loss, limit=limit)
        return False
    return True


def _what_helps(run: Run) -> str:
    """Against a loss that is not finite, of which going on meets the same batch."""
    anew = "or begin anew at a lower `learning_rate` in another folder"
    if run.saved and "base" not in run.recipe["data"]:  # what has a base begins there, and at no run's weights
        anew += f", at these weights with `--from {shlex.quote(str(run.folder.parent))}`"
    kept = "The last checkpoint is whole, and going" if run.saved else "Going"
    return f"{kept} on meets the same batch. Leave such batches out, with the stage's `faults.non_finite=skip`, {anew}."


def _late(run: Run, deadline: float) -> bool:
    """Whether the deadline has come for any rank: their clocks differ, and all stop after the same step."""
    return deadline < math.inf and run.ranks.any(time.monotonic() >= deadline)


def _is_measured(run: Run) -> bool:
    every = run.config.validate_every
    return every > 0 and (run.finished or run.step % every == 0)
