"""Files of a run: its private work folder, its previews, and the one way in which an output becomes a stored file."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from django.conf import settings

from studio import media

WORK, TRASH = "work", "trash"


def work_folder(job_id: UUID, fence: int) -> Path:
    """Where one attempt writes: beside the stored files, so that publishing is a link."""
    return Path(settings.AQ_MEDIA_DIR) / WORK / f"{job_id}-{fence}"


def work_folders() -> dict[tuple[UUID, int], Path]:
    """Every work folder there is, by job and fence."""
    found = {}
    for place in (Path(settings.AQ_MEDIA_DIR) / WORK).glob("*-*-*-*-*-*"):
        job_id, _, fence = place.name.rpartition("-")
        found[UUID(job_id), int(fence)] = place
    return found


def publish(output: Path, stored: Path) -> None:
    """Gives a finished file its stored name, whole or not at all, and leaves the output where it is.

    What it holds is on the disk before the name is: a row that is committed after this names a file that even a power
    cut leaves whole.
    """
    stored.parent.mkdir(parents=True, exist_ok=True)
    draft = stored.with_name(f".{stored.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    try:
        _link_or_copy(output, draft)
        flush(draft)
        draft.replace(stored)
    except OSError:
        draft.unlink(missing_ok=True)  # a full disk is not to be kept full
        raise
    flush(stored.parent)
    flush(stored.parent.parent)


def _link_or_copy(output: Path, draft: Path) -> None:
    try:
        os.link(output, draft)
    except OSError:  # a file system without hard links, or the output lies on another one
        shutil.copyfile(output, draft)


def flush(place: Path) -> None:
    """Waits until a file's content, or a folder's names, are on the disk."""
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_preview(workspace_id: UUID, job_id: UUID, name: str, jpeg: bytes) -> str:
    """Stores a preview picture; its stored name."""
    file = media.file_name(workspace_id, job_id, name)
    path = media.path_of(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}")
    draft.write_bytes(jpeg)
    draft.replace(path)
    return file


def remove_previews(workspace_id: UUID, job_id: UUID) -> None:
    shutil.rmtree(media.path_of(media.file_name(workspace_id, job_id, "x")).parent, ignore_errors=True)


def remove_work_folder(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def quiet_folders(seconds: float) -> dict[UUID, dict[UUID, Path]]:
    """By workspace and owner (asset or job): the folders of stored files to which nothing was added for so long."""
    before = time.time() - seconds
    found: dict[UUID, dict[UUID, Path]] = {}
    for place in _owner_folders():
        with suppress(FileNotFoundError, ValueError):
            workspace, owner = UUID(place.parent.name), UUID(place.name)
            if place.stat().st_mtime < before:
                found.setdefault(workspace, {})[owner] = place
    return found


def _owner_folders() -> Iterator[Path]:
    return (Path(settings.AQ_MEDIA_DIR)).glob("*-*-*-*-*/*-*-*-*-*")


def move_to_trash(folder: Path) -> None:
    """Puts the folder of an owner aside, under the names that it had; `empty_trash` counts from now."""
    aside = Path(settings.AQ_MEDIA_DIR) / TRASH / folder.parent.name / folder.name
    aside.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(aside, ignore_errors=True)
    with suppress(OSError):  # another sweeper was faster, or the folder is not ours to move: it stays where it is
        folder.rename(aside)
        os.utime(aside)


def empty_trash(seconds: float) -> int:
    """Removes for good what was put aside so long ago; how many folders."""
    before, removed = time.time() - seconds, 0
    for place in (Path(settings.AQ_MEDIA_DIR) / TRASH).glob("*/*"):
        with suppress(FileNotFoundError):
            if place.stat().st_mtime < before:
                shutil.rmtree(place, ignore_errors=True)
                removed += 1
    return removed


def remove_drafts(folder: Path, seconds: float) -> None:
    """What was half published, so long ago, by a process that was killed: a younger draft is being published.

    Its age is that of its entry in the folder (ctime): a linked draft has the time of what was written to its output.
    """
    before = time.time() - seconds
    for draft in folder.glob(".*"):
        with suppress(FileNotFoundError):
            if draft.lstat().st_ctime < before:
                draft.unlink()
