"""The supervisor's children and their warden, with small programs in the place of the studio's."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.embedded import children
from studio.embedded.children import Child, Family
from tests.studio.embedded.running import wait_for

TALKS = "import time\nprint('x' * 5000, flush=True)\nwhile True: time.sleep(0.02); print('line', flush=True)"


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    family = Family({}, tmp_path, lambda text: None)
    yield family
    family.stop(0.5)
    family.dismiss()


def test_a_log_that_has_become_long_is_emptied_while_it_is_written(
    family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child's, and the one of a process that was started elsewhere."""
    logs = [tmp_path / "web.log", tmp_path / "postgres.log"]
    family.start(Child("web", [sys.executable, "-c", TALKS], logs[0]))
    with logs[1].open("ab") as log:
        process = subprocess.Popen([sys.executable, "-c", TALKS], stdout=log, start_new_session=True)
    family.guard(process, signal.SIGKILL, logs[1])
    assert wait_for(lambda: all(log.stat().st_size > 5000 for log in logs), 10)
    family.watch()
    assert all(log.stat().st_size > 5000 for log in logs), "the control: not long enough yet"

    monkeypatch.setattr(children, "LOG_BYTES", 4000)
    monkeypatch.setattr(children, "LOG_SECONDS", 0.0)
    family._look_at_logs = 0.0
    family.watch()
    assert [log.with_suffix(".1.log").stat().st_size for log in logs] == [4000, 4000]
    assert wait_for(lambda: all(log.stat().st_size > 20 for log in logs), 10)
    assert [log.read_bytes()[:4] for log in logs] == [b"line", b"line"]  # and no hole before it
    process.kill()
    process.wait()


@pytest.mark.parametrize(("released", "lives"), [(True, True), (False, False)])
def test_the_warden_ends_what_it_knows_of_and_nothing_that_was_released(
    tmp_path: Path, released: bool, lives: bool
) -> None:
    family = Family({}, tmp_path, lambda text: None)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    threading.Thread(target=process.wait).start()  # what nobody buries, the warden takes for alive
    family.guard(process, signal.SIGKILL, tmp_path / "postgres.log")
    if released:
        family.release(process)
    family.dismiss()
    assert (process.poll() is None) is lives
    process.kill()
    process.wait()
