"""The WebSocket side of the web process."""

from typing import Any

from studio.jobs.feed import FeedConsumer

FEED_PATH = "/ws/v1/feed"

_feed = FeedConsumer.as_asgi()


async def websocket_application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serves the feed; any other path refuses the handshake. The consumer itself checks origin, session and ticket."""
    if scope["path"].rstrip("/") == FEED_PATH:
        await _feed(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.close"})
