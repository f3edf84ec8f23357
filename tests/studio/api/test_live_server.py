"""The API on a real server: bytes go up and come down, and events stream while a job runs."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.db import connection

from studio.api.models import FailedSignIn
from studio.assets.models import Asset
from studio.ids import new_id
from studio.jobs import services
from studio.jobs.lease import claim, lease_of
from studio.jobs.models import Job
from studio.media import path_of
from studio.workspaces.models import Workspace
from studio.workspaces.services import create_api_key
from tests.studio.conftest import without_weights
from tests.studio.rest import encoded, jpeg, picture
from tests.studio.servers import serving

pytestmark = pytest.mark.django_db(transaction=True)

SECONDS = 60.0


@pytest.fixture(scope="module")
def media_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="module")
def server(media_folder: Path, module_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    bundle = without_weights(tmp_path_factory.mktemp("bundle") / "test-nano")  # no job of these tests is run
    places = {"AQ_MEDIA_DIR": str(media_folder), "AQ_BUNDLE": str(bundle)}
    with serving("studio.asgi:application", **(module_env | places)) as (address, _):
        yield address


@pytest.fixture
def http(server: str, home: Workspace, media_folder: Path, settings: Any) -> Iterator[httpx.Client]:
    settings.AQ_MEDIA_DIR = media_folder
    _, key = create_api_key(home, "test")
    with httpx.Client(base_url=server, headers={"Authorization": f"Bearer {key}"}, timeout=SECONDS) as client:
        yield client


def upload(http: httpx.Client) -> dict[str, Any]:
    answer = http.post("/api/v1/assets", files={"file": ("lamp.jpg", jpeg(), "image/jpeg")})
    assert answer.status_code == 201, answer.text
    return answer.json()


def ask(http: httpx.Client, asset: dict[str, Any]) -> dict[str, Any]:
    answer = http.post("/api/v1/jobs", json={"kind": "image_to_video", "settings": {"asset_id": asset["id"]}})
    assert answer.status_code == 202, answer.text
    return answer.json()


@contextmanager
def in_a_thread(work: Any) -> Iterator[None]:
    """Beside the test, with a database connection of its own."""

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def events_of(answer: httpx.Response) -> Generator[dict[str, Any], None, None]:
    for line in answer.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def test_what_was_uploaded_is_downloaded_whole_and_in_parts(http: httpx.Client) -> None:
    asset = upload(http)
    stored = path_of(Asset.objects.get().file).read_bytes()
    whole = httpx.get(http.base_url.join(asset["urls"]["download"]))
    part = httpx.get(http.base_url.join(asset["urls"]["content"]), headers={"Range": "bytes=10-19"})
    assert (whole.status_code, whole.content) == (200, stored)
    assert whole.headers["content-disposition"].startswith('attachment; filename="lamp.jpg"')
    assert (part.status_code, part.content) == (206, stored[10:20])


def test_events_stream_from_the_last_one_seen_until_the_end(http: httpx.Client) -> None:
    job = ask(http, upload(http))
    started = threading.Event()

    def work() -> None:
        assert started.wait(SECONDS)
        running = claim(new_id(), "engine")
        assert running is not None
        services.progress(lease_of(running), "denoise", 0.5)
        services.cancel_job(running)
        services.stop(lease_of(running), worker_leaves=False)

    seen = []
    with (
        in_a_thread(work),
        http.stream("GET", job["urls"]["events"], headers={"Accept": "text/event-stream"}) as answer,
    ):
        assert answer.headers["content-type"] == "text/event-stream"
        for event in events_of(answer):
            seen.append((event["seq"], event["type"]))
            started.set()
    assert seen == [(1, "queued"), (2, "started"), (3, "progress"), (4, "canceled")]

    headers = {"Accept": "text/event-stream", "Last-Event-ID": "2"}
    with http.stream("GET", job["urls"]["events"], headers=headers) as answer:
        assert [event["seq"] for event in events_of(answer)] == [3, 4]


def test_the_headers_of_a_stream_are_told_alone(http: httpx.Client) -> None:
    job = ask(http, upload(http))
    answer = http.head(job["urls"]["events"], headers={"Accept": "text/event-stream"}, timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/event-stream")


def test_a_stream_that_waits_holds_no_connection_to_the_database(http: httpx.Client) -> None:
    job = ask(http, upload(http))
    with ExitStack() as streams:
        follow(streams, http, job)
        with_one = connections_held()
        for _ in range(8):
            follow(streams, http, job)
        assert soon(lambda: connections_held() <= with_one)


def follow(streams: ExitStack, http: httpx.Client, job: dict[str, Any]) -> None:
    """A stream that has told what there is, and waits for more."""
    answer = streams.enter_context(http.stream("GET", job["urls"]["events"], headers={"Accept": "text/event-stream"}))
    told = events_of(answer)
    streams.callback(told.close)  # httpx hangs up when nobody holds on to it
    assert next(told)["type"] == "queued"


def connections_held() -> int:
    """To the test's database, but for the feed's own that listens, which may come later than the first stream."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name <> 'aquarius feed'"
        )
        return int(cursor.fetchone()[0])


