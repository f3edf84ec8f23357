"""How much of the processor a worker takes beside the others."""

import os
from contextlib import suppress
from pathlib import Path

AUTOGROUP = Path("/proc/self/autogroup")


def let_others_go_first(niceness: int) -> None:
    """Lowers this process beside the others of the machine, as nice(1) does.

    Linux may share the processor between sessions first and between processes second (sched_autogroup). A niceness then
    counts only within its session, so the session of a process that leads one gets it too, as a supervised worker's.
    """
    os.nice(niceness)
    if niceness and os.getsid(0) == os.getpid() and AUTOGROUP.exists():
        with suppress(OSError):  # the kernel takes few such changes a second, and the process is nice anyway
            AUTOGROUP.write_text(str(niceness))
