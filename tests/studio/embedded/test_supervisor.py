"""The supervisor's own decisions, without a studio: addresses to tell, and a PostgreSQL that will not stay up."""

import errno
import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from socket import AF_INET6
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from django.core.management import CommandError, call_command
from django.http.request import split_domain_port, validate_host

from studio.embedded import addresses, supervisor
from studio.embedded.management.commands import serve
from studio.embedded.postgres import PostgresError
from studio.embedded.supervisor import StopFlag, address_note, run_until
from tests.studio.embedded.running import free_port

NAMES = ["localhost", "127.0.0.1", "[::1]"]


@pytest.mark.parametrize(
    ("host", "https", "names", "told"),
    [
        ("127.0.0.1", False, NAMES, "http://127.0.0.1:8000"),
        ("::1", False, NAMES, "http://[::1]:8000"),
        ("192.0.2.7", False, NAMES, "http://192.0.2.7:8000"),
        ("0.0.0.0", False, NAMES, "http://198.51.100.4:8000"),
        ("::", False, NAMES, "http://198.51.100.4:8000"),
        ("127.0.0.1", True, [*NAMES, "studio.example"], "https://studio.example"),
        ("0.0.0.0", True, ["https://a.example:8443", "b.example"], "https://a.example:8443"),
        ("127.0.0.1", True, ["https://*.a.example", ".b.example", "c.example"], "https://c.example"),
        ("127.0.0.1", True, NAMES, "https://localhost"),
    ],
)
def test_the_address_that_is_told_is_one_that_people_reach(
    monkeypatch: pytest.MonkeyPatch, host: str, https: bool, names: list[str], told: str
) -> None:
    monkeypatch.setattr(addresses, "network_addresses", lambda: ["198.51.100.4", "10.0.0.9"])
    assert addresses.public_address(host, 8000, https=https, names=names) == told


def test_without_a_network_the_address_is_this_machines_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "network_addresses", lambda: [])
    assert addresses.public_address("0.0.0.0", 8000, https=False, names=NAMES) == "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("host", "https", "said"), [("127.0.0.1", False, ""), ("0.0.0.0", False, "network"), ("127.0.0.1", True, "proxy")]
)
def test_what_the_address_needs_is_said_beside_it(tmp_path: Any, host: str, https: bool, said: str) -> None:
    plan = supervisor.Plan(tmp_path, tmp_path, host, 8000, True, lambda: "/", NAMES, https=https)
    assert said in address_note(plan)
    assert bool(address_note(plan)) is bool(said)


@pytest.mark.parametrize(("host", "known"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_on_the_network_the_machine_is_known_by_its_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, known: bool
) -> None:
    monkeypatch.setattr(supervisor.socket, "gethostname", lambda: "Anas-Mac.home.arpa")
    plan = supervisor.Plan(tmp_path, tmp_path, host, 8000, True, lambda: "/", NAMES)
    names = supervisor.child_environment(plan)["AQ_ALLOWED_HOSTS"].split(",")
    assert [name in names for name in ("Anas-Mac.home.arpa", "Anas-Mac.local", "localhost")] == [known, known, True]


@pytest.mark.parametrize("host", ["2001:db8::7", "::", "fe80::1%eth0"])
def test_the_link_of_an_ipv6_address_is_one_that_the_studio_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    cards = [SimpleNamespace(family=AF_INET6, address=address) for address in ("2001:db8::7", "fe80::1%eth0")]
    monkeypatch.setattr(supervisor.psutil, "net_if_addrs", lambda: {"eth0": cards})
    plan = supervisor.Plan(tmp_path, tmp_path, host, 8000, True, lambda: "/", NAMES)
    known = supervisor.child_environment(plan)["AQ_ALLOWED_HOSTS"].split(",")
    links = [addresses.local_address(name, 8000) for name in (host, "2001:db8::7", "fe80::1")]
    asked = [split_domain_port(link.removeprefix("http://"))[0] for link in links]
    assert [validate_host(name, known) for name in asked] == [True, True, True]
    assert not validate_host("[2001:db8::8]", known)  # the control


def test_the_stop_is_orderly_when_nobody_reads_what_is_said(tmp_path: Path) -> None:
    """The terminal was closed, or Ctrl-C ended the `tee` beside it."""
    reader, writer = os.pipe()
    os.close(reader)
    gone = io.FileIO(writer, "w")
    with pytest.raises(BrokenPipeError):
        gone.write(b"the control")
    command = serve.Command(stdout=io.TextIOWrapper(gone, write_through=True))

    def stop_at_once() -> str:
        os.kill(os.getpid(), signal.SIGTERM)
        return "/"

    plan = supervisor.Plan(tmp_path, tmp_path, "127.0.0.1", free_port(), False, stop_at_once, NAMES)
    supervisor.serve(plan, command._say)
    gone.close()
    assert [child for child in psutil.Process().children() if "warden.py" in " ".join(child.cmdline())] == []


def test_a_file_of_another_login_is_told_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_ours(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "run" / "serve.lock"))

    monkeypatch.setattr(serve, "serve", not_ours)
    with pytest.raises(CommandError, match=r"may not use .*serve\.lock\. Start the studio under the login"):
        call_command("serve")


