"""`manage.py worker --queue X`: a process that hears doorbells and then runs waiting jobs, one at a time, best first.

Main path: `serve` -> celery's solo pool -> the `doorbell` task -> `Worker.work_until_idle` -> `run.run_job`.
"""

import logging
import os
import socket
import subprocess
import sys
import threading
import warnings
from typing import Any
from uuid import UUID

from celery import signals
from celery.exceptions import SecurityWarning
from django.conf import settings

from studio.celery import DOORBELL_TASK, app
from studio.ids import new_id
from studio.jobs import engine_client
from studio.jobs.database import AWAY, conninfo, if_reachable, patiently
from studio.jobs.heartbeat import charge_line
from studio.jobs.kinds import JobKind, kinds_of
from studio.jobs.lease import abandon, claim
from studio.jobs.models import Job, WorkerRow
from studio.jobs.run import run_job

logger = logging.getLogger(__name__)


def serve(queue: str, *, preload: bool = True) -> int:
    """Works until it is told to stop (SIGTERM, SIGINT); the process's exit code.

    A job that runs then stops at its next step and goes back to the queue.
    """
    with Worker(queue) as worker:
        if preload:
            worker.preload()
        _hear_doorbells(worker)
        _be_quiet()
        consumer = app.Worker(
            pool="solo", concurrency=1, queues=[queue], hostname=f"{queue}-{os.getpid()}@{socket.gethostname()}",
            loglevel="INFO", without_gossip=True, without_mingle=True, without_heartbeat=True, quiet=True,
        )  # fmt: skip
        consumer.start()
        return int(consumer.exitcode or 0)


def _be_quiet() -> None:
    """Doorbells are no news (jobs are: see `run`), and JSON messages are safe to read as root."""
    warnings.filterwarnings("ignore", category=SecurityWarning)
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _hear_doorbells(worker: "Worker") -> None:
    @app.task(name=DOORBELL_TASK, ignore_result=True)
    def doorbell(job_id: str) -> None:
        worker.work_until_idle()

    def ready(**_: Any) -> None:
        worker.work_until_idle()  # what was rung before this worker came may have been heard by one that died

    def leave(**_: Any) -> None:
        worker.leaving = True

    signals.worker_ready.connect(ready, weak=False)
    signals.worker_shutting_down.connect(leave, weak=False)


class Worker:
    """One worker process: its row, its heartbeat and its loop. Use as a context manager."""

    def __init__(self, queue: str) -> None:
        self.id: UUID = new_id()
        self.queue = queue
        self.leaving = False
        self._heartbeat: Heartbeat | None = None

    def __enter__(self) -> "Worker":
        self._heartbeat = Heartbeat(self.id, self.queue)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._heartbeat is not None
        self._heartbeat.close()

    def preload(self) -> None:
        """Loads the models of this queue's kinds. A job tells the user what is wrong when one cannot be loaded."""
        for kind in kinds_of(self.queue):
            try:
                _preload(kind)
            except Exception:
                logger.exception("could not load what jobs of kind %s need", kind.name)

    def work_until_idle(self) -> int:
        """Claims and runs jobs until none may start; how many were run."""
        count = 0
        while self.work_once():
            count += 1
        return count

    def work_once(self) -> bool:
        if self.leaving or self._is_drained():
            return False
        job = patiently(self._claim)
        if job is None:
            return False
        try:
            run_job(job, worker_leaves=lambda: self.leaving)
        except AWAY:
            logger.exception(
                "the end of job %s could not be written: leaving, so that it goes back to the queue", job.pk
            )
            raise SystemExit(1) from None
        return True

    def _claim(self) -> Job | None:
        abandon(self.id)
        return claim(self.id, self.queue)

    def _is_drained(self) -> bool:
        desired = if_reachable(
            lambda: WorkerRow.objects.filter(pk=self.id).values_list("desired", flat=True).first(), None
        )
        return desired == WorkerRow.Desired.DRAIN


def _preload(kind: JobKind) -> None:
    if kind.preload is not None:
        kind.preload()
    elif kind.run is None:
        engine_client.preload(kind.name)


class Heartbeat:
    """The worker's heartbeat process, started again when it is killed, ended by closing its standard input."""

    def __init__(self, worker: UUID, queue: str) -> None:
        self._charge = charge_line(
            conninfo=conninfo(),
            worker=str(worker),
            queue=queue,
            host=socket.gethostname(),
            pid=os.getpid(),
            lease=settings.AQ_LEASE_SECONDS,
            every=settings.AQ_HEARTBEAT_SECONDS,
            run=settings.AQ_RUN_SECONDS,
        )
        self._closing = False
        self._process = self._start()
        threading.Thread(target=self._watch, name="heartbeat-watch", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        self._closing = True
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)

    def _start(self) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, "-m", "studio.jobs.heartbeat"],
            cwd=settings.BASE_DIR,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(self._charge)
        process.stdin.flush()
        process.stdout.readline()  # its first beat: before that, no job may be claimed
        return process

    def _watch(self) -> None:
        while not self._closing:
            self._process.wait()
            if not self._closing:
                logger.warning("the heartbeat ended with %s, starting another", self._process.returncode)
                self._process = self._start()
