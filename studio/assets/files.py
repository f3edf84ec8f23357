"""Files of assets: made in a draft folder, and given to the workspace whole by one rename."""

import hashlib
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID

from django.conf import settings

from studio.jobs.files import flush
from studio.jobs.files import publish as publish_file
from studio.media import file_name, path_of

DRAFTS = "drafts"
ABANDONED_SECONDS = 24 * 3600


@contextmanager
def draft_folder() -> Iterator[Path]:
    """A private folder on the media file system, removed at the end with whatever is still in it."""
    drafts = Path(settings.AQ_MEDIA_DIR) / DRAFTS
    drafts.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(drafts)
    folder = Path(tempfile.mkdtemp(dir=drafts))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def adopt(draft: Path, workspace_id: UUID, asset_id: UUID) -> None:
    """Make the draft folder the folder of a new asset.

    Its files are on the disk before it has its name, and the name is before a row may say so: see `jobs.files.publish`.
    """
    draft.chmod(0o755)
    for place in (*draft.iterdir(), draft):
        flush(place)
    folder = asset_folder(workspace_id, asset_id)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft.rename(folder)
    flush(folder.parent)
    flush(folder.parent.parent)  # the workspace may be new there


def publish(output: Path, workspace_id: UUID, asset_id: UUID, name: str) -> str:
    """Put one finished file into an asset's folder; its stored name."""
    stored = file_name(workspace_id, asset_id, name)
    publish_file(output, path_of(stored))
    return stored


def remove(stored: str) -> None:
    """Remove one file of an asset."""
    path_of(stored).unlink(missing_ok=True)


def remove_asset_folder(workspace_id: UUID, asset_id: UUID) -> None:
    """Remove every file of an asset."""
    shutil.rmtree(asset_folder(workspace_id, asset_id), ignore_errors=True)


def asset_folder(workspace_id: UUID, asset_id: UUID) -> Path:
    """Where the files of one asset lie."""
    return path_of(file_name(workspace_id, asset_id, "x")).parent


def fresh_name(stem: str, suffix: str) -> str:
    """A name that no earlier version of the file had, since a stored file never changes."""
    return f"{stem}-{secrets.token_hex(6)}{suffix}"


def sha256_of(path: Path) -> str:
    """Hex SHA-256, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove_abandoned(drafts: Path) -> None:
    """Drafts of processes that were killed before they could remove them."""
    for folder in drafts.iterdir():
        with suppress(FileNotFoundError):
            if time.time() - folder.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
