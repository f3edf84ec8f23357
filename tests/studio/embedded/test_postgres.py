"""The embedded PostgreSQL: reached by its own user only, and up again after whatever happened to it."""

import contextlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from studio.embedded import postgres as embedded
from studio.embedded.places import socket_folder
from studio.embedded.postgres import Account, Postgres, can_reach
from tests.alive import all_end
from tests.studio.embedded.running import wait_for

CONNECT = "import psycopg, sys; psycopg.connect(sys.argv[1]).close()"


@pytest.fixture
def server(data_dir: Path) -> Iterator[Postgres]:
    server = Postgres(data_dir, durable=False)
    yield server
    server.stop()


def write_and_count(server: Postgres) -> int:
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
        connection.execute("INSERT INTO kept VALUES (1)")
        return len(connection.execute("SELECT * FROM kept").fetchall())


def test_data_survive_a_stop_and_a_kill(data_dir: Path) -> None:
    server = Postgres(data_dir)
    server.start()
    assert write_and_count(server) == 1
    server.stop()
    server.start()
    assert write_and_count(server) == 2
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    server.start()
    assert write_and_count(server) == 3
    server.stop()


def test_a_start_waits_for_what_a_killed_server_left_at_work(server: Postgres) -> None:
    server.start()

    def work() -> None:
        """Some seconds, in which the backend notices nothing."""
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(server.url) as connection:
            connection.execute("SELECT count(*) FROM generate_series(1, 15000000) a")

    def is_at_work() -> bool:
        with psycopg.connect(server.url) as connection:
            seen = "SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%generate_series(1%'"
            return len(connection.execute(seen + " AND pid <> pg_backend_pid()").fetchall()) == 1

    worker = threading.Thread(target=work)
    worker.start()
    assert wait_for(is_at_work, 20)
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    server.start()
    assert write_and_count(server) == 1
    worker.join()


def test_what_still_ends_may_write_after_the_line_that_says_so(server: Postgres) -> None:
    server.log.parent.mkdir()
    lines = ["[12] FATAL:  pre-existing shared memory block (key 1, ID 2) is still in use", "[12] HINT:  ..."]
    lines += ["[12] LOG:  database system is shut down", "[9] FATAL:  terminating connection", "[13] FATAL:  no room"]
    server.log.write_text("\n".join(lines))
    assert server._waits_for_an_older_one(12)
    assert not server._waits_for_an_older_one(13), "the control: this one ended for something else"


def test_a_stale_lock_with_the_number_of_another_program_is_removed(server: Postgres) -> None:
    server.start()
    server.stop()
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    (server.cluster / "postmaster.pid").write_text(f"{bystander.pid}\n{server.cluster}\n")
    server.start()
    assert write_and_count(server) == 1
    assert bystander.poll() is None  # the other program was left alone
    bystander.kill()
    bystander.wait()


def test_a_cluster_that_was_not_finished_is_made_anew(server: Postgres, data_dir: Path) -> None:
    draft = data_dir / "postgres.new"
    draft.mkdir()
    (draft / "PG_VERSION").write_text("18\n")  # what a killed initdb leaves
    server.start()
    assert write_and_count(server) == 1
    assert not draft.exists()


def test_no_trust_no_port_and_a_private_folder(server: Postgres) -> None:
    server.start()
    assert (server.cluster / "pg_hba.conf").read_text() == "local all aquarius peer map=studio\n"
    assert stat.S_IMODE(server.socket_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.cluster.stat().st_mode) == 0o700
    assert len(str(server.socket_dir / ".s.PGSQL.5432")) < 100
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)


def test_a_data_folder_that_was_another_logins_starts(server: Postgres) -> None:
    server.start()
    server.stop()
    (server.cluster / "pg_ident.conf").write_text('studio "of-before" aquarius\n')
    server.start()
    assert write_and_count(server) == 1


def test_what_lets_us_in_is_replaced_and_never_written_through_a_link(server: Postgres, tmp_path: Path) -> None:
    server.start()
    server.stop()
    precious, rules = tmp_path / "precious", server.cluster / "pg_hba.conf"
    precious.write_text("mine")
    rules.unlink()
    rules.symlink_to(precious)
    server.start()
    assert (precious.read_text(), rules.is_symlink(), write_and_count(server)) == ("mine", False, 1)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_user_gets_in_neither_by_the_folder_nor_by_peer(server: Postgres) -> None:
    server.start()
    stranger = pwd.getpwnam("daemon")
    command = [sys.executable, "-c", CONNECT, server.url]
    assert subprocess.run(command).returncode == 0  # the control: we get in

    as_stranger = {"user": stranger.pw_uid, "group": stranger.pw_gid, "extra_groups": [], "capture_output": True}
    probe = [str(server.binaries / "bin" / "psql"), server.url, "-c", "SELECT 1"]
    assert b"Permission denied" in subprocess.run(probe, **as_stranger).stderr
    server.socket_dir.chmod(0o711)
    (server.socket_dir / ".s.PGSQL.5432").chmod(0o777)
    assert b"Peer authentication failed" in subprocess.run(probe, **as_stranger).stderr


