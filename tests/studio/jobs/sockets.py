"""A WebSocket client of the feed without a network: what a browser's end of the connection sees."""

import json
from typing import Any

from asgiref.testing import ApplicationCommunicator

from studio.jobs.routing import websocket_application


class Socket(ApplicationCommunicator):
    def __init__(self, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        path, _, query = path.partition("?")
        scope = {
            "type": "websocket",
            "path": path,
            "query_string": query.encode(),
            "headers": headers,
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
