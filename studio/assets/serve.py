"""The media route: signed files with byte ranges, streamed so that memory stays flat however large the file.

A pure ASGI application beside Django, which would answer a range request with 200 and the whole file in memory.
RFC 9110: conditional requests (section 13) and ranges (section 14).
"""

import asyncio
import json
import os
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from studio.api.problems import Problem, document
from studio.media import CONTENT_TYPES, Link, LinkExpired, LinkInvalid, open_link, path_of

CHUNK_BYTES = 256 * 1024

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = dict[str, str]


class Unsatisfiable(ValueError):
    """No byte of the file is in the range."""


async def application(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer GET and HEAD for `/media/{token}/{name}`."""
    if scope["method"] not in ("GET", "HEAD"):
        await _problem(send, 405, "method_not_allowed", "Read this link with GET.", {"allow": "GET, HEAD"})
        return
    token, _, name = scope["path"].removeprefix("/media/").partition("/")
    try:
        link = open_link(token, name)
    except LinkInvalid as error:
        await _problem(send, 403, "link_invalid", str(error))
        return
    except LinkExpired as error:
        await _problem(send, 403, "link_expired", str(error))
        return
    try:
        file = await asyncio.to_thread(path_of(link.file).open, "rb")
    except FileNotFoundError:
        await _problem(send, 404, "not_found", "This file has been deleted.")
        return
    try:
        await _send_file(scope, receive, send, link, file)
    finally:
        file.close()


async def _send_file(scope: MutableMapping[str, Any], receive: Receive, send: Send, link: Link, file: BinaryIO) -> None:
    asked = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
    stat = os.fstat(file.fileno())
    headers = _headers(link, stat)
    if _not_modified(asked, headers["etag"], stat.st_mtime):
        await _respond(send, 304, headers)
        return
    first, last = 0, stat.st_size - 1
    status = 200
    if scope["method"] == "GET" and "range" in asked and _range_applies(asked, headers):
        try:
            wanted = parse_range(asked["range"], stat.st_size)
        except Unsatisfiable:
            headers["content-range"] = f"bytes */{stat.st_size}"
            await _respond(send, 416, headers | {"content-length": "0"})
            return
        if wanted is not None:
            first, last = wanted
            status = 206
            headers["content-range"] = f"bytes {first}-{last}/{stat.st_size}"
    headers["content-length"] = str(last - first + 1)
    if scope["method"] == "HEAD":
        await _respond(send, status, headers)
        return
    await _start(send, status, headers)
    await _stream(receive, send, file, first, last)


async def _stream(receive: Receive, send: Send, file: BinaryIO, first: int, last: int) -> None:
    gone = asyncio.ensure_future(_until_disconnect(receive))
    try:
        await asyncio.to_thread(file.seek, first)
        left = last - first + 1
        while left and not gone.done():
            chunk = await asyncio.to_thread(file.read, min(CHUNK_BYTES, left))
            if not chunk:
                raise OSError(f"{file.name} is shorter than when it was opened.")
            left -= len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": left > 0})
        if last < first:
            await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """First and last byte of a single range; None for several ranges or for what makes no sense. Raises Unsatisfiable.

    RFC 9110, 14.2: a server may ignore a Range header, and then answers 200 with everything.
    """
    match = re.fullmatch(r"bytes=\s*(\d*)-(\d*)\s*", header, re.ASCII)
    if not match or match.groups() == ("", ""):
        return None
    first_text, last_text = match.groups()
    if len(first_text) > 18 or len(last_text) > 18:
        raise Unsatisfiable
    if not first_text:
        length = int(last_text)
        if length == 0 or size == 0:
            raise Unsatisfiable
        return max(0, size - length), size - 1
    first = int(first_text)
    if last_text and int(last_text) < first:
        return None
    if first >= size:
        raise Unsatisfiable
    return first, min(int(last_text), size - 1) if last_text else size - 1


def _headers(link: Link, stat: os.stat_result) -> Headers:
    how = "attachment" if link.download else "inline"
    plain = re.sub(r'[^\x20-\x7e]|["\\]', "_", link.name)
    return {
        "content-type": CONTENT_TYPES[Path(link.file).suffix],
        "content-disposition": f"{how}; filename=\"{plain}\"; filename*=UTF-8''{quote(link.name, safe='')}",
        "etag": f'"{stat.st_ino:x}-{stat.st_mtime_ns:x}-{stat.st_size:x}"',
        "last-modified": formatdate(stat.st_mtime, usegmt=True),
        "accept-ranges": "bytes",
        "cache-control": f"private, max-age={max(0, link.expires - int(time.time()))}, immutable",
        "x-content-type-options": "nosniff",
        "cross-origin-resource-policy": "same-origin",
    }


def _not_modified(asked: Headers, etag: str, modified: float) -> bool:
    if "if-none-match" in asked:
        tags = [tag.strip().removeprefix("W/") for tag in asked["if-none-match"].split(",")]
        return "*" in tags or etag in tags
    since = _parse_date(asked.get("if-modified-since"))
    return since is not None and int(modified) <= since


def _range_applies(asked: Headers, headers: Headers) -> bool:
    """If-Range: the part is wanted only of this very version; a weak tag never matches."""
    return asked.get("if-range", headers["etag"]) in (headers["etag"], headers["last-modified"])


def _parse_date(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, OverflowError):  # a year without end
        return None


async def _problem(send: Send, status: int, code: str, detail: str, headers: Headers | None = None) -> None:
    body = json.dumps(document(Problem(status, code, detail))).encode()
    fixed = {"content-type": "application/problem+json", "content-length": str(len(body)), "cache-control": "no-store"}
    await _respond(send, status, fixed | (headers or {}), body)


async def _respond(send: Send, status: int, headers: Headers, body: bytes = b"") -> None:
    await _start(send, status, headers)
    await send({"type": "http.response.body", "body": body})


async def _start(send: Send, status: int, headers: Headers) -> None:
    pairs = [(key.encode("latin-1"), value.encode("latin-1")) for key, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