# --- PostgreSQL ends again and again ---


class BrokenDatabase:
    """Ended, and ends at every start."""

    def __init__(self) -> None:
        self.process: Any = subprocess.Popen([sys.executable, "-c", ""])
        self.process.wait()
        self.starts: list[float] = []

    def start(self, give_up: Any) -> None:
        self.starts.append(time.monotonic())
        raise PostgresError("PostgreSQL ended while starting.")


class Nobody:
    def __init__(self) -> None:
        self.watched = 0
        self.told: list[str] = []

    def guard(self, process: Any, sent: int, log: Path) -> None:
        self.told.append(f"+ {process.pid}")

    def release(self, process: Any) -> None:
        self.told.append(f"- {process.pid}")

    def watch(self) -> None:
        self.watched += 1


def run_for(seconds: float, database: Any, family: Any, said: list[str]) -> float:
    """Seconds that it took to end after the flag was set."""
    stop = StopFlag()
    began = time.monotonic()
    threading.Timer(seconds, lambda: setattr(stop, "is_set", True)).start()
    run_until(stop, family, database, said.append)
    return time.monotonic() - began - seconds


def test_a_signal_ends_the_wait_for_a_database_that_keeps_ending() -> None:
    database, family, said = BrokenDatabase(), Nobody(), list[str]()
    assert run_for(2.5, database, family, said) < 1.0  # the pause at that time is one of 3.5 s
    assert 3 <= len(database.starts) <= 4
    assert family.watched > 10  # the other processes are looked after meanwhile
    assert any("tried again in" in line for line in said)


def test_the_pauses_between_starts_grow() -> None:
    database = BrokenDatabase()
    run_for(2.5, database, Nobody(), [])
    first, second, third = database.starts[:3]
    assert 0.4 < second - first < third - second


class StartsNever(BrokenDatabase):
    """A start that timed out leaves no process at all."""

    def start(self, give_up: Any) -> None:
        super_start = super().start
        self.process = None
        super_start(give_up)


def test_a_start_that_timed_out_is_not_the_last_one() -> None:
    database = StartsNever()
    run_for(1.5, database, Nobody(), [])
    assert len(database.starts) >= 2


class EndsOnce(BrokenDatabase):
    """Ended, and runs from its next start on."""

    log = Path("postgres.log")

    def start(self, give_up: Any) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


def test_the_warden_hears_that_the_database_of_before_is_over() -> None:
    database, family = EndsOnce(), Nobody()
    first = database.process.pid
    run_for(1.0, database, family, [])
    assert family.told == [f"- {first}", f"+ {database.process.pid}"]
    database.process.communicate(b"\n")
