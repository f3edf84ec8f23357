"""Whether processes live that are no children of these tests."""

from collections.abc import Iterable

import psutil

from tests.studio.embedded.running import wait_for


def lives(pid: int) -> bool:
    """One that has ended does not, also where its new parent has not asked about it yet."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def all_end(pids: Iterable[int], seconds: float) -> bool:
    """Within that time, none of them lives."""
    ids = list(pids)
    return wait_for(lambda: not any(map(lives, ids)), seconds)
