"""Keeps a worker's lease alive from a process of its own, so that a model load or a long native call cannot lose it.

The worker starts it as `python -m studio.jobs.heartbeat` and writes one line of JSON to its standard input (nothing
secret on a command line). That pipe is its life line: when it closes, the worker is gone, and the lease is given back.
Knows no Django: it is small, starts fast and shares nothing with the process that it watches over.
"""

import json
import os
import select
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg

Connection = psycopg.Connection[tuple[Any, ...]]

BEAT_WORKER = """
INSERT INTO jobs_worker (id, queue, host, pid) VALUES (%(worker)s, %(queue)s, %(host)s, %(pid)s)
ON CONFLICT (id) DO UPDATE SET heartbeat_at = clock_timestamp()
"""
BEAT_LEASE = """
UPDATE jobs_job SET lease_expires_at = clock_timestamp() + %(lease)s * interval '1 second'
WHERE lease_owner = %(worker)s AND state = 'running'
"""
HANGS = """
SELECT 1 FROM jobs_job WHERE lease_owner = %(worker)s AND state = 'running'
    AND claimed_at < clock_timestamp() - %(run)s * interval '1 second'
"""
GIVE_BACK = (
    "UPDATE jobs_job SET lease_expires_at = clock_timestamp() WHERE lease_owner = %(worker)s AND state = 'running'"
)
LEAVE = "DELETE FROM jobs_worker WHERE id = %(worker)s"


@dataclass(frozen=True)
class Charge:
    """What a worker tells its heartbeat."""

    conninfo: str
    worker: str
    queue: str
    host: str
    pid: int
    lease: float
    every: float
    run: float  # seconds after which a job hangs, and its worker with it


def main() -> None:
    # Signals to the process group are for the worker; this one ends when the worker has.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    charge = Charge(**json.loads(_first_line(sys.stdin.fileno())))
    connection = _beat(None, charge)
    print("beating", flush=True)  # or trying to: the worker may start either way
    while not _worker_is_gone(sys.stdin.fileno(), charge.every if connection else min(charge.every, 0.5)):
        connection = _beat(connection, charge)
    _leave(connection, charge)


def _beat(connection: Connection | None, charge: Charge) -> Connection | None:
    def beat(connection: Connection) -> None:
        connection.execute(BEAT_WORKER, charge.__dict__)
        connection.execute(BEAT_LEASE, charge.__dict__)
        if connection.execute(HANGS, charge.__dict__).fetchone():
            _end_worker(charge)

    return _say(connection, charge, beat)


def _leave(connection: Connection | None, charge: Charge) -> None:
    def leave(connection: Connection) -> None:
        connection.execute(GIVE_BACK, charge.__dict__)
        connection.execute(LEAVE, charge.__dict__)

    _say(connection, charge, leave)


def _say(connection: Connection | None, charge: Charge, what: Callable[[Connection], None]) -> Connection | None:
    """Says it to the database; the connection to use next, or None when the database is away (it may be restarting)."""
    try:
        if connection is None:
            connection = psycopg.connect(charge.conninfo, autocommit=True, connect_timeout=5)
        what(connection)
        return connection
    except psycopg.OperationalError as error:
        print(f"heartbeat of worker {charge.worker}: {error}", file=sys.stderr)
        if connection is not None:
            connection.close()
        return None


def _end_worker(charge: Charge) -> None:
    """A worker that hangs in native code hears no signal but this one. Its end closes the life line."""
    print(f"worker {charge.worker} hangs: ended", file=sys.stderr)
    if os.getppid() == charge.pid:  # or it is gone already, and its number another's
        os.kill(charge.pid, signal.SIGKILL)


def _worker_is_gone(life_line: int, seconds: float) -> bool:
    """Waits, and says whether the life line was closed meanwhile."""
    readable, _, _ = select.select([life_line], [], [], seconds)
    return bool(readable) and os.read(life_line, 1) == b""


def _first_line(descriptor: int) -> str:
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(descriptor, 4096)
        if not piece:
            raise SystemExit(0)
        line += piece
    return line.decode()


def charge_line(**fields: Any) -> bytes:
    """What the worker writes into the life line."""
    return json.dumps(Charge(**fields).__dict__).encode() + b"\n"


if __name__ == "__main__":
    main()
