"""From an event's commit in one process to a WebSocket client of the real web process, over a real socket."""

import asyncio
import json
import socket
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator

import pytest
import websockets
from asgiref.sync import sync_to_async
from django.conf import settings

from studio.jobs import identity, lease, services
from studio.jobs.models import Job
from studio.workspaces.access import Actor
from tests.chaos.kinds import QUEUE
from tests.studio.jobs.conftest import MakeJob

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

EVENTS = 60


@pytest.fixture
def web(process_env: dict[str, str]) -> Iterator[int]:
    """The web process; its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "studio.asgi:application", "--port", str(port), "--log-level", "warning"],
        cwd=settings.BASE_DIR,
        env=process_env,
    )
    wait_for_port(port)
    yield port
    process.terminate()
    process.wait(30)


def wait_for_port(port: int) -> None:
    until = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < until, "the web process does not answer"
            time.sleep(0.1)


@pytest.fixture
def running_job(make_job: MakeJob) -> Job:
    make_job()
    job = lease.claim(uuid.uuid4(), QUEUE)
    assert job is not None
    return job


async def test_events_reach_a_client_of_the_web_process(member: Actor, running_job: Job, web: int) -> None:
    ticket = await sync_to_async(identity.issue_ticket)(member)
    written: dict[int, float] = {}
    heard: dict[int, float] = {}
    async with websockets.connect(f"ws://127.0.0.1:{web}/ws/v1/feed?ticket={ticket}") as client:
        assert json.loads(await client.recv())["type"] == "hello"
        await client.send(json.dumps({"type": "watch", "jobs": {str(running_job.pk): 2}}))
        listening = asyncio.create_task(listen(client, heard, until=2 + EVENTS))
        for number in range(EVENTS):
            await sync_to_async(services.progress)(lease.lease_of(running_job), "work", number / EVENTS)
            written[3 + number] = time.monotonic()
            await asyncio.sleep(0.03)
        await asyncio.wait_for(listening, 60)
    milliseconds = sorted(1000 * (heard[seq] - written[seq]) for seq in written)
    p95 = statistics.quantiles(milliseconds, n=20)[-1]
    print(f"commit to client: p50 {statistics.median(milliseconds):.0f} ms, p95 {p95:.0f} ms, n {len(milliseconds)}")
    assert list(heard) == list(range(3, 3 + EVENTS))
    assert p95 < 5000  # a broken push would only be noticed at the next ping, after 20 s


async def listen(client: "websockets.ClientConnection", heard: dict[int, float], *, until: int) -> None:
    while until not in heard:
        message = json.loads(await client.recv())
        for event in message.get("events", []):
            heard[event["seq"]] = time.monotonic()
