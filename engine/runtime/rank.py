"""The life of one rank: meet the others, try the collectives, load, then do what is ordered until the owner is gone."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import Any

from engine.parallel.mesh import Mesh, MeshShape, make_mesh
from engine.runtime.board import Board
from engine.runtime.preflight import preflight

COLLECTIVE_TIMEOUT = timedelta(hours=1)  # the owner watches, and ends a group that hangs long before


@dataclass(frozen=True)
class Place:
    """Where a program runs: which rank of which mesh. `checkpoint` raises Canceled on all ranks at the same call."""

    rank: int
    mesh: Mesh
    checkpoint: Callable[[], None]
    watching: Callable[[str], Any]  # a context manager that names an operation on the board


Program = Callable[[Place], object]  # makes, on each rank, the object whose methods are ordered


def live(
    rank: int, shape: MeshShape, program: Program, threads: int, meeting: str, board: Board, pipe: connection.Connection
) -> None:
    """The whole life of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner, who then ends the ranks in good order
    threading.Thread(target=_end_with_owner, args=(rank, Path(meeting).parent), daemon=True).start()
    owner = Owner(rank, pipe, board)
    made: dict[str, Any] = {}

    def start() -> Iterator[None]:
        made["place"] = _join(rank, shape, threads, meeting, board)
        board.enter(rank, "load")
        made["program"] = program(made["place"])
        return iter(())

    def check() -> Iterator[None]:
        preflight(made["place"].mesh, board, rank)
        return iter(())

    owner.obey(start)
    while (order := owner.next_order()) is not None:
        method, args = order
        board.enter(rank, method)
        owner.obey(check if method == "preflight" else getattr(made["program"], method), *args)


def _join(rank: int, shape: MeshShape, threads: int, meeting: str, board: Board) -> Place:
    import torch
    import torch.distributed as dist

    torch.set_num_threads(threads)
    loopback = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), "")
    os.putenv("GLOO_SOCKET_IFNAME", loopback)  # ranks of one machine need no name service and no open port
    board.watch_collectives(rank)
    board.enter(rank, "meeting of all ranks")
    dist.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=shape.world, timeout=COLLECTIVE_TIMEOUT
    )
    board.enter(rank, "layout of the mesh")
    mesh = make_mesh(shape)
    preflight(mesh, board, rank)
    return Place(rank, mesh, lambda: board.checkpoint(rank), lambda operation: board.within(rank, operation))


class Owner:
    """The process that has this one, at the other end of the pipe."""

    def __init__(self, rank: int, pipe: connection.Connection, board: Board) -> None:
        self.rank, self.pipe, self.board = rank, pipe, board

    def next_order(self) -> tuple[str, tuple[Any, ...]] | None:
        """Method and arguments; None at the end. Arguments lie in a file: a pipe would block on one that sleeps."""
        try:
            order = pickle.loads(self.pipe.recv_bytes())
        except EOFError:
            return None
        return order and (order[0], pickle.loads(Path(order[1]).read_bytes()))

    def obey(self, method: Callable[..., Iterator[Any]], *args: Any) -> None:
        """Tell the owner what rank 0 yields, and how it ended on every rank."""
        try:
            for item in method(*args):
                if self.rank == 0:
                    self._tell("item", item)
            self._end("done", None)
        except Exception as error:
            error.add_note(f"On rank {self.rank}:\n{traceback.format_exc()}")
            self._end("failed", _portable(error))

    def _end(self, kind: str, what: Exception | None) -> None:
        self.board.enter(self.rank, "wait for orders")  # before the owner hears of it and looks
        self._tell(kind, what)

    def _tell(self, kind: str, what: Any) -> None:
        self.pipe.send_bytes(pickle.dumps((kind, what), protocol=pickle.HIGHEST_PROTOCOL))


def _portable(error: Exception) -> Exception:
    """The error itself where it survives the journey, else one that quotes it."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError("".join(traceback.format_exception(error)))
    return error


def _end_with_owner(rank: int, folder: Path) -> None:
    """The owner may be killed: whatever this rank is in then, it ends, and nothing of the order stays on disk."""
    owner = parent_process()
    assert owner is not None
    connection.wait([owner.sentinel])
    if rank == 0:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)
