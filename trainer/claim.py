"""Whose is this folder? What was made for one configuration is never gone on with under another.

A folder is claimed when nothing refuses the request any more: whoever corrects it calls again with the same folder.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Described = dict[str, Any]  # as JSON would give it back


def claim(path: Path, config: Described, what: str) -> None:
    """Note in `path` what its folder holds; ValueError where it holds something else."""
    check_claim(path, config, what)
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(config))
    temporary.replace(path)


def check_claim(path: Path, config: Described, what: str) -> None:
    """ValueError where the folder of `path` was made for another configuration; one that nobody has claimed is free."""
    off = differences(json.loads(path.read_text()), config) if path.exists() else []
    if off:
        raise ValueError(
            f"{path.parent} holds another {what}: {', '.join(off)}. Use a new folder, or remove {path.parent} to "
            f"have it made anew."
        )


@contextmanager
def alone(folder: Path, does: str) -> Iterator[None]:
    """Have the folder to this process alone. ValueError where another one has it, which `does` something to it."""
    folder.mkdir(parents=True, exist_ok=True)
    place = os.open(folder, os.O_RDONLY)  # the folder itself: a file of its own would lie there for ever
    try:
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"Another process {does} {folder}: wait for it, or end it.") from None
        except OSError:
            pass  # there are network file systems that lock no folder
        yield
    finally:
        os.close(place)


def differences(there: Any, asked: Any, name: str = "") -> list[str]:
    """How two configurations differ, as `name is X, asked for Y`."""
    if isinstance(there, dict) and isinstance(asked, dict):
        keys = list(dict.fromkeys([*there, *asked]))
        inner = [differences(there.get(key), asked.get(key), f"{name}.{key}".strip(".")) for key in keys]
        return [line for lines in inner for line in lines]
    return [] if there == asked else [f"{name} is {there}, asked for {asked}"]
