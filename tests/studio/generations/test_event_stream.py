"""Where a stream of events goes on when its client comes back, and when it need not come back at all."""

from typing import Any

import pytest

from studio.jobs.models import Job
from studio.jobs.services import cancel_job
from tests.studio.generations.test_image_to_video import ask
from tests.studio.rest import BASE, Api

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_dir")]


@pytest.fixture
def ended(api: Api) -> str:
    """The path of the log of a job with two events."""
    job = ask(api, api.photo()["id"])
    cancel_job(Job.objects.get(pk=job["id"]))
    return f"/jobs/{job['id']}/events"


def read(api: Api, path: str, **headers: str) -> Any:
    return [event["seq"] for event in api.get(path, **headers).json()["results"]]


def test_the_larger_of_address_and_last_event_counts(api: Api, ended: str) -> None:
    assert read(api, ended) == [1, 2]
    assert read(api, f"{ended}?after=1") == [2]
    assert read(api, ended, **{"Last-Event-ID": "1"}) == [2]
    assert read(api, f"{ended}?after=1", **{"Last-Event-ID": "2"}) == []
    assert read(api, f"{ended}?after=2", **{"Last-Event-ID": "1"}) == []


def test_a_stream_that_has_told_all_is_not_opened_again(api: Api, ended: str) -> None:
    stream = {"Accept": "text/event-stream"}
    assert api.get(f"{ended}?after=1", **stream, **{"Last-Event-ID": "2"}).status_code == 204
    again = api.client.get(f"{BASE}{ended}?after=1", headers=api.headers | stream)
    assert (again.status_code, again.headers["Content-Type"]) == (200, "text/event-stream")


@pytest.mark.parametrize("last", ["x", "-1", "1" * 10])
def test_a_last_event_that_is_none_is_told(api: Api, ended: str, last: str) -> None:
    assert api.get(ended, **{"Last-Event-ID": last}).status_code == 422
