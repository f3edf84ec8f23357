"""A whole studio without its page, on a durable PostgreSQL of its own, kept alive while its processes are killed."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import psycopg
from django.conf import settings

from studio.embedded.postgres import Postgres
from tests.chaos.kinds import QUEUE

LEASE_SECONDS = 4


class ChaoticStudio:
    """A context manager. `kill_someone` picks a victim; `keep_alive` starts what is gone, as a supervisor does."""

    def __init__(self, seed: int, *, workers: int = 2) -> None:
        self.choose = random.Random(seed)
        self.kills: list[str] = []
        self._folder = Path(tempfile.mkdtemp(prefix="aq-chaos-"))
        self._folder.chmod(0o755)
        self._postgres = Postgres(self._folder)
        self._commands = [["worker", "--queue", QUEUE]] * workers + [["sweeper", "--every", "0.3"]]
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * len(self._commands)

    def __enter__(self) -> "ChaoticStudio":
        self._postgres.start()
        self.manage("migrate", "--verbosity", "0")
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            if process is not None:
                process.kill()
                process.wait()
        self._postgres.stop()
        shutil.rmtree(self._postgres.cluster, ignore_errors=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def manage(self, *arguments: str) -> None:
        """Runs a management command to its end."""
        subprocess.run([sys.executable, "manage.py", *arguments], cwd=settings.BASE_DIR, env=self._env(), check=True)

    def keep_alive(self) -> None:
        process = self._postgres.process
        if process is None or process.poll() is not None:
            self._postgres.start()
        for place, command in enumerate(self._commands):
            running = self._processes[place]
            if running is None or running.poll() is not None:
                self._processes[place] = self._start(command)

    def kill_someone(self) -> str:
        victim = self.choose.choice(
            ["worker", "worker", "heartbeat", "sweeper", "postgres", "backend", "worker asleep"]
        )
        kill: dict[str, Callable[[], None]] = {
            "worker": lambda: self._a_worker().kill(),
            "worker asleep": self._put_a_worker_to_sleep,
            "heartbeat": self._kill_a_heartbeat,
            "sweeper": lambda: _kill(self._processes[-1]),
            "postgres": lambda: _kill(self._postgres.process),
            "backend": self._kill_a_backend,
        }
        kill[victim]()
        self.kills.append(victim)
        return victim

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query, waiting for the database where it has just been killed."""
        until = time.monotonic() + 180
        while True:
            try:
                with psycopg.connect(self._postgres.url, connect_timeout=5) as connection:
                    return connection.execute(query).fetchall()  # type: ignore[call-overload, no-any-return]
            except psycopg.OperationalError:
                if time.monotonic() > until:
                    raise
                self.keep_alive()
                time.sleep(0.1)

    def log(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in self._folder.glob("*.log"))

    def _start(self, command: list[str]) -> "subprocess.Popen[bytes]":
        with (self._folder / f"{command[0]}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "manage.py", *command], cwd=settings.BASE_DIR, env=self._env(), stdout=log, stderr=log
            )

    def _env(self) -> dict[str, str]:
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.chaos.settings",
            "DATABASE_URL": self._postgres.url,
            "AQ_DATA_DIR": str(self._folder),
            "AQ_SECRET_KEY": "only-for-tests",
            "AQ_LEASE_SECONDS": str(LEASE_SECONDS),
            "AQ_HEARTBEAT_SECONDS": "1",
            "OMP_NUM_THREADS": "1",
        }

    def _a_worker(self) -> psutil.Process:
        alive = [one for one in self._processes[:-1] if one is not None and one.poll() is None]
        return psutil.Process(self.choose.choice(alive).pid)

    def _kill_a_heartbeat(self) -> None:
        for child in self._a_worker().children():
            child.kill()

    def _put_a_worker_to_sleep(self) -> None:
        """It and its heartbeat sleep past the lease, then wake up as a zombie."""
        worker = self._a_worker()
        sleepers = [worker, *worker.children()]
        for one in sleepers:
            one.suspend()
        time.sleep(LEASE_SECONDS + 1.5)
        for one in sleepers:
            one.resume()

    def _kill_a_backend(self) -> None:
        """One connection's server process: PostgreSQL then restarts all of them and recovers."""
        assert self._postgres.process is not None
        backends = psutil.Process(self._postgres.process.pid).children()
        if backends:
            os.kill(self.choose.choice(backends).pid, signal.SIGKILL)


def _kill(process: "subprocess.Popen[bytes] | None") -> None:
    if process is not None:
        process.kill()
        process.wait()
