"""One attempt at one job, from the claim to its end."""

import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

from studio.jobs import engine_client, files, services
from studio.jobs.database import if_reachable, patiently
from studio.jobs.errors import Canceled, Failure, failure_from
from studio.jobs.kinds import JobKind, find_kind
from studio.jobs.lease import Lease, LeaseLost, lease_of
from studio.jobs.models import Job

logger = logging.getLogger(__name__)

EVENT_SECONDS = 0.5  # progress is coalesced to two events a second, previews likewise
CANCEL_SECONDS = 0.2


def run_job(job: Job, *, worker_leaves: Callable[[], bool] = lambda: False) -> None:
    """Runs a job that was just claimed. However the attempt ends, the row says so, unless the lease was lost.

    `worker_leaves` is asked at each step; when it says yes the run stops and the job goes back to the queue.
    """
    lease = lease_of(job)
    run = CurrentRun(job, lease, worker_leaves)
    begun = time.monotonic()
    logger.info("job %s (%s): attempt %s of %s", job.pk, job.kind, job.attempt, job.max_attempts)
    try:
        _attempt(job, run)
    except LeaseLost as lost:
        logger.warning("%s", lost)
    except (KeyboardInterrupt, SystemExit):
        _quietly(lambda: services.stop(lease, worker_leaves=True))
        raise
    finally:
        files.remove_work_folder(run.workdir)
        logger.info("job %s: left after %.1f s", job.pk, time.monotonic() - begun)


def _attempt(job: Job, run: "CurrentRun") -> None:
    try:
        output = _work(job, run)
    except LeaseLost:
        raise
    except Canceled:
        patiently(lambda: services.stop(run.lease, worker_leaves=run.worker_leaves()))
    except Exception as error:
        _fail(run.lease, failure_from(error))
    else:
        _finish(run.lease, output)


def _work(job: Job, run: "CurrentRun") -> Any:
    kind = find_kind(job.kind)
    run.workdir.mkdir(parents=True, exist_ok=True)
    inputs = patiently(lambda: kind.prepare(job))
    output = runner_of(kind)(inputs, run)
    run.flush()
    return output


def runner_of(kind: JobKind) -> Callable[[dict[str, Any], Any], Any]:
    """The kind's own runner, or the engine's. Raises Refused when there is none."""
    return kind.run or engine_client.runner(kind.name)


def _finish(lease: Lease, output: Any) -> None:
    try:
        patiently(lambda: services.finish(lease, output))
    except LeaseLost:
        raise
    except Exception as error:
        _fail(lease, failure_from(error))


def _fail(lease: Lease, failure: Failure) -> None:
    logger.warning("job %s failed: %s %s", lease.job_id, failure.code, failure.message)
    patiently(lambda: services.fail(lease, failure))


def _quietly(write: Callable[[], None]) -> None:
    """For a process that is being ended: what cannot be written now, the lapse of the lease will say."""
    with contextlib.suppress(LeaseLost):
        if_reachable(write, None)


class CurrentRun:
    """What a handler tells about its work, coalesced; see `kinds.Run`. Raises LeaseLost once the job is another's.

    While the database is away the work goes on and its progress is not told.
    """

    def __init__(self, job: Job, lease: Lease, worker_leaves: Callable[[], bool]) -> None:
        self.job = job
        self.lease = lease
        self.worker_leaves = worker_leaves
        self.workdir = files.work_folder(job.id, lease.fence)
        self._stage: str | None = None
        self._fraction = 0.0
        self._waiting: dict[str, Any] | None = None
        self._progress_at = self._preview_at = self._asked_at = -1e9
        self._must_stop = False

    def progress(
        self,
        stage: str,
        fraction: float,
        *,
        step: int | None = None,
        steps: int | None = None,
        eta_seconds: float | None = None,
    ) -> None:
        """Of the whole job, 0..1; it never goes back within an attempt."""
        self._fraction = max(self._fraction, min(max(fraction, 0.0), 1.0))
        self._waiting = {
            "stage": stage, "fraction": self._fraction, "step": step, "steps": steps, "eta_seconds": eta_seconds
        }  # fmt: skip
        if stage != self._stage or time.monotonic() - self._progress_at >= EVENT_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Writes the progress that waits, if there is any."""
        if self._waiting is None:
            return
        waiting, self._waiting = self._waiting, None
        self._stage, self._progress_at = waiting["stage"], time.monotonic()
        if_reachable(lambda: services.progress(self.lease, **waiting), None)

    def preview(self, jpeg: bytes, step: int | None = None) -> None:
        if time.monotonic() - self._preview_at < EVENT_SECONDS:
            return
        self._preview_at = time.monotonic()
        name = f"preview-{self.lease.fence}-{self._preview_at:.3f}.jpg"
        file = files.write_preview(self.job.workspace_id, self.job.id, name, jpeg)
        if_reachable(lambda: services.preview(self.lease, file, step), None)

    def notice(self, code: str, message: str) -> None:
        patiently(lambda: services.notice(self.lease, code, message))

    def is_canceled(self) -> bool:
        """Cheap enough for every step: it asks the database five times a second at most."""
        if self.worker_leaves():
            return True
        if not self._must_stop and time.monotonic() - self._asked_at >= CANCEL_SECONDS:
            self._asked_at = time.monotonic()
            self._must_stop = if_reachable(lambda: services.must_stop(self.lease), False)
        return self._must_stop
