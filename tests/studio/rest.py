"""A client of the REST API, and pictures to send it."""

import io
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from PIL import Image

from studio.workspaces.models import Role, Workspace
from studio.workspaces.services import create_api_key
from tests.studio import contract

BASE = "/api/v1"
Result = TypeVar("Result")


@dataclass
class Api:
    """A client of the REST API; paths are below /api/v1, answers are parsed."""

    client: Client
    headers: dict[str, str]

    def get(self, path: str, **headers: str) -> Any:
        return self._checked("get", path, self.client.get(BASE + path, headers=self.headers | headers))

    def post(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        data = body if isinstance(body, str | bytes) else json.dumps(body if body is not None else {})
        headers = self.headers | (headers or {})
        answer = self.client.post(BASE + path, data, content_type="application/json", headers=headers)
        return self._checked("post", path, answer)

    def put(self, path: str, body: bytes, content_type: str = "image/png") -> Any:
        answer = self.client.put(BASE + path, body, content_type=content_type, headers=self.headers)
        return self._checked("put", path, answer)

    def delete(self, path: str) -> Any:
        return self._checked("delete", path, self.client.delete(BASE + path, headers=self.headers))

    def upload(self, content: bytes, name: str = "photo.jpg", **fields: str) -> Any:
        body = {"file": SimpleUploadedFile(name, content), **fields}
        return self._checked("post", "/assets", self.client.post(f"{BASE}/assets", body, headers=self.headers))

    def _checked(self, method: str, path: str, answer: Any) -> Any:
        """Every answer is held against the OpenAPI document."""
        kind = answer.headers.get("Content-Type", "")
        body = answer.json() if kind.endswith("json") else None
        contract.check(method, BASE + path, answer.status_code, kind, body)
        return answer

    def photo(self, name: str = "lamp.jpg") -> dict[str, Any]:
        """A photo that has been uploaded."""
        answer = self.upload(jpeg(), name)
        assert answer.status_code == 201, answer.content
        return answer.json()


def run_beside(work: Callable[[], Result]) -> Result:
    """Run `work` in a thread, with a database connection of its own, and wait for it."""

    def closing() -> Result:
        try:
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(closing).result()


def key_client(workspace: Workspace, role: Role = Role.EDITOR) -> Api:
    _, text = create_api_key(workspace, "test", role=role)
    return Api(Client(), {"Authorization": f"Bearer {text}"})


def picture(width: int = 320, height: int = 240, mode: str = "RGB") -> Image.Image:
    """A gradient with a disc in its middle; in RGBA all but the disc is transparent."""
    y, x = np.mgrid[0:height, 0:width]
    disc = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (min(width, height) / 3) ** 2
    rgb = np.stack([x * 255 // width, y * 255 // height, np.where(disc, 220, 40)], -1).astype(np.uint8)
    if mode == "RGBA":
        return Image.fromarray(np.dstack([rgb, np.where(disc, 255, 0).astype(np.uint8)]), "RGBA")
    return Image.fromarray(rgb).convert(mode)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def jpeg(width: int = 320, height: int = 240, **options: Any) -> bytes:
    return encoded(picture(width, height), "JPEG", **options)
