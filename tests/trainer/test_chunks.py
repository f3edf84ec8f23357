"""Work in chunks: processes that are killed, that are slower than the call may last, and that lose their parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trainer.chunks import build_chunks

ALONE = "from tests.trainer.test_chunks import *; build_chunks(work, [(Path({folder!r}), 'sleep')], 1, 'chunks')"


def work(task: tuple[Path, str]) -> None:
    folder, what = task
    (folder / f"begun-{what}").write_text(str(os.getpid()))
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "fail":
        raise RuntimeError("the work failed")
    if what == "sleep":
        time.sleep(100)
    (folder / what).touch()


def test_all_tasks_are_done(tmp_path):
    tasks = [(tmp_path, name) for name in "abcde"]
    assert build_chunks(work, tasks, 2, "chunks")
    assert all((tmp_path / name).exists() for _, name in tasks)


def test_no_process_at_all_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 1 process"):
        build_chunks(work, [(tmp_path, "a")], 0, "chunks")


def test_a_process_that_was_killed_is_told_in_a_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"make chunks was killed.*memory.*fewer `processes` than 2"):
        build_chunks(work, [(tmp_path, "a"), (tmp_path, "kill"), (tmp_path, "sleep")], 2, "chunks")


def test_an_error_of_a_task_is_raised_and_does_not_wait_for_the_others(tmp_path):
    began = time.monotonic()
    with pytest.raises(RuntimeError, match="the work failed"):
        build_chunks(work, [(tmp_path, "sleep"), (tmp_path, "fail")], 2, "chunks")
    assert time.monotonic() - began < 30


def test_the_deadline_does_not_wait_for_a_slow_task_and_one_task_is_finished(tmp_path):
    began = time.monotonic()
    assert not build_chunks(work, [(tmp_path, "a"), (tmp_path, "sleep"), (tmp_path, "b")], 1, "chunks", began + 1)
    assert time.monotonic() - began < 30
    assert (tmp_path / "a").exists() and not (tmp_path / "b").exists()


def test_processes_end_with_the_one_that_started_them(tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", ALONE.format(folder=str(tmp_path))])
    begun = tmp_path / "begun-sleep"
    until(lambda: begun.exists() and begun.read_text())
    parent.kill()
    parent.wait()
    until(lambda: not alive(int(begun.read_text())))


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(holds) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)
