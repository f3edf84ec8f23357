"""Signs of life of every rank, and a watch that names the rank and the operation when one hangs or is gone.

Each rank writes what it is at to `ranks/RANK.json` in the stage's folder, which all ranks share as they share its
checkpoints. A rank that stays in one phase longer than `patience` looks at the others, says which of them is silent or
behind, and ends; torchrun then ends the rest and starts all of them again from the last good checkpoint.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType, TracebackType

import psutil

from trainer.faults import FaultLog, FaultsConfig
from trainer.ranks import Ranks

EXIT = 70  # of a rank that gave up waiting
LOOKED_FOR = 5  # beats, of which a living rank gives one at least, however busy its machine
OURS = str(Path(__file__).parents[1])
STATES = {psutil.STATUS_STOPPED: "is stopped", psutil.STATUS_ZOMBIE: "is gone", psutil.STATUS_DEAD: "is gone"}


@dataclass(frozen=True)
class Beat:
    """What a rank was at. `moves` counts the phases that it has entered: all ranks enter the same."""

    rank: int
    count: int
    moves: int
    step: int
    phase: str
    operation: str
    host: str
    pid: int


class Watch:
    """Runs beside the training of a stage, while it is entered, where there are several ranks."""

    def __init__(self, stage: Path, ranks: Ranks, config: FaultsConfig, faults: FaultLog) -> None:
        self.folder, self.ranks, self.config, self.faults = stage / "ranks", ranks, config, faults
        self.step, self.phase, self.moves, self.since = 0, "begin", 0, time.monotonic()
        self._count = 0
        self._trained = threading.main_thread().ident
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def enter(self, phase: str, step: int) -> None:
        """The training thread begins a phase of a step."""
        self.phase, self.step, self.since = phase, step, time.monotonic()
        self.moves += 1

    def __enter__(self) -> Watch:
        if self.ranks.world > 1:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._beat()
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        if self.ranks.world > 1:
            self._thread.join()
            if error is not None and type(error).__module__ != "trainer.run":  # which stops on every rank alike
                self._say(f"failed in {self.phase} of step {self.step} ({str(error)[:200]})")

    def _run(self) -> None:
        while not self._over.wait(self.config.beat):
            self._beat()
            if time.monotonic() - self.since > self.config.patience:
                self._say(f"waited {self.config.patience:g} s in {self.phase} of step {self.step}")
                os._exit(EXIT)  # the training thread is in a call that no exception reaches

    def _beat(self) -> None:
        self._count += 1
        frame = sys._current_frames().get(self._trained or 0)
        beat = Beat(
            self.ranks.rank,
            self._count,
            self.moves,
            self.step,
            self.phase,
            operation_of(frame),
            socket.gethostname(),
            os.getpid(),
        )
        temporary = self.folder / f".{beat.rank}.tmp"
        temporary.write_text(json.dumps(asdict(beat)))
        temporary.replace(self.folder / f"{beat.rank}.json")

    def _say(self, what: str) -> None:
        """Print and note which rank is to blame."""
        before = read_beats(self.folder, self.ranks.world)
        blamed = [gone for beat in before if (gone := _gone(beat))]
        if not blamed:
            for _ in range(LOOKED_FOR):  # and lives on meanwhile: others may look too
                time.sleep(self.config.beat)
                self._beat()
            blamed = blame(before, read_beats(self.folder, self.ranks.world))
        text = f"rank {self.ranks.rank} {what}: {'; '.join(blamed)}"
        print(text, file=sys.stderr, flush=True)
        where = {"rank": self.ranks.rank, "step": self.step, "phase": self.phase}
        self.faults.note("a rank failed", **where, blamed=blamed, text=text)


def read_beats(folder: Path, world: int) -> list[Beat]:
    """The last sign of life of each rank that has given one."""
    paths = [folder / f"{rank}.json" for rank in range(world)]
    return [Beat(**json.loads(path.read_text())) for path in paths if path.exists()]


def blame(before: list[Beat], after: list[Beat]) -> list[str]:
    """Who holds the others up: ranks that gave no sign between two looks, else those that have entered fewer phases.

    Counts are compared and not times: the ranks' clocks may differ.
    """
    counts = {beat.rank: (beat.pid, beat.count) for beat in before}
    silent = [beat for beat in after if counts.get(beat.rank) == (beat.pid, beat.count)]
    if silent:
        return [f"rank {beat.rank} gives no sign of life, last {_at(beat)}" for beat in silent]
    furthest = max(beat.moves for beat in after)
    behind = [beat for beat in after if beat.moves < furthest]
    return [f"rank {beat.rank} is behind, {_at(beat)}" for beat in behind] or [f"all ranks wait, {_at(after[0])}"]


def operation_of(frame: FrameType | None) -> str:
    """What a thread is at: the collective that it waits in, if any, and the line of ours that asked for it."""
    collective, where = "", "?"
    while frame is not None:
        code = frame.f_code
        if code.co_filename.endswith("distributed_c10d.py"):
            collective = f"{code.co_name} in "
        if code.co_filename.startswith(OURS) and "site-packages" not in code.co_filename:
            where = f"{code.co_filename.removeprefix(OURS).lstrip('/')}:{frame.f_lineno} ({code.co_name})"
            break
        frame = frame.f_back
    return collective + where


def _gone(beat: Beat) -> str:
    """What this machine knows of a rank's process; empty where it runs, or runs elsewhere."""
    if beat.host != socket.gethostname():
        return ""
    try:
        state = STATES.get(psutil.Process(beat.pid).status(), "")
    except psutil.NoSuchProcess:
        state = "is gone"
    return f"rank {beat.rank} {state}, last {_at(beat)}" if state else ""


def _at(beat: Beat) -> str:
    return f"in {beat.phase} of step {beat.step}, at {beat.operation}"
