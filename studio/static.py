"""The files of the built page, read into memory once and served beside Django with lasting cache headers."""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from studio.headers import App, Receive, Scope, Send

COMPRESSED = {"text/javascript", "text/css", "image/svg+xml", "application/json", "application/manifest+json"}
FOR_EVER = b"public, max-age=31536000, immutable"
ASK_AGAIN = b"no-cache"
TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
}


@dataclass(frozen=True)
class BuiltFile:
    body: bytes
    zipped: bytes | None
    content_type: str
    etag: bytes
    cache: bytes


def read_built_files(folder: Path) -> dict[str, BuiltFile]:
    """URL path -> file, for all files below `folder` but index.html, which Django answers."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "index.html")
    return {"/" + path.relative_to(folder).as_posix(): _read(path, folder) for path in found}


def static_files(folder: Path, otherwise: App) -> App:
    """An application that answers GET and HEAD for files of `folder`, and leaves all else to `otherwise`."""
    page = BuiltPage(folder)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        file = page.files().get(scope["path"]) if scope["method"] in ("GET", "HEAD") else None
        if file is None:
            await otherwise(scope, receive, send)
            return
        await _send(file, scope, send)

    return application


class BuiltPage:
    """Reads the build again when its index.html has changed, so that a rebuild needs no restart."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stamp: float | None = None
        self._files: dict[str, BuiltFile] = {}

    def files(self) -> dict[str, BuiltFile]:
        index = self._folder / "index.html"
        stamp = index.stat().st_mtime if index.is_file() else None
        if stamp != self._stamp:
            self._stamp, self._files = stamp, read_built_files(self._folder) if stamp else {}
        return self._files


def _read(path: Path, folder: Path) -> BuiltFile:
    body = path.read_bytes()
    content_type = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    zipped = gzip.compress(body, mtime=0) if content_type in COMPRESSED and len(body) > 1024 else None
    hashed_name = path.parent != folder  # Vite names what lies in assets/ after its content
    return BuiltFile(
        body=body,
        zipped=zipped,
        content_type=content_type + ("; charset=utf-8" if content_type.startswith("text/") else ""),
        etag=b'"' + hashlib.sha256(body).hexdigest()[:24].encode() + b'"',
        cache=FOR_EVER if hashed_name and path.parent.name == "assets" else ASK_AGAIN,
    )


async def _send(file: BuiltFile, scope: Scope, send: Send) -> None:
    asked = {name.lower(): value for name, value in scope["headers"]}
    headers = [(b"etag", file.etag), (b"cache-control", file.cache), (b"vary", b"accept-encoding")]
    if file.etag in asked.get(b"if-none-match", b""):
        await send({"type": "http.response.start", "status": 304, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return
    body = file.body
    if file.zipped is not None and b"gzip" in asked.get(b"accept-encoding", b""):
        body = file.zipped
        headers.append((b"content-encoding", b"gzip"))
    headers += [(b"content-type", file.content_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
