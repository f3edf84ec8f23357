"""What the engine adds to the model's forwards: `rows()` for `make bench NAME=engine`, or this file as a script."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))  # run as a script, from anywhere

import torch

from engine.bundles import SHIPPED, read_bundle
from engine.denoise import Denoiser
from engine.parallel.mesh import MeshShape
from engine.runtime.denoise import DenoisingRank, GroupDenoiser
from engine.runtime.group import RankGroup
from tests.engine.runtime.programs import rows_of

GOAL = 1.03  # of the time of the forwards


def rows(reduced: bool) -> list[dict[str, Any]]:
    """The denoising loop of 12 steps beside its forwards alone: in this process, and on one and two ranks."""
    runs = 5 if reduced else 31
    torch.set_num_threads(1)
    made = [_row("denoising loop in one process, CPU time", *_in_process(runs))]
    for name, shape in (("one spawned rank", MeshShape()), ("two ranks, guidance split", MeshShape(cfg=2))):
        cpu, wall = _on_ranks(shape, runs)
        made.append(_row(f"denoising loop on {name}, CPU time of owner and rank 0", *cpu))
        made.append(_row(f"denoising loop on {name}, wall time from order to result", *wall))
    return [*made, _restart()]


def _in_process(runs: int) -> tuple[float, float]:
    denoiser = Denoiser(read_bundle(SHIPPED))
    loops, forwards = [], []
    for i in range(runs + 1):
        begun = time.thread_time()
        with timed(denoiser, time.thread_time) as spent:
            list(denoiser.denoise(rows_of(1), 12))
        if i:  # the first warms up
            loops.append(time.thread_time() - begun)
            forwards.append(sum(spent))
    return median(loops), median(forwards)


def _on_ranks(shape: MeshShape, runs: int) -> list[tuple[float, float]]:
    """Loop and forwards, in CPU time and in wall time."""
    group = RankGroup(partial(TimedRank, read_bundle(SHIPPED)), shape)
    found: list[list[tuple[float, float]]] = [[], []]
    for i in range(2 * (runs + 1)):
        clock = (time.thread_time, time.monotonic)[i % 2]
        begun = clock()
        *_, (on_rank, forwards) = group.run("timed", rows_of(1), 12, clock)
        loop = clock() - begun + (on_rank if clock is time.thread_time else 0.0)
        if i > 1:
            found[i % 2].append((loop, forwards))
    group.close()
    return [(median(loop for loop, _ in one), median(forwards for _, forwards in one)) for one in found]


class TimedRank(DenoisingRank):
    """A denoising rank that tells at the end how long it took, and its forwards, exchanges within them included."""

    def timed(self, rows: Any, steps: int, clock: Callable[[], float]) -> Iterator[Any]:
        begun = clock()
        with timed(self.denoiser, clock) as spent:
            yield from self.denoise(rows, steps)
        yield clock() - begun, sum(spent)


@contextmanager
def timed(denoiser: Denoiser, clock: Callable[[], float]) -> Iterator[list[float]]:
    """Seconds of each forward of the transformer, once the `with` has ended."""
    begun, spent = [0.0], []

    def begin(*_: Any) -> None:
        begun[0] = clock()

    hooks = [
        denoiser.dit.register_forward_pre_hook(begin, prepend=True),
        denoiser.dit.register_forward_hook(lambda *_: spent.append(clock() - begun[0])),
    ]
    yield spent
    for hook in hooks:
        hook.remove()


def _row(what: str, ours: float, forwards: float) -> dict[str, Any]:
    return {
        "what": what,
        "ours": ours,
        "peer": forwards,
        "ratio": ours / forwards,
        "unit": "s, beside the forwards alone",
        "goal": f"< {GOAL} x the forwards",
        "met": ours / forwards < GOAL,
    }


def _restart() -> dict[str, Any]:
    """A rank is killed in a step: seconds until the next step is told by a whole group."""
    waited = 0.0
    with closing(GroupDenoiser(read_bundle(SHIPPED), MeshShape(cfg=2))) as denoiser:
        for step, _ in enumerate(denoiser.denoise(rows_of(1), 4), 1):
            if step == 2:
                assert denoiser.group.ranks is not None
                begun = time.monotonic()
                denoiser.group.ranks.processes[1].kill()
            if step == 3:
                waited = time.monotonic() - begun
    return {
        "what": "kill -9 of one of two ranks in a step, until the group is whole and the step is done",
        "ours": waited,
        "peer": None,
        "ratio": None,
        "unit": "s",
        "goal": "< 30",
        "met": waited < 30,
    }


if __name__ == "__main__":
    for row in rows(reduced="--full" not in sys.argv):
        print(row)
