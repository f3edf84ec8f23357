"""A WebSocket client of the feed without a network, and what tests of the feed say and hear through it."""

import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator

from studio.jobs import identity, lease, services
from studio.jobs.models import Job
from studio.jobs.routing import websocket_application
from studio.workspaces.access import Actor
from tests.chaos.kinds import QUEUE
from tests.studio.jobs.conftest import MakeJob

HOST = (b"host", b"localhost:8000")


class Socket(ApplicationCommunicator):
    def __init__(self, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        path, _, query = path.partition("?")
        scope = {
            "type": "websocket",
            "path": path,
            "query_string": query.encode(),
            "headers": [HOST, *headers],
            "subprotocols": [],
        }
        super().__init__(websocket_application, scope)

    async def connect(self) -> bool:
        """Whether the handshake is accepted."""
        await self.send_input({"type": "websocket.connect"})
        return bool((await self.receive_output(timeout=20))["type"] == "websocket.accept")

    async def say(self, message: dict[str, Any]) -> None:
        await self.say_text(json.dumps(message))

    async def say_text(self, text: str) -> None:
        await self.send_input({"type": "websocket.receive", "text": text})

    async def hear(self, timeout: float = 30) -> dict[str, Any]:
        """The next message; a close comes as {"type": "close", "code": ...}."""
        output = await self.receive_output(timeout=timeout)
        if output["type"] == "websocket.close":
            return {"type": "close", "code": output["code"]}
        message: dict[str, Any] = json.loads(output["text"])
        return message

    async def leave(self) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(timeout=20)


def in_database(work: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    return sync_to_async(work, thread_sensitive=True)


@in_database
def ticket_of(actor: Actor) -> str:
    return identity.issue_ticket(actor)


@in_database
def tell(job: Job, count: int) -> None:
    """`count` events in the job's log, written under its lease."""
    for step in range(count):
        services.progress(lease.lease_of(job), "work", step / 1000)


@in_database
def running_job(make_job: MakeJob) -> Job:
    make_job()
    job = lease.claim(uuid.uuid4(), QUEUE)
    assert job is not None
    return job


@asynccontextmanager
async def socket(query: str, *headers: tuple[bytes, bytes]) -> AsyncIterator[Socket]:
    """A connected client that has said nothing yet."""
    one = Socket(f"/ws/v1/feed?{query}", list(headers))
    assert await one.connect()
    yield one
    await one.leave()


@asynccontextmanager
async def listener(actor: Actor) -> AsyncIterator[Socket]:
    async with socket(f"ticket={await ticket_of(actor)}") as one:
        assert await one.hear() == {"type": "hello", "workspace": str(actor.workspace.pk)}
        yield one


async def seqs(one: Socket, until: int) -> list[int]:
    """The seqs of the events that come, up to the one with this seq."""
    told: list[int] = []
    while not told or told[-1] < until:
        told += [event["seq"] for event in (await next_of(one, "events"))["events"]]
    return told


async def next_of(one: Socket, kind: str) -> dict[str, Any]:
    """The next message of this type; a queue that moves is told between others."""
    while (message := await one.hear())["type"] != kind:
        pass
    return message
