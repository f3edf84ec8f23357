"""`manage.py serve`: the whole studio as one process and its children, from an empty data folder or an existing one."""

import contextlib
import fcntl
import http.client
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import psutil

from studio.embedded.addresses import (
    EVERYWHERE,
    LOCAL,
    in_address,
    local_address,
    public_address,
    reachable,
    write_address,
)
from studio.embedded.children import Child, Family
from studio.embedded.postgres import Postgres, PostgresError

WORKER_GRACE, DATABASE_GRACE = 3.0, 2.0  # of the 10 s in which everything has to be over
READY_SECONDS = 300.0
CRASHES_BEFORE_READY = 3
TICK = 0.1
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0  # between starts of a PostgreSQL that keeps ending
HEALTHY_SECONDS = 60.0  # a PostgreSQL that ran this long starts its back-off anew


class ServeError(RuntimeError):
    """The studio cannot start; the sentence says why and what to do."""


@dataclass(frozen=True)
class Plan:
    """What to run: `prepare` (migrate, seed) runs once the database is up and returns the path to open first."""

    root: Path
    data_dir: Path
    host: str
    port: int
    embedded_database: bool
    prepare: Callable[[], str]
    allowed_hosts: list[str]
    https: bool = False
    preload: bool = True  # of models, by the workers as they start
    public_names: tuple[str, ...] = ()  # names or origins under which people reach the studio, the best first


