"""The live feed of events: a WebSocket for the browser, server-sent events for machines. Both read the same log.

    server  {"type": "hello", "workspace": id}
    client  {"type": "watch", "jobs": {id: after_seq}} · {"type": "unwatch", "jobs": [id]} · {"type": "watch_workspace"}
    server  {"type": "events", "job_id": id, "events": [Event]} · {"type": "job_changed", "job_id": id, "kind", "state"}
            {"type": "queue_moved", "queue": name}: jobs of yours that wait there may have another place now
            {"type": "ping"} every 20 s · {"type": "error", "code", "detail"}; with the code too_many_jobs also "jobs":
            the ids that are not watched. A job that has ended is watched no longer after its last event.

Close codes: 4401 not signed in (or not any more), 4403 not a member of the workspace (any more).
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

from channels.generic.websocket import AsyncWebsocketConsumer
from django.http import HttpRequest

from studio.jobs import identity
from studio.jobs.hub import Hub, hub
from studio.jobs.models import TERMINAL, Job
from studio.jobs.subscription import Subscription
from studio.workspaces.access import Actor

logger = logging.getLogger(__name__)

PING_SECONDS = 20.0
CHECK_SECONDS = 60.0
MAX_WATCHED = 500
SIGNED_OUT, FORBIDDEN = 4401, 4403


class BadMessage(ValueError):
    """The client sent something that the feed does not understand."""


class FeedConsumer(AsyncWebsocketConsumer):
    """One socket. There is no channel layer: the process's hub pushes into the socket's own subscription."""

    ping_seconds = PING_SECONDS
    check_seconds = CHECK_SECONDS

    async def connect(self) -> None:
        self.stack = AsyncExitStack()
        self.tasks: list[asyncio.Task[None]] = []
        self.subscription: Subscription | None = None
        self.handshake = identity.handshake_of(self.scope)
        self.query = {
            name: values[0] for name, values in parse_qs(self.scope["query_string"].decode("latin-1")).items()
        }
        origin = identity.origin_of(self.handshake)
        if origin is not None and not identity.is_own_origin(origin, self.handshake):
            await self.close()  # before it is accepted: the handshake is refused
            return
        await self.accept()
        self.hub: Hub = hub()
        actor = await self.hub.ask(self._identify)
        if actor is None:
            await self.close(SIGNED_OUT)
            return
        self.actor: Actor = actor
        self.subscription = await self.stack.enter_async_context(self.hub.subscription(actor.workspace.pk))
        await self._say({"type": "hello", "workspace": str(actor.workspace.pk)})
        self.tasks = [asyncio.create_task(self._closing_on_error(work())) for work in (self._tell, self._keep)]

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.subscription is None:
            return
        try:
            await self._obey(self.subscription, _parse(text_data))
        except BadMessage as error:
            await self._say({"type": "error", "code": "invalid_message", "detail": str(error)})

    async def disconnect(self, code: int) -> None:
        for task in self.tasks:
            task.cancel()
        await self.stack.aclose()

    def _identify(self) -> Actor | None:
        if "ticket" in self.query:
            return identity.redeem_ticket(self.query["ticket"])
        if identity.origin_of(self.handshake) is None:
            return None  # the cookie counts only together with a browser's word on which page sent it
        return identity.session_actor(self.handshake, self.query.get("workspace"))

    def _is_still_allowed(self) -> bool:
        if "ticket" in self.query:
            return identity.is_still_valid(self.actor)
        return identity.is_still_signed_in(self.handshake, self.actor)

    async def _obey(self, subscription: Subscription, message: dict[str, Any]) -> None:
        kind = message.get("type")
        if kind == "watch":
            await self._watch(subscription, _jobs_of(message))
        elif kind == "unwatch":
            for job_id in _ids(message.get("jobs")):
                subscription.unwatch(job_id)
        elif kind == "watch_workspace":
            subscription.watch_workspace()
        elif kind != "pong":
            raise BadMessage(f"There is no message type {kind!r}. Send watch, unwatch or watch_workspace.")

    async def _watch(self, subscription: Subscription, jobs: dict[UUID, int]) -> None:
        refused = []
        for job_id, after in jobs.items():
            if job_id in subscription.watched or len(subscription.watched) < MAX_WATCHED:
                subscription.watch(job_id, after)
            else:
                refused.append(str(job_id))
        if refused:
            detail = f"One connection watches at most {MAX_WATCHED} jobs. Unwatch some, or read the others again."
            await self._say({"type": "error", "code": "too_many_jobs", "detail": detail, "jobs": refused})

    async def _tell(self) -> None:
        assert self.subscription is not None
        while True:
            for message in await self.subscription.next(PING_SECONDS):
                await self._say(message)

    async def _keep(self) -> None:
        """Pings, and looks each minute whether this listener may still listen."""
        checked_at = time.monotonic()
        while True:
            await asyncio.sleep(self.ping_seconds)
            await self._say({"type": "ping"})
            if time.monotonic() - checked_at >= self.check_seconds:
                checked_at = time.monotonic()
                if not await self.hub.ask(self._is_still_allowed):
                    await self.close(FORBIDDEN)
                    return

    async def _closing_on_error(self, work: Any) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Exception:
            logger.exception("a feed connection ends")
            await self.close(1011)

    async def _say(self, message: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps(message))


async def stream_events(
    actor: Actor, job: Job, after: int = 0, *, session: HttpRequest | None = None
) -> AsyncIterator[bytes]:
    """The job's events after `after` as server-sent events, until its last. `id:` is the seq, for Last-Event-ID.

    `session`: the request of who came by a session. The stream ends with it, as it does with a key that is revoked.
    """
    still_allowed: Callable[[Actor], bool] = identity.is_still_valid
    if session is not None:
        still_allowed = partial(identity.is_still_signed_in, session)
    after = max(0, min(after, job.last_seq))
    if job.state in TERMINAL and after == job.last_seq:
        return
    listening = hub()
    checked_at = said_at = time.monotonic()
    async with listening.subscription(actor.workspace.pk) as subscription:
        subscription.watch(job.pk, after)
        while subscription.watched:
            messages = await subscription.next(PING_SECONDS)
            for event in _events_in(messages):
                said_at = time.monotonic()
                yield _server_sent(event)
                if event["type"] in TERMINAL:
                    return
            if time.monotonic() - said_at >= PING_SECONDS:
                said_at = time.monotonic()
                yield b": ping\n\n"
            if time.monotonic() - checked_at >= CHECK_SECONDS:
                checked_at = time.monotonic()
                if not await listening.ask(still_allowed, actor):
                    return


def _events_in(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for message in messages if message["type"] == "events" for event in message["events"]]


def _server_sent(event: dict[str, Any]) -> bytes:
    return f"id: {event['seq']}\nevent: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def _parse(text: str | None) -> dict[str, Any]:
    try:
        message = json.loads(text or "")
    except ValueError:
        raise BadMessage("Send JSON text.") from None
    if not isinstance(message, dict):
        raise BadMessage("Send a JSON object with a type.")
    return message


def _jobs_of(message: dict[str, Any]) -> dict[UUID, int]:
    jobs = message.get("jobs")
    if not isinstance(jobs, dict) or not all(isinstance(after, int) and after >= 0 for after in jobs.values()):
        raise BadMessage('Send {"type": "watch", "jobs": {"<job id>": <last seq you have, or 0>}}.')
    return dict(zip(_ids(list(jobs)), jobs.values(), strict=True))


def _ids(values: Any) -> list[UUID]:
    if not isinstance(values, list):
        raise BadMessage("jobs should be a list of job ids.")
    try:
        return [UUID(value) for value in values]
    except (ValueError, AttributeError, TypeError):
        raise BadMessage("One of the job ids is none.") from None
