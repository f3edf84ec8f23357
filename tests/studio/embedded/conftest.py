"""Real studios: each test has a data folder of its own, and proof that nothing of it is left running."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings

from tests.studio.embedded.running import Studio, free_port, processes_of, wait_for


@pytest.fixture
def data_dir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="aq-serve-"))
    folder.chmod(0o755)  # so that PostgreSQL's unprivileged user gets there when the tests run as root
    yield folder
    for process in processes_of(folder):
        process.kill()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def start(data_dir: Path) -> Iterator[Callable[..., Studio]]:
    """Start `manage.py serve`; more than one at a time is allowed."""
    started: list[Studio] = []

    def serve(folder: Path = data_dir, port: int = 0, *, preload: bool = False, **settings_of_studio: str) -> Studio:
        port = port or free_port()
        output = folder / f"output-{len(started)}.txt"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AQ_", "DATABASE_URL"))}
        env = {**inherited, "AQ_DATA_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "studio.settings"}
        env |= settings_of_studio
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "serve", "--port", str(port)]
        command += [] if preload else ["--no-preload"]  # loading models takes longer than all else at a start
        with output.open("w") as sink:
            process = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT, text=True, env=env)
        started.append(Studio(process, folder, port, output))
        return started[-1]

    yield serve
    for studio in started:
        if studio.process.poll() is None:
            studio.end(signal.SIGKILL)
        wait_for(lambda folder=studio.data_dir: not processes_of(folder), 10)
