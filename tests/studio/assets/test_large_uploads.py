"""Bodies that are too large or from nobody, on a real server: refused early, and no disk is filled with them."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from studio.api.limits import BodyLimit
from studio.workspaces.models import Workspace
from studio.workspaces.services import create_api_key
from tests.studio.servers import serving

MEGABYTE = 1024**2
LIMIT = 4 * MEGABYTE
TEN_GIGABYTES = 10 * 1024**3


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spool")


@pytest.fixture(scope="module")
def server(spool: Path) -> Iterator[str]:
    environment = {"AQ_MAX_UPLOAD_BYTES": str(LIMIT), "TMPDIR": str(spool)}
    with serving("studio.asgi:application", **environment) as (address, _):
        yield address


@pytest.fixture(scope="module")
def server_with_database(
    tmp_path_factory: pytest.TempPathFactory, module_env: dict[str, str], spool: Path
) -> Iterator[str]:
    places = {"AQ_MEDIA_DIR": str(tmp_path_factory.mktemp("media")), "TMPDIR": str(spool)}
    environment = module_env | places | {"AQ_MAX_UPLOAD_BYTES": str(LIMIT)}
    with serving("studio.asgi:application", **environment) as (address, _):
        yield address


@pytest.fixture
def known(server_with_database: str, home: Workspace) -> Iterator[httpx.Client]:
    """A client with a key, of a server with a database."""
    _, key = create_api_key(home, "test")
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=server_with_database, headers=headers, timeout=60) as client:
        yield client


def spooled(spool: Path) -> int:
    return sum(file.stat().st_size for file in spool.rglob("*") if file.is_file())


class Endless:
    """An upload without a length, which counts what was taken from it."""

    def __init__(self, size: int) -> None:
        self.size, self.sent = size, 0

    def __iter__(self) -> Iterator[bytes]:
        piece = b"\xff" * 65536
        while self.sent < self.size:
            self.sent += len(piece)
            yield piece


def read_answer(connection: socket.socket) -> str:
    answer = ""
    while "}" not in answer:
        answer += connection.recv(65536).decode()
    return answer


def test_ten_gigabytes_that_are_announced_are_refused_unread(server: str) -> None:
    host, port = server.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        head = f"POST /api/v1/assets HTTP/1.1\r\nHost: localhost\r\nContent-Length: {TEN_GIGABYTES}\r\n\r\n"
        connection.sendall(head.encode())
        answer = read_answer(connection)
    problem = json.loads(answer[answer.index("{") :])
    assert answer.startswith("HTTP/1.1 413 ")
    assert "application/problem+json" in answer
    assert (problem["code"], problem["detail"]) == ("too_large", "This is larger than 4 MB. Send a smaller file.")


UPLOADS = pytest.mark.parametrize(("method", "path"), [("POST", "/api/v1/assets"), ("PUT", "/api/v1/assets/x/mask")])


@UPLOADS
@pytest.mark.django_db(transaction=True)
def test_ten_gigabytes_of_unknown_length_are_refused_and_not_stored(
    known: httpx.Client, spool: Path, method: str, path: str
) -> None:
    upload = Endless(TEN_GIGABYTES)
    answer = known.request(method, path, content=iter(upload))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert LIMIT <= upload.sent < LIMIT + 64 * MEGABYTE  # the control: of somebody known it was read up to the limit
    assert spooled(spool) == 0


@UPLOADS
def test_of_who_is_not_signed_in_nothing_is_read(server: str, spool: Path, method: str, path: str) -> None:
    """The server of this test has no database: it need not even be asked."""
    seen = []

    class Watched(Endless):
        def __iter__(self) -> Iterator[bytes]:
            for piece in super().__iter__():
                seen.append(spooled(spool))
                yield piece

    answer = httpx.request(method, server + path, content=iter(Watched(LIMIT)), timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert max(seen) == 0


@pytest.mark.django_db(transaction=True)
def test_a_key_that_is_wrong_opens_no_upload_either(known: httpx.Client) -> None:
    headers = {"Authorization": "Bearer aq_12345678_wrong"}
    answer = known.post("/api/v1/assets", content=iter(Endless(TEN_GIGABYTES)), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_key")


def test_json_has_a_limit_of_its_own(server: str) -> None:
    answer = httpx.post(f"{server}/api/v1/jobs", content=iter(Endless(TEN_GIGABYTES)), timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_a_disk_that_fills_while_a_body_is_spooled_is_told() -> None:
    async def full(scope: Any, receive: Any, send: Any) -> None:
        raise OSError(28, "No space left on device")

    async def nothing_more() -> Any:
        return {"type": "http.disconnect"}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/api/v1/jobs", "headers": []}
    await BodyLimit(full)(scope, nothing_more, send)
    assert sent[0]["status"] == 507
    assert json.loads(sent[1]["body"])["code"] == "disk_full"


@pytest.mark.django_db(transaction=True)
def test_below_the_limit_the_request_is_looked_at(known: httpx.Client) -> None:
    answer = known.post("/api/v1/assets", content=b"\xff" * (LIMIT - MEGABYTE))
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
