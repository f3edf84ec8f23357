"""Work that is cut into chunks, done by several processes, and gone on with after a pause or a kill."""

from __future__ import annotations

import math
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any

from rich.progress import track


def build_chunks(
    work: Callable[[Any], None], tasks: Sequence[Any], processes: int, title: str, deadline: float = math.inf
) -> bool:
    """Do the tasks until all are done (True) or `time.monotonic()` reaches the deadline (False).

    A task marks itself as done. What is under way at the deadline is dropped, and made again by the next call; one task
    at least is finished, so that short calls get on too. ValueError where a process was killed.
    """
    if processes < 1:
        raise ValueError(f"The {title} are made by at least 1 process: `processes` is {processes}.")
    if not tasks:
        return True
    if time.monotonic() >= deadline:
        return False
    left = len(tasks)
    try:
        for _ in track(_finished(work, tasks, processes, deadline), title, total=len(tasks)):
            left -= 1
    except BrokenProcessPool as error:
        fewer = f", or the stage fewer `processes` than {processes}" if processes > 1 else ""
        raise ValueError(
            f"One of the processes that make {title} was killed, most often for want of memory: give the machine more"
            f"{fewer}, and start again. What is made stays."
        ) from error
    return left == 0


def _finished(
    work: Callable[[Any], None], tasks: Sequence[Any], processes: int, deadline: float
) -> Iterator[Future[None]]:
    """Each task that is done, as it is done."""
    context = multiprocessing.get_context("spawn")
    open_here, held = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(processes, context, _end_with, (open_here,))
    waiting, running, is_any_done = iter(tasks), set[Future[None]](), False
    with open_here, pool, held:  # `held` is closed first: the processes end at once, whatever is under way
        while not (is_any_done and time.monotonic() >= deadline):
            # As many as there are processes, and no more: what is queued could not be taken back.
            running |= {pool.submit(work, task) for task in islice(waiting, processes - len(running))}
            if not running:
                return
            bounded = is_any_done and deadline < math.inf
            done, running = wait(running, max(0.0, deadline - time.monotonic()) if bounded else None, FIRST_COMPLETED)
            for future in done:
                future.result()
                is_any_done = True
                yield future


def _end_with(pipe: Connection) -> None:
    """Have this process end when the other end of the pipe is closed, or goes with the process that held it."""
    threading.Thread(target=_wait_and_end, args=(pipe,), daemon=True).start()


def _wait_and_end(pipe: Connection) -> None:
    with suppress(EOFError):
        pipe.recv()
    os._exit(0)
