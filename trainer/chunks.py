"""Work that is cut into chunks, done by several processes, and gone on with after a pause or a kill."""

from __future__ import annotations

import math
import multiprocessing
import time
from collections.abc import Callable, Sequence
from typing import Any

from rich.progress import track


def build_chunks(
    work: Callable[[Any], None], tasks: Sequence[Any], processes: int, title: str, deadline: float = math.inf
) -> bool:
    """Do the tasks until all are done (True) or `time.monotonic()` reaches the deadline (False).

    A task marks itself as done. What is under way at the deadline is dropped, and made again by the next call; one task
    at least is finished, so that short calls get on too.
    """
    if not tasks:
        return True
    if time.monotonic() >= deadline:
        return False
    left = len(tasks)
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for _ in track(pool.imap_unordered(work, tasks), title, total=len(tasks)):
            left -= 1
            if time.monotonic() >= deadline:
                break
    return left == 0
