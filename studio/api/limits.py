"""How much of a request body is read before anything else happens.

Django under ASGI spools the whole body to disk before a view can refuse it, so the cap stands in front of Django: a
length that is announced is refused unread, one that is not is counted as it arrives. And a body of more than JSON is
read from those only whom we know.
"""

import asyncio
import errno
import json
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from django.conf import settings

from studio.api.problems import DISK_FULL, Problem, document
from studio.api.strangers import refusal

JSON_BYTES = 1024 * 1024
MULTIPART_BYTES = 64 * 1024
DRAIN_BYTES = 16 * 1024 * 1024
DRAIN_SECONDS = 5


def too_large(limit: int) -> Problem:
    """The problem of a body over `limit` bytes."""
    return Problem(413, "too_large", f"This is larger than {limit // (1024 * 1024)} MB. Send a smaller file.")


Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class BodyLimit:
    """ASGI middleware: a body over the cap of its path gets 413 as a problem document, and is not stored."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        limit = body_limit(scope["method"], scope["path"])
        if _announced(scope) > limit:
            await _answer(too_large(limit), receive, send)
            return
        stranger = await refusal(scope) if limit > JSON_BYTES else None
        if stranger is not None:
            await _answer(stranger, receive, send)
            return
        counted = _Counted(receive, send, limit)
        try:
            await self.application(scope, counted.receive, counted.send)
        except OSError as error:
            if counted.started or error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            await _answer(DISK_FULL, receive, send)
        if counted.over and not counted.started:
            await _answer(too_large(limit), receive, send)


def body_limit(method: str, path: str) -> int:
    """Bytes a body may have: photos and masks up to AQ_MAX_UPLOAD_BYTES, everything else is JSON and small."""
    if method == "POST" and path == "/api/v1/assets":
        return settings.AQ_MAX_UPLOAD_BYTES + MULTIPART_BYTES
    if method == "PUT" and path.startswith("/api/v1/assets/"):
        return settings.AQ_MAX_UPLOAD_BYTES
    return JSON_BYTES


class _Counted:
    """Passes a body on until it is over the limit; from there the application sees a client that hung up."""

    def __init__(self, receive: Receive, send: Send, limit: int) -> None:
        self._receive, self._send, self._left = receive, send, limit
        self.over = self.started = False

    async def receive(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self.over = True
            return {"type": "http.disconnect"}
        return message

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.started = True
        await self._send(message)


def _announced(scope: Scope) -> int:
    for key, value in scope["headers"]:
        if key == b"content-length" and value.isdigit():
            return int(value)
    return 0


async def _answer(problem: Problem, receive: Receive, send: Send) -> None:
    body = json.dumps(document(problem)).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        *((name.lower().encode(), value.encode()) for name, value in problem.headers.items()),
    ]
    await send({"type": "http.response.start", "status": problem.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    with suppress(TimeoutError):
        await asyncio.wait_for(_drain(receive), DRAIN_SECONDS)
    await send({"type": "http.response.body", "body": b""})


async def _drain(receive: Receive) -> None:
    """Read and forget a little, so that a client which writes before it reads still gets to see the answer."""
    left = DRAIN_BYTES
    while left > 0:
        message = await receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
        left -= len(message.get("body", b""))