class StopFlag:
    """Set by SIGINT, SIGTERM and SIGHUP; the loop looks at it, so that no step is interrupted half-way."""

    def __init__(self) -> None:
        self.is_set = False

    def __enter__(self) -> "StopFlag":
        self._before = {sent: signal.signal(sent, self._set) for sent in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        return self

    def __exit__(self, *_: object) -> None:
        for sent, handler in self._before.items():
            signal.signal(sent, handler)

    def _set(self, number: int, frame: FrameType | None) -> None:
        self.is_set = True


def serve(plan: Plan, say: Callable[[str], None]) -> None:
    """Run until a signal arrives. Raises ServeError when it cannot start; nothing is left running either way."""
    with StopFlag() as stop, only_one(plan), listening(plan.host, plan.port) as listener:
        database = Postgres(plan.data_dir) if plan.embedded_database else None
        family = Family(child_environment(plan), plan.root, say)
        try:
            if database is not None:
                start_database(database, family, stop)
            first_path = plan.prepare()
            if not stop.is_set:
                start_children(family, plan, listener)
                announce_when_ready(family, plan, first_path, stop, say)
            run_until(stop, family, database, say)
        finally:
            say("Stopping.")
            family.stop(WORKER_GRACE)
            if database is not None:
                database.stop(DATABASE_GRACE)
            family.dismiss()


def start_database(database: Postgres, family: Family, stop: StopFlag) -> None:
    try:
        database.start(give_up=lambda: stop.is_set)
    except PostgresError as error:
        raise ServeError(str(error)) from error
    assert database.process is not None
    family.guard(database.process, signal.SIGINT, database.log)


def start_children(family: Family, plan: Plan, listener: socket.socket) -> None:
    python, manage = sys.executable, str(plan.root / "manage.py")
    number = listener.fileno()
    late = [] if plan.preload else ["--no-preload"]
    commands: dict[str, list[str]] = {
        "web": [python, "-m", "studio.embedded.web", "--fd", str(number)],
        "worker-engine": [python, manage, "worker", "--queue", "engine", "--nice", "10", *late],  # masks go first
        "worker-media": [python, manage, "worker", "--queue", "media", *late],
        "sweeper": [python, manage, "sweeper"],
    }
    for name, command in commands.items():
        log = plan.data_dir / "log" / f"{name}.log"
        family.start(Child(name, command, log, pass_fds=(number,) if name == "web" else ()))


def announce_when_ready(family: Family, plan: Plan, path: str, stop: StopFlag, say: Callable[[str], None]) -> None:
    """Print the address once the web process answers. Raises ServeError when it never does."""
    web = family.children[0]
    until = time.monotonic() + READY_SECONDS
    while not stop.is_set and not answers(plan.host, plan.port):
        family.watch()
        if web.crashes >= CRASHES_BEFORE_READY or time.monotonic() > until:
            raise ServeError(f"The web process does not start. The end of {web.log}:\n{web.log_tail()}")
        time.sleep(TICK)
    if not stop.is_set:
        address = public_address(plan.host, plan.port, https=plan.https, names=list(plan.public_names))
        write_address(plan.data_dir, address)
        say(f"\n  Aquarius Studio is running. Open\n\n    {address}{path}\n")
        if note := address_note(plan):
            say(f"  {note}\n")
        say("  The link signs you in once; `make sign-in` makes another. Ctrl-C stops everything.\n")


def address_note(plan: Plan) -> str:
    here = local_address(plan.host, plan.port)
    if plan.https:
        proxied = "with X-Forwarded-Proto: https, and who asks in X-Forwarded-For"
        return f"AQ_HTTPS is set: your proxy has to pass that address on to {here}, {proxied}."
    if plan.host in EVERYWHERE:
        return f"That is for the network; on this machine {here} is the same."
    return ""


def run_until(stop: StopFlag, family: Family, database: Postgres | None, say: Callable[[str], None]) -> None:
    keeper = DatabaseKeeper(database, family, stop, say) if database is not None else None
    while not stop.is_set:
        family.watch()
        if keeper is not None:
            keeper.watch()
        time.sleep(TICK)


class DatabaseKeeper:
    """Starts PostgreSQL again when it ends, with back-off. `watch()` is called often and waits for nothing."""

    def __init__(self, database: Postgres, family: Family, stop: StopFlag, say: Callable[[str], None]) -> None:
        self._database, self._family, self._stop, self._say = database, family, stop, say
        self._pause = 0.0
        self._started = time.monotonic()
        self._start_again: float | None = None  # None while it runs

    def watch(self) -> None:
        now = time.monotonic()
        if self._start_again is not None and now >= self._start_again:
            self._start()
        elif self._start_again is None and not self._runs():
            self._say("PostgreSQL ended; it starts again.")
            if self._database.process is not None:
                self._family.release(self._database.process)
            self._plan_next(now)

    def _runs(self) -> bool:
        return self._database.process is not None and self._database.process.poll() is None

    def _plan_next(self, now: float) -> None:
        if now - self._started > HEALTHY_SECONDS:
            self._pause = 0.0
        self._start_again = now + self._pause
        self._pause = min(self._pause * 2 + FIRST_PAUSE, LONGEST_PAUSE)

    def _start(self) -> None:
        self._started = time.monotonic()
        self._start_again = None
        try:
            start_database(self._database, self._family, self._stop)
        except ServeError as error:
            if not self._stop.is_set:
                self._say(f"{error}\nIt is tried again in {self._pause:.1f} s.")
                self._plan_next(time.monotonic())


# --- what may be wrong before anything starts ---


@contextlib.contextmanager
def only_one(plan: Plan) -> Iterator[None]:
    """Hold the data folder. The lock ends with this process, however it ends. Raises ServeError when it is held."""
    folder = plan.data_dir / "run"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "serve.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise ServeError(
                f"The studio already runs on {plan.data_dir} (process {lock.read().strip() or 'unknown'}). "
                "Stop that one first, or give this one a data folder of its own with AQ_DATA_DIR."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
        (folder / "address.json").unlink(missing_ok=True)


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """The listening socket, opened before anything else starts and handed to the web process. Raises ServeError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror:
        raise ServeError(f"HOST={host} is no address of this machine.") from None
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(512)
        except OSError as error:
            raise ServeError(bind_problem(error, host, port)) from None
        yield listener


def bind_problem(error: OSError, host: str, port: int) -> str:
    if isinstance(error, PermissionError):
        return f"Port {port} needs more rights than this user has. Choose one above 1023: PORT=8000 make run"
    if "in use" in str(error):
        return f"Port {port} on {host} is in use by another program. Choose another: PORT={port + 1} make run"
    return f"Cannot listen on {host}:{port}: {error.strerror}."


# --- the children's world ---


def answers(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(reachable(host), port, timeout=2)
    try:
        connection.request("GET", "/", headers={"Host": "localhost"})
        return connection.getresponse().status > 0
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def child_environment(plan: Plan) -> dict[str, str]:
    """Ours; when the studio listens beyond this machine, with the machine's own names and addresses allowed."""
    hosts = list(plan.allowed_hosts)
    if plan.host not in LOCAL:
        cards = psutil.net_if_addrs().values()
        name = socket.gethostname()
        hosts += [name, f"{name.split('.')[0]}.local", socket.getfqdn(), in_address(reachable(plan.host))]
        families = (socket.AF_INET, socket.AF_INET6)
        hosts += [in_address(card.address) for found in cards for card in found if card.family in families]
    return {**os.environ, "AQ_ALLOWED_HOSTS": ",".join(dict.fromkeys(hosts)), "PYTHONUNBUFFERED": "1"}
