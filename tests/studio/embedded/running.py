"""What the tests of a running studio share."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

START_SECONDS = 300.0
ANSWER_SECONDS = 60.0  # of the first question, at which a web process loads what it answers with


def processes_of(data_dir: Path) -> list[psutil.Process]:
    """Every living process that was started for this data folder, PostgreSQL's included."""
    found = []
    for process in psutil.process_iter():
        try:
            words = " ".join(process.cmdline())
            mine = process.environ().get("AQ_DATA_DIR") == str(data_dir) or str(data_dir) in words
        except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
            continue
        if mine and process.pid != os.getpid():
            found.append(process)
    return found


def wait_for(what: Callable[[], object], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if what():
            return True
        time.sleep(0.05)
    return bool(what())


@dataclass
class Studio:
    """One `manage.py serve`."""

    process: subprocess.Popen[str]
    data_dir: Path
    port: int
    output: Path

    def text(self) -> str:
        return self.output.read_text()

    def logs(self) -> str:
        return "\n".join(f"{path.name}\n{path.read_text()[-3000:]}" for path in self.data_dir.glob("log/*.log"))

    def link(self) -> str:
        return next(word for word in self.text().split() if "/sign-in/" in word)

    def wait_until_running(self) -> "Studio":
        assert wait_for(lambda: "/sign-in/" in self.text() or self.process.poll() is not None, START_SECONDS), (
            self.logs()
        )
        assert self.process.poll() is None, self.text()
        return self

    def status(self) -> int:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/api/v1/schema", timeout=5).status_code
        except httpx.HTTPError:
            return 0

    def child(self, words: str) -> psutil.Process:
        return next(p for p in processes_of(self.data_dir) if words in " ".join(p.cmdline()))

    def end(self, sent: signal.Signals) -> float:
        """Seconds until the process was over."""
        began = time.monotonic()
        self.process.send_signal(sent)
        self.process.wait(30)
        return time.monotonic() - began


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
