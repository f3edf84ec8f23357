"""The owner's side of a group of ranks: start, order, listen, watch, end, start again.

    group = RankGroup(program, MeshShape(cfg=2))      # starts at the first order
    for item in group.run("denoise", rows, steps):    # what rank 0 yields of `program(place).denoise(rows, steps)`
        ...

One order at a time, from one thread. Torch-free but for what the program's items are made of.
"""

from __future__ import annotations

import logging
import multiprocessing
import pickle
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from engine.events import Canceled
from engine.parallel.mesh import MeshShape
from engine.runtime.board import Board, Doing
from engine.runtime.errors import GroupError, RankDied, RankHangs
from engine.runtime.rank import Program, live

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.05  # between two looks at cancel and watchdog while nothing is heard
LAST_SECONDS = 3.0  # for the other ranks to answer after one of them failed


@dataclass(frozen=True)
class Limits:
    """Seconds without any sign of life of any rank: between two operations, collectives and checkpoints."""

    start: float = 300.0  # import, meeting, load
    order: float = 300.0  # one block of a large model on a slow machine
    preflight: float = 20.0  # one exchange of a few numbers


@dataclass
class Ranks:
    """The processes of one start, and what is shared with them."""

    processes: list[BaseProcess]
    pipes: list[connection.Connection]
    board: Board
    folder: Path

    def end(self) -> None:
        """All processes gone and reaped, the folder with them. A rank has nothing to save, so none is asked first."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.join()
        for pipe in self.pipes:
            pipe.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class RankGroup:
    """`shape.world` processes on this machine that run one program each, as often as asked.

    They end with `close`, with this object, with its process, and when that is killed.
    """

    def __init__(self, program: Program, shape: MeshShape, *, threads: int = 1, limits: Limits | None = None) -> None:
        self.program, self.shape, self.threads = program, shape, threads
        self.limits = limits or Limits()
        self.ranks: Ranks | None = None
        self._ordered = False
        self._finalizer: weakref.finalize[[], RankGroup] | None = None

    def start(self, visit: Callable[[], None] = lambda: None) -> None:
        """All ranks met, their collectives tried, the program loaded. Nothing where they are alive already.

        Raises RankHangs, RankDied, what the program raised, or what `visit` did, which is called many times a second.
        """
        if self.ranks is not None and all(process.is_alive() for process in self.ranks.processes):
            return
        self.close()
        begun = time.monotonic()
        self.ranks = self._spawn()
        self._finalizer = weakref.finalize(self, self.ranks.end)
        for _ in self._listen(self.ranks, "start", self.limits.start, visit):
            pass
        logger.info("%s ranks are ready after %.1f s", self.shape.world, time.monotonic() - begun)

    def close(self) -> None:
        """End the ranks, whatever they do."""
        if self._finalizer is not None:
            self._finalizer()  # once, and not again at exit
        self.ranks = self._finalizer = None

    def health(self) -> list[Doing]:
        """What every rank is doing now; empty where the group is not running."""
        return [] if self.ranks is None else self.ranks.board.doing()

    def preflight(self) -> None:
        """Try every collective of the mesh again. RankHangs names who does not come, and in what the others wait."""
        for _ in self.run("preflight", seconds=self.limits.preflight):
            pass

    def run(
        self, method: str, *args: Any, visit: Callable[[], None] = lambda: None, seconds: float | None = None
    ) -> Generator[Any, None, None]:
        """Call `method` of the program on all ranks alike, and yield what rank 0 yields.

        `visit` is called many times a second. What it raises cancels the order at the ranks' next checkpoint and is
        then raised here; closing this generator cancels likewise. An error of a rank is raised here as it was there.
        """
        assert not self._ordered, "one order at a time: read it to its end, or close it"
        self.start(visit)
        assert self.ranks is not None
        ranks, file = self.ranks, self.ranks.folder / "order"
        ranks.board.begin()
        file.write_bytes(pickle.dumps(args, protocol=pickle.HIGHEST_PROTOCOL))
        for rank, pipe in enumerate(ranks.pipes):
            try:
                pipe.send_bytes(pickle.dumps((method, str(file))))
            except OSError:
                raise self._lost(ranks, rank) from None
        yield from self._listen(ranks, method, seconds or self.limits.order, visit)

    def _spawn(self) -> Ranks:
        # A fork server: it has imported torch once, so that a rank that died is replaced in a second, and unlike a fork
        # of this process it has neither threads nor a used device.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["engine.runtime.denoise"])
        board, folder = Board(context, self.shape.world), Path(tempfile.mkdtemp(prefix="aq-ranks-"))
        processes: list[BaseProcess] = []
        pipes = []
        for rank in range(self.shape.world):
            ours, theirs = context.Pipe()
            args = rank, self.shape, self.program, self.threads, str(folder / "meeting"), board, theirs
            process = context.Process(target=live, args=args, daemon=True, name=f"rank-{rank}")
            process.start()
            theirs.close()
            processes.append(process)
            pipes.append(ours)
        return Ranks(processes, pipes, board, folder)

    def _listen(
        self, ranks: Ranks, method: str, seconds: float, visit: Callable[[], None]
    ) -> Generator[Any, None, None]:
        """What rank 0 yields, until every rank has answered. Leaves an idle group, or none."""
        answers: dict[int, Exception | None] = {}
        self._ordered = True
        try:
            for kind, what in self._hear(ranks, method, seconds, visit, answers):
                if kind == "item":
                    yield what
        except GroupError:
            self.close()
            raise
        except BaseException:  # of `visit`, or of who reads the items
            if method == "start":
                self.close()
            else:
                self._stop(ranks, method, answers)
            raise
        finally:
            self._ordered = False
        errors = [error for _, error in sorted(answers.items()) if error is not None]
        failed = [error for error in errors if not isinstance(error, Canceled)]
        if failed:  # the ranks may have stopped on different sides of an exchange
            self.close()
        if errors:
            raise (failed or errors)[0]

    def _hear(
        self, ranks: Ranks, method: str, seconds: float, visit: Callable[[], None], answers: dict[int, Exception | None]
    ) -> Iterator[tuple[str, Any]]:
        """Messages until all ranks answered, which fills `answers`. One that fails alone leaves the others waiting."""
        watchdog, failed_at = Watchdog(ranks.board, method, seconds), 0.0
        while len(answers) < len(ranks.pipes):
            waiting = {pipe: rank for rank, pipe in enumerate(ranks.pipes) if rank not in answers}
            for ready in connection.wait(list(waiting), LOOK_SECONDS):
                assert isinstance(ready, connection.Connection)
                try:
                    kind, what = pickle.loads(ready.recv_bytes())
                except (EOFError, OSError):
                    raise self._lost(ranks, waiting[ready]) from None
                if kind != "item":
                    answers[waiting[ready]] = what
                    if failed_at == 0.0 and what is not None and not isinstance(what, Canceled):
                        failed_at = time.monotonic()
                yield kind, what
                watchdog.moves = -1  # the reader may have taken long
            visit()
            if not failed_at:
                watchdog.look(set(waiting.values()) - set(answers))
            elif time.monotonic() - failed_at > LAST_SECONDS and len(answers) < len(ranks.pipes):
                self.close()  # the error is told, and the ranks that wait for the failed one are gone
                return

    def _stop(self, ranks: Ranks, method: str, answers: dict[int, Exception | None]) -> None:
        """Cancel what runs and wait until all ranks are idle; end the group where they do not become so."""
        ranks.board.cancel()
        try:
            for _ in self._hear(ranks, method, self.limits.order, lambda: None, answers):
                pass
        except GroupError as error:
            logger.warning("while an order was canceled: %s", error)
            self.close()
        if any(error is not None and not isinstance(error, Canceled) for error in answers.values()):
            self.close()

    def _lost(self, ranks: Ranks, rank: int) -> RankDied:
        what = ranks.board.doing()[rank]
        process = ranks.processes[rank]
        process.join(1)
        self.close()
        return RankDied(f"A rank ended with {process.exitcode}: {what}.")


class Watchdog:
    """Raises RankHangs when no rank has moved for too long while someone looked."""

    def __init__(self, board: Board, method: str, seconds: float) -> None:
        self.board, self.method, self.seconds = board, method, seconds
        self.moves, self.since = -1, 0.0

    def look(self, waiting: set[int]) -> None:
        """`waiting`: the ranks that have not answered yet."""
        doing = self.board.doing()
        moves, now = sum(one.moves for one in doing), time.monotonic()
        if moves != self.moves:
            self.moves, self.since = moves, now
        if not waiting or now - self.since < self.seconds:
            return
        least = min(doing[rank].place for rank in waiting)
        behind = [one for one in doing if one.rank in waiting and one.place == least]
        others = [str(one) for one in doing if one not in behind]
        raise RankHangs(
            f"`{self.method}` hangs: nothing moved for {self.seconds:g} s. Behind: {'; '.join(map(str, behind))}."
            + (f" The others: {'; '.join(others)}." if others else "")
        )
