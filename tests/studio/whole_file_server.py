"""The control of the memory test: a media route as Django would be one, with the whole file in memory."""

from typing import Any

from studio.media import open_link, path_of


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    token, _, name = scope["path"].removeprefix("/media/").partition("/")
    body = path_of(open_link(token, name).file).read_bytes() if "." in token else b""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
