"""How an output becomes a stored file: on the disk before it has its name, whole or not at all."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from studio.jobs import files


@pytest.fixture
def output(tmp_path: Path) -> Path:
    path = tmp_path / "output"
    path.write_bytes(b"whole" * 1000)
    return path


def test_what_it_holds_is_on_the_disk_before_the_name_is(
    output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def flushed(descriptor: int) -> None:
        done.append(f"flush {Path(f'/proc/self/fd/{descriptor}').readlink().name.rpartition('.')[0] or 'folder'}")
        fsync(descriptor)

    def named(self: Path, target: Path) -> Any:
        done.append("name")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "replace", named)
    files.publish(output, tmp_path / "space" / "asset" / "video.mp4")
    assert done == ["flush .video.mp4", "name", "flush folder", "flush folder"]


def test_a_copy_that_finds_no_room_leaves_nothing(
    output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(*_: object) -> None:
        raise OSError(errno.EXDEV, "another device")

    def half(source: Path, target: Path) -> None:
        target.write_bytes(b"whol")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", no_link)
    monkeypatch.setattr(shutil, "copyfile", half)
    with pytest.raises(OSError, match="No space"):
        files.publish(output, tmp_path / "asset" / "video.mp4")
    assert list((tmp_path / "asset").iterdir()) == []


def test_a_second_time_overwrites_the_first(output: Path, tmp_path: Path) -> None:
    stored = tmp_path / "asset" / "video.mp4"
    files.publish(output, stored)
    other = tmp_path / "other"
    other.write_bytes(b"second")
    files.publish(other, stored)
    assert (stored.read_bytes(), output.read_bytes()[:5]) == (b"second", b"whole")
    assert list(stored.parent.iterdir()) == [stored]
