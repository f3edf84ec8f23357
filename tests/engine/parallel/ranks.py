"""Real processes that are the ranks of a gloo process group: started once, then fed one case after another."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import tempfile
import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

CASES = (
    "tests.engine.cache.cases",
    "tests.engine.parallel.cases",
    "tests.engine.parallel.vae_cases",
    "tests.trainer.parallel.cases",
    "tests.trainer.parallel.loop_cases",
)
PATIENCE = 120.0  # seconds for one case; two cores may be busy with other tests


class Ranks:
    """`world` processes. They are forked from one that has imported torch, which takes seconds."""

    def __init__(self, world: int, cases: tuple[str, ...] = CASES) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(cases))
        self.folder = tempfile.TemporaryDirectory()
        pipes = [context.Pipe() for _ in range(world)]
        self.ours = [ours for ours, _ in pipes]
        meeting = f"file://{Path(self.folder.name) / 'meeting'}"
        self.processes = [
            context.Process(target=serve, args=(rank, world, meeting, theirs), daemon=True)
            for rank, (_, theirs) in enumerate(pipes)
        ]
        for process in self.processes:
            process.start()

    def run(self, case: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Any]:
        """What `case` returns on each rank; AssertionError with the traceback of each rank where it fails."""
        for pipe in self.ours:
            pipe.send((case, args, kwargs))
        answers = []
        for rank, pipe in enumerate(self.ours):
            assert pipe.poll(PATIENCE), f"rank {rank} gives no answer"
            answers.append(pipe.recv())
        failures = [f"rank {rank}: {what}" for rank, (well, what) in enumerate(answers) if not well]
        assert not failures, "\n".join(failures)
        return [what for _, what in answers]

    def stop(self) -> None:
        for pipe in self.ours:
            with contextlib.suppress(BrokenPipeError):
                pipe.send(None)
        for process in self.processes:
            process.join(10)
            process.kill()
        self.folder.cleanup()


def serve(rank: int, world: int, meeting: str, pipe: Connection) -> None:
    """The life of one rank."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world, timeout=timedelta(seconds=60))
    while (order := pipe.recv()) is not None:
        case, args, kwargs = order
        try:
            pipe.send((True, case(*args, **kwargs)))
        except Exception:
            pipe.send((False, traceback.format_exc()))
    dist.destroy_process_group()
