"""Where stored files lie, and the signed URLs that open them.

A stored file is named by its path under the media folder, `workspace/owner/name.ext` (the owner is an asset or a job),
and is never changed once it has that name: a new version gets a new name. So a URL can be cached and a range resumed.
"""

import base64
import hmac
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

from django.conf import settings
from django.utils.crypto import salted_hmac

URL_SECONDS = 3600
STABLE_SECONDS = 900

CONTENT_TYPES = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".mp4": "video/mp4",
}


class LinkInvalid(ValueError):
    """The link was not made by this studio, or was altered."""


class LinkExpired(ValueError):
    """The link was good once; read the asset again for a fresh one."""


@dataclass(frozen=True)
class Link:
    """What a signed URL grants: one file, under one name, until `expires` (Unix seconds)."""

    file: str
    name: str
    download: bool
    expires: int


def file_name(workspace_id: UUID, owner_id: UUID, name: str) -> str:
    """The stored name of a file that belongs to an asset or a job of a workspace."""
    return f"{workspace_id}/{owner_id}/{name}"


def path_of(file: str) -> Path:
    """The place on disk of a stored file."""
    return Path(settings.AQ_MEDIA_DIR) / file


def signed_url(file: str, name: str, *, download: bool = False, now: float | None = None) -> str:
    """A URL that opens `file` for at most an hour.

    The expiry moves in steps of a quarter of an hour: a list read twice gives the same URLs, and the cache holds.
    """
    moment = time.time() if now is None else now
    expires = int(moment // STABLE_SECONDS) * STABLE_SECONDS + URL_SECONDS
    link = Link(file, name, download, expires)
    return f"/media/{_token(link)}/{quote(name, safe='')}"


def open_link(token: str, name: str, *, now: float | None = None) -> Link:
    """The link that a token and a name grant. Raises LinkInvalid or LinkExpired."""
    try:
        expires, mode, packed, signature = token.split(".")
        file = base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)).decode()
        link = Link(file, name, mode == "d", int(expires, 16))
    except ValueError as error:
        raise LinkInvalid("This link is not one of ours.") from error
    if not hmac.compare_digest(signature.encode(), _signature(link).encode()):
        raise LinkInvalid("This link is not one of ours.")
    if link.expires < (time.time() if now is None else now):
        raise LinkExpired("This link has expired. Read the asset again for a fresh one.")
    return link


def _token(link: Link) -> str:
    packed = base64.urlsafe_b64encode(link.file.encode()).decode().rstrip("=")
    return f"{link.expires:x}.{'d' if link.download else 'i'}.{packed}.{_signature(link)}"


def _signature(link: Link) -> str:
    message = f"{link.expires}\n{link.download}\n{link.file}\n{link.name}"
    digest = salted_hmac("studio.media", message, algorithm="sha256").digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
