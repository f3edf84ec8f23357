"""A board in shared memory: what each rank is doing, and where all of them stop when they are to stop.

Ranks on one machine need no collective to agree on a cancel, and a rank that waits inside one can take part all the
same: each counts the checkpoints that it passes, under one lock. The first to meet the wish to stop fixes the number of
a checkpoint that nobody has reached yet, and there every rank stops, so none waits for another that has left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from multiprocessing.context import BaseContext
from typing import Any

from engine.events import Canceled

NAME = 96  # bytes of an operation's name
COLLECTIVES = (
    "all_to_all_single", "all_reduce", "all_gather", "all_gather_into_tensor", "reduce_scatter_tensor", "broadcast",
    "barrier",
)  # fmt: skip


@dataclass(frozen=True)
class Doing:
    """What a rank was last seen doing, since how many seconds, and the checkpoints that it passed in this order."""

    rank: int
    operation: str
    seconds: float
    passed: int
    moves: int

    @property
    def place(self) -> tuple[int, bool]:
        """Least for the rank that the others wait for: who waits in a collective has come further than who does not."""
        return self.passed, self.operation.partition(" ")[0] in COLLECTIVES

    def __str__(self) -> str:
        return f"rank {self.rank} in `{self.operation}` since {self.seconds:.1f} s, after {self.passed} checkpoints"


class Board:
    """Made by the owner of the ranks, handed to each of them when it starts. `rank` writes only what is its own."""

    def __init__(self, context: BaseContext, world: int) -> None:
        self.world = world
        self.lock = context.Lock()
        self.reached = context.Array("q", world, lock=False)
        self.moves = context.Array("q", world, lock=False)
        self.since = context.Array("d", [time.monotonic()] * world, lock=False)
        self.names = [context.Array("c", NAME, lock=False) for _ in range(world)]
        self.wish = context.Value("b", 0, lock=False)
        self.stop_at = context.Value("q", 0, lock=False)
        for rank in range(world):
            self.enter(rank, "start of the process")

    # --- of the owner ---

    def begin(self) -> None:
        """Before an order, while every rank waits for one."""
        self.wish.value = self.stop_at.value = 0
        for rank in range(self.world):
            self.reached[rank] = 0

    def cancel(self) -> None:
        """Wish that all ranks stop; the order then ends with Canceled on each, or has ended before."""
        self.wish.value = 1

    def doing(self) -> list[Doing]:
        """What every rank is in."""
        now = time.monotonic()
        return [
            Doing(rank, self.names[rank].value.decode(), now - self.since[rank], self.reached[rank], self.moves[rank])
            for rank in range(self.world)
        ]

    # --- of a rank ---

    def enter(self, rank: int, operation: str) -> str:
        """From now on this rank is in `operation`; the one before."""
        before: str = self.names[rank].value.decode()
        self.names[rank].value = operation.encode()[: NAME - 1]
        self.since[rank] = time.monotonic()
        self.moves[rank] += 1
        return before

    @contextmanager
    def within(self, rank: int, operation: str) -> Iterator[None]:
        before = self.enter(rank, operation)
        yield  # what raises stays the name of what went wrong
        self.enter(rank, before)

    def checkpoint(self, rank: int) -> None:
        """Raises Canceled on all ranks at the same of their checkpoints, once `cancel` was called."""
        with self.lock:
            if self.wish.value and not self.stop_at.value:
                self.stop_at.value = max(self.reached) + 1
            self.reached[rank] += 1
            stops = 0 < self.stop_at.value <= self.reached[rank]
        self.since[rank] = time.monotonic()
        self.moves[rank] += 1
        if stops:
            raise Canceled

    def watch_collectives(self, rank: int) -> None:
        """Every collective of torch.distributed that this process calls is named on the board while it lasts.

        They are replaced where they are exported, in this process, which is the rank's own: so parallel code is watched
        and need not know it. One that is started and waited for later keeps its name until the next operation.
        """
        import torch.distributed as dist

        for name in COLLECTIVES:
            setattr(dist, name, self._watched(rank, name, getattr(dist, name)))

    def _watched(self, rank: int, name: str, collective: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(collective)
        def watched(*args: Any, **how: Any) -> Any:
            over = getattr(how.get("group"), "group_desc", "default_pg").replace("default_pg", "all ranks")
            before = self.enter(rank, f"{name} over {over}")
            made = collective(*args, **how)
            if not how.get("async_op"):
                self.enter(rank, before)
            return made

        return watched
