"""Ends what a killed supervisor leaves behind, grandchildren included.

The supervisor holds the only write end of this process's standard input and tells it of each process group it starts
(`+ pid signal`) and of each that is over (`- pid`). When the supervisor ends, by `kill -9` too, the pipe ends: each
group still known gets its signal, and after GRACE_SECONDS SIGKILL. Runs as a plain file, on the standard library alone.
"""

import contextlib
import os
import signal
import sys
import time

GRACE_SECONDS = 5.0


def main() -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    groups: dict[int, int] = {}
    for line in sys.stdin:
        mark, pid, *sent = line.split()
        if mark == "+":
            groups[int(pid)] = int(sent[0])
        else:
            groups.pop(int(pid), None)
    end_groups(groups, GRACE_SECONDS)


def end_groups(groups: dict[int, int], grace: float) -> None:
    """Send each process group its signal, wait until all are gone, and kill those that are not in time."""
    for group, sent in groups.items():
        send(group, sent)
    until = time.monotonic() + grace
    while time.monotonic() < until and any(map(alive, groups)):
        time.sleep(0.05)
    for group in groups:
        send(group, signal.SIGKILL)


def send(group: int, sent: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, sent)


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    main()