@pytest.fixture
def private(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the server's user cannot reach; clusters lie elsewhere."""
    monkeypatch.setattr(embedded, "STATE_DIR", data_dir / "state")
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    return folder


@pytest.mark.skipif(os.getuid() != 0, reason="only root runs the server as another user")
def test_root_below_a_private_folder_changes_no_permission(private: Path, data_dir: Path) -> None:
    server = Postgres(private / "var", durable=False)
    server.start()
    try:
        assert write_and_count(server) == 1
        assert server.cluster.parent == data_dir / "state"
        assert (private / "var" / "postgres").resolve() == server.cluster
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        assert private.stat().st_uid == 0
        assert server.process is not None
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        assert f"Uid:\t{server.account.uid}\t" in status
        server.stop()
        server.start()
        assert write_and_count(server) == 2
    finally:
        server.stop()


@pytest.mark.skipif(os.getuid() != 0, reason="only root runs the server as another user")
def test_a_data_folder_that_was_removed_gives_no_database_to_the_next_of_its_path(
    private: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "copied_binaries", lambda installed: installed)

    def cluster_of_a_start() -> Path:
        (private / "var").mkdir(exist_ok=True)
        server = Postgres(private / "var")
        server.account = embedded.cluster_account(private / "var" / "postgres")
        return server._reachable_folders()[0]

    first = cluster_of_a_start()
    assert cluster_of_a_start() == first  # the control: the link remembers it
    shutil.rmtree(private / "var")
    second = cluster_of_a_start()
    assert second != first
    assert {first.parent, second.parent} == {data_dir / "state"}


def test_a_copy_of_the_binaries_runs_by_itself(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What root needs where the unprivileged user cannot reach the clone, as below /root."""
    monkeypatch.setattr(embedded, "STATE_DIR", data_dir / "state")
    binaries = embedded.copied_binaries(embedded.installed_binaries())
    assert binaries.is_relative_to(data_dir / "state")
    for name in ("initdb", "postgres"):
        done = subprocess.run([binaries / "bin" / name, "--version"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    libraries = binaries.parents[1] / embedded.LIBRARIES
    if libraries.is_dir():  # the control: they are its own libraries, and not some of the machine
        libraries.rename(libraries.with_name("elsewhere"))
        assert subprocess.run([binaries / "bin" / "initdb", "--version"], capture_output=True).returncode != 0


def test_reach_follows_the_modes_of_all_folders_above(data_dir: Path) -> None:
    nobody = Account("nobody", 65534, 65534)
    inner = data_dir / "a" / "b"
    inner.mkdir(parents=True)
    inner.chmod(0o755)
    (data_dir / "a").chmod(0o755)
    assert can_reach(nobody, inner)
    (data_dir / "a").chmod(0o700)
    assert not can_reach(nobody, inner)


def test_a_socket_folder_of_someone_else_is_refused(server: Postgres, data_dir: Path) -> None:
    squatted = socket_folder(data_dir)
    squatted.mkdir(mode=0o777)
    squatted.chmod(0o777)
    with pytest.raises(embedded.PostgresError, match="belongs to someone else"):
        server.start()
    squatted.rmdir()


def test_a_running_server_of_a_killed_studio_is_ended_first(server: Postgres, data_dir: Path) -> None:
    server.start()
    left = server.process
    second = Postgres(data_dir, durable=False)
    second.start()
    assert left is not None
    assert left.wait(5) == 0
    assert write_and_count(second) == 1
    second.stop()
    server.process = None


def test_it_ends_when_its_parent_is_killed(data_dir: Path) -> None:
    start = (
        "import sys, time; from pathlib import Path; from studio.embedded.postgres import Postgres\n"
        "p = Postgres(Path(sys.argv[1]), durable=False); p.start(); print(p.process.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", start, str(data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)  # the control: it runs
        parent.send_signal(signal.SIGKILL)
    assert all_end([pid], seconds=10)
