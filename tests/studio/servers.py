"""Real web processes for tests that are about bytes on the wire and memory."""

import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import httpx
import psutil
from django.conf import settings

logging.getLogger("httpx").setLevel(logging.WARNING)


@contextmanager
def serving(application: str, log: Path | None = None, **environment: str) -> Iterator[tuple[str, psutil.Process]]:
    """The address of `application` (`module:name`) under uvicorn, and its process; what it says goes to `log`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", application, "--port", str(port), "--log-level", "warning"]
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "studio.settings",
        "AQ_SECRET_KEY": settings.SECRET_KEY,
        "AQ_DATA_DIR": str(settings.AQ_DATA_DIR),
        "PYTHONPATH": str(settings.BASE_DIR),
        **environment,
    }
    with log.open("wb") if log else nullcontext() as sink:
        process = subprocess.Popen(command, cwd=settings.BASE_DIR, env=env, stdout=sink, stderr=sink)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_until_it_answers(address, process)
        yield address, psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


def _wait_until_it_answers(address: str, process: "subprocess.Popen[bytes]") -> None:
    give_up = time.monotonic() + 180
    while time.monotonic() < give_up:
        assert process.poll() is None, "the server ended before it answered"
        try:
            httpx.get(f"{address}/media/none/none", timeout=5)
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("the server did not answer within three minutes")


def sparse(path: Path, size: int) -> Path:
    """A file of `size` bytes that takes no room, with a mark at its start, middle and end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)
        for place in (0, size // 2, size - 4):
            file.seek(place)
            file.write(b"mark")
    return path
