"""A set of shards of odd records, and a process that writes it and is killed at a chosen moment."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np

from datapipe.shards import ShardWriter

COUNT, ABOUT = 23, {"key": "a"}


def values_of(number: int) -> dict[str, np.ndarray | bytes]:
    """Of fixed size, of a size of its own, and bytes."""
    rng = np.random.default_rng(number)
    return {
        "fixed": rng.standard_normal((3, 5)).astype(np.float16),
        "odd": rng.integers(0, 9, (number % 4, 7)),
        "clip": bytes(rng.integers(0, 256, number % 5, np.uint8)),
    }


def facts_of(number: int) -> dict:
    return {"words": f"a cup, number {number}", "seconds": number / 2}


def write(folder: Path, records: int = 5) -> str:
    """Write the set, or go on with it."""
    with ShardWriter(folder, ABOUT, records=records) as shards:
        for number in range(shards.count, COUNT):
            shards.add(values_of(number), facts_of(number))
        return shards.finish()


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != ".lock"}


def killed(folder: Path, at: int, backwards: bool = False) -> bool:
    """Write in a process that is killed as it asks the system for the `at`-th lasting thing; False: it came to its end.

    `backwards`: the wrong writer of the control, which names an index before its values.
    """
    child = os.fork()
    if child == 0:
        try:
            _plant(at, backwards)
            write(folder)
            os._exit(0)
        except BaseException as error:
            print(error, file=sys.stderr)
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def _plant(at: int, backwards: bool) -> None:
    from datapipe.shards import writer

    calls = 0

    def lasting(do):
        def called(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return do(*args, **kwargs)

        return called

    os.fsync, os.replace = lasting(os.fsync), lasting(os.replace)
    if backwards:
        writer.data_path, writer.index_path = writer.index_path, writer.data_path
        whole = writer.write_whole

        def swapped(path: Path, content: bytes) -> None:
            """The index lies there first, and its values follow."""
            if path.suffix == ".bin":
                values = path.with_suffix(".index")
                kept = values.read_bytes()
                values.unlink()
                whole(path.with_suffix(".index"), content)
                whole(path, kept)
            else:
                whole(path, content)

        writer.write_whole = swapped
