"""PostgreSQL stops under requests: each is told so, nothing is logged as our mistake, and it works again after."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from django.conf import settings
from django.db import connections

from studio.embedded.places import database_url
from studio.embedded.postgres import Postgres
from studio.workspaces.models import Workspace
from studio.workspaces.services import create_api_key
from tests.studio.rest import jpeg
from tests.studio.servers import serving

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

SECONDS = 60.0


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "web.log"


@pytest.fixture
def http(
    home: Workspace, bundle: Path, media_dir: Path, process_env: dict[str, str], log: Path
) -> Iterator[httpx.Client]:
    _, key = create_api_key(home, "test")
    places = {"AQ_BUNDLE": str(bundle), "AQ_MEDIA_DIR": str(media_dir)}
    with (
        serving("studio.asgi:application", log=log, **(process_env | places)) as (address, _),
        httpx.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=SECONDS) as client,
    ):
        yield client


@pytest.fixture
def stopped(postgres: Postgres) -> Iterator[Any]:
    """A function that stops the server; it runs again at the end, whatever happens."""
    yield lambda: (connections.close_all(), postgres.stop())
    if postgres.process is None:
        postgres.start()


def told(answer: httpx.Response) -> tuple[int, str, bool]:
    return answer.status_code, answer.json()["code"], int(answer.headers["Retry-After"]) > 0


AWAY = (503, "database_unavailable", True)


def test_while_the_database_is_away_every_request_is_told_so(
    http: httpx.Client, log: Path, postgres: Postgres, stopped: Any
) -> None:
    assert http.get("/api/v1/assets").status_code == 200
    stopped()
    assert told(http.get("/api/v1/assets")) == AWAY
    assert told(http.post("/api/v1/jobs", json={"kind": "image_to_video", "settings": {}})) == AWAY
    assert told(http.post("/api/v1/assets", files={"file": ("lamp.jpg", jpeg(), "image/jpeg")})) == AWAY
    page = http.get("/sign-in/some-link")
    assert (page.status_code, "cannot reach its database" in page.text) == (503, True)
    postgres.start()
    assert http.get("/api/v1/assets").status_code == 200
    assert http.post("/api/v1/assets", files={"file": ("lamp.jpg", jpeg(), "image/jpeg")}).status_code == 201
    assert "Traceback" not in log.read_text()


def test_a_request_in_the_middle_of_its_query_is_told_so(
    http: httpx.Client, log: Path, postgres: Postgres, stopped: Any
) -> None:
    answers: list[httpx.Response] = []
    with locked_assets() as watcher:
        asking = threading.Thread(target=lambda: answers.append(http.get("/api/v1/assets")))
        asking.start()
        wait_for_a_waiting_query(watcher)
        stopped()
    asking.join(SECONDS)
    assert [told(answer) for answer in answers] == [AWAY]
    postgres.start()
    assert http.get("/api/v1/assets").status_code == 200
    assert "Traceback" not in log.read_text()


class locked_assets:
    """Another client holds the table of assets, until the server goes."""

    def __enter__(self) -> "psycopg.Connection[Any]":
        name = str(connections["default"].settings_dict["NAME"])
        self.holder = psycopg.connect(database_url(settings.AQ_DATA_DIR, name))
        self.watcher = psycopg.connect(database_url(settings.AQ_DATA_DIR, name), autocommit=True)
        self.holder.execute("LOCK TABLE assets_asset IN ACCESS EXCLUSIVE MODE")
        return self.watcher

    def __exit__(self, *_: object) -> None:
        self.holder.close()
        self.watcher.close()


def wait_for_a_waiting_query(watcher: "psycopg.Connection[Any]") -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%assets_asset%'"
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        if watcher.execute(waiting).fetchone() == (1,):
            return
        time.sleep(0.05)
    raise AssertionError("no request waits for the table")
