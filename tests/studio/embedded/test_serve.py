"""`manage.py serve`, with real processes: it starts, recovers, refuses, and leaves nothing behind."""

import signal
import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.studio.embedded.running import ANSWER_SECONDS, Studio, free_port, processes_of, wait_for

pytestmark = pytest.mark.timeout(900)  # several starts of a whole studio, on a machine that may be busy

Start = Callable[..., Studio]
CHILDREN = ("studio.embedded.web", "--queue engine", "--queue media", "manage.py sweeper", "postgres -D", "warden.py")


def signed_in(browser: httpx.Client) -> bool:
    try:
        return browser.get("/api/v1/session").status_code == 200
    except httpx.HTTPError:
        return False


# With the models, as `make run` starts it, and as the studio is started that tests/e2e use.
@pytest.mark.parametrize("preload", [False, pytest.param(True, marks=pytest.mark.full)])
def test_it_starts_signs_in_recovers_and_ends(start: Start, data_dir: Path, preload: bool) -> None:
    studio = start(preload=preload).wait_until_running()

    with httpx.Client(base_url=f"http://127.0.0.1:{studio.port}", timeout=10) as browser:
        opened = browser.get(studio.link(), timeout=ANSWER_SECONDS)
        assert opened.headers.get("location") == "/", studio.logs()
        assert "default-src 'none'" in opened.headers["content-security-policy"]
        assert browser.get("/api/v1/session").json()["workspaces"][0]["role"] == "owner"

        web = studio.child("studio.embedded.web").pid
        studio.child("studio.embedded.web").kill()
        assert wait_for(lambda: signed_in(browser), 60), studio.logs()
        assert studio.child("studio.embedded.web").pid != web

        studio.child("postgres -D").kill()
        assert wait_for(lambda: "PostgreSQL ended" in studio.text() and signed_in(browser), 60), studio.logs()
    assert [name for name in CHILDREN if not studio.child(name).is_running()] == []

    assert studio.end(signal.SIGINT) < 10
    assert studio.process.returncode == 0
    assert processes_of(data_dir) == []


def test_after_kill_9_nothing_is_left_and_the_next_start_has_all_data(start: Start, data_dir: Path) -> None:
    first = start().wait_until_running()
    link = first.link()
    assert len(processes_of(data_dir)) > 5  # the control: there was something to leave behind

    first.end(signal.SIGKILL)
    assert wait_for(lambda: not processes_of(data_dir), 10), processes_of(data_dir)

    second = start(port=first.port).wait_until_running()
    with httpx.Client(timeout=ANSWER_SECONDS) as browser:  # the first start's link was not used yet: it still works
        assert browser.get(link).headers["location"] == "/"
    assert second.end(signal.SIGTERM) < 10
    assert processes_of(data_dir) == []


@pytest.mark.full
def test_a_start_in_the_moment_after_kill_9_works(start: Start, data_dir: Path) -> None:
    first = start().wait_until_running()
    first.process.kill()
    second = start(port=free_port()).wait_until_running()
    assert second.status() == 200


@pytest.mark.full
def test_a_second_one_on_the_same_data_is_refused(start: Start, data_dir: Path) -> None:
    first = start().wait_until_running()

    second = start()
    assert second.process.wait(60) == 1
    assert f"already runs on {data_dir} (process {first.process.pid})" in second.text()
    assert "Traceback" not in second.text()
    assert first.status() == 200

    first.end(signal.SIGTERM)  # the control: the lock is the reason, and it goes with its holder
    third = start()
    assert third.wait_until_running().status() == 200


def test_a_port_in_use_is_told_and_nothing_is_left_running(start: Start, data_dir: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        studio = start(port=taken.getsockname()[1])
        assert studio.process.wait(60) == 1
    assert "is in use by another program" in studio.text()
    assert "Traceback" not in studio.text()
    assert processes_of(data_dir) == []
    assert not (data_dir / "postgres").exists()


def test_behind_tls_the_link_is_the_one_that_the_proxy_passes_on(start: Start) -> None:
    studio = start(AQ_HTTPS="1", AQ_ALLOWED_HOSTS="localhost,studio.example").wait_until_running()
    assert studio.link().startswith("https://studio.example/sign-in/")
    path = studio.link().removeprefix("https://studio.example")
    here = f"http://127.0.0.1:{studio.port}"
    proxied = {"Host": "studio.example", "X-Forwarded-Proto": "https"}
    with httpx.Client(timeout=ANSWER_SECONDS) as browser:
        plain = browser.get(here + path, headers={"Host": "studio.example"})
        opened = browser.get(here + path, headers=proxied)
    assert plain.headers["location"] == studio.link()
    assert (opened.status_code, opened.headers["location"]) == (302, "/")
    assert "Secure" in opened.headers["set-cookie"]
    assert here in studio.text()