def soon(holds: Callable[[], bool]) -> bool:
    """Whether it holds within five seconds: PostgreSQL takes a moment to let go of a connection that was closed."""
    until = time.monotonic() + 5
    while not holds() and time.monotonic() < until:
        time.sleep(0.1)
    return holds()


def test_uploads_at_once_are_all_stored(http: httpx.Client) -> None:
    answers: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: answers.append(upload(http))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer["id"] for answer in answers}) == Asset.objects.count() == 6
    assert Job.objects.filter(kind="product_mask").count() == 6


def test_a_body_of_unknown_length_is_read_as_any_other(http: httpx.Client) -> None:
    photo = send_chunked(http, "POST", "/api/v1/assets", files={"file": ("lamp.jpg", jpeg(), "image/jpeg")})
    assert photo.status_code == 201, photo.text
    asset = photo.json()
    mask = encoded(picture(mode="L"), "PNG")
    painted = send_chunked(
        http, "PUT", f"/api/v1/assets/{asset['id']}/mask", content=mask, headers={"Content-Type": "image/png"}
    )
    assert (painted.status_code, painted.json()["mask"]["source"]) == (200, "brush")
    body = {"kind": "image_to_video", "settings": {"asset_id": asset["id"], "seconds": 4}}
    job = send_chunked(http, "POST", "/api/v1/jobs", json=body)
    assert (job.status_code, job.json()["settings"]["seconds"]) == (202, 4.0)
    brand = http.post("/api/v1/brands", json={"name": "Northlight"}).json()
    renamed = send_chunked(http, "PATCH", f"/api/v1/brands/{brand['id']}", json={"name": "Southlight"})
    assert (renamed.status_code, renamed.json()["name"]) == (200, "Southlight")
    nothing = send_chunked(http, "POST", "/api/v1/brands", content=b"")
    assert (nothing.status_code, nothing.json()["code"]) == (422, "validation_failed")


def send_chunked(http: httpx.Client, method: str, path: str, **what: Any) -> httpx.Response:
    """The request that httpx makes of it, without its Content-Length."""
    whole = http.build_request(method, path, **what)
    kind = {"Content-Type": whole.headers["Content-Type"]} if "Content-Type" in whole.headers else {}
    body = whole.read()
    chunked = http.build_request(method, path, content=iter([body[:100], body[100:]]), headers=kind)
    assert "Content-Length" not in chunked.headers
    return http.send(chunked)


def test_a_guess_counts_for_whom_the_proxy_asks_for(http: httpx.Client) -> None:
    proxied = guess(http, **{"X-Forwarded-For": "198.51.100.4, 203.0.113.7"})  # the first was said by who asks
    alone = guess(http)
    assert len(proxied) == 2 and len(alone) == 1
    assert hashlib.sha256(b"from:203.0.113.7").hexdigest() in proxied


def guess(http: httpx.Client, **headers: str) -> set[str]:
    """What a wrong password is counted for."""
    FailedSignIn.objects.all().delete()
    with httpx.Client(base_url=http.base_url, timeout=SECONDS) as browser:
        browser.get("/api/v1/session")
        said = {"X-CSRFToken": browser.cookies["csrftoken"], **headers}
        answer = browser.post("/api/v1/session", json={"email": "bo@example.com", "password": "no"}, headers=said)
    assert answer.status_code == 401, answer.text
    return set(FailedSignIn.objects.values_list("who", flat=True))
