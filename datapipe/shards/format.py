"""What lies on the disk.

    SET/set.json           what the set is: `about`, and when it is finished its records and its digest
    SET/000000.bin         a shard's values, one after another, each at a multiple of 64 bytes
    SET/000000.index       two lines of JSON: the head (records, bytes, digest), and the rows

A row is [offset, layout, sha256 of its bytes, facts]; layouts are the distinct lists of [name, dtype, shape], so that
records of one size share one. The shard's digest is the SHA-256 of its second line and so, through the rows, of every
byte of it; the set's digest is that of `about` and its shards' digests. What is read is checked as it is read, and
nothing else has to be.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = "aquarius-shards/1"
SET = "set.json"
ALIGNED = 64
BYTES = "bytes"  # the dtype of a value that is no array

Facts = dict[str, Any]  # what JSON can hold
Layout = list[list[Any]]  # [name, dtype, shape] of each value


class ShardError(ValueError):
    """A set of shards that cannot be used, with a sentence that names what is wrong."""


@dataclass(frozen=True)
class Row:
    """Where a record lies, what it is made of, what its bytes are, and what is known of it."""

    offset: int
    layout: int
    sha256: str
    facts: Facts


@dataclass(frozen=True)
class Index:
    """What is known of a shard without its values."""

    name: str
    bytes: int
    digest: str
    layouts: list[Layout]
    rows: list[Row]


def data_path(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.bin"


def index_path(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.index"


def padded(size: int) -> int:
    """The next multiple of the alignment."""
    return -(-size // ALIGNED) * ALIGNED


def packed(values: Mapping[str, np.ndarray | bytes]) -> tuple[Layout, bytes]:
    """A record's values as its layout and its bytes. ValueError for what no file should hold: objects."""
    layout: Layout = []
    parts: list[bytes] = []
    for name, value in values.items():
        if isinstance(value, bytes):
            layout.append([name, BYTES, [len(value)]])
            raw = value
        else:
            if value.dtype.hasobject:
                raise ValueError(f"{name} holds Python objects: give numbers, or bytes.")
            array = value.astype(value.dtype.newbyteorder("<"), copy=False)
            layout.append([name, array.dtype.str, list(array.shape)])
            raw = array.tobytes()
        parts.append(raw + bytes(padded(len(raw)) - len(raw)))
    return layout, b"".join(parts)


def unpacked(layout: Layout, raw: memoryview) -> dict[str, Any]:
    """The values over these bytes: arrays that share them and cannot be written to, and bytes."""
    found: dict[str, Any] = {}
    at = 0
    for name, dtype, shape in layout:
        size = value_bytes(dtype, shape)
        part = raw[at : at + size]
        found[name] = bytes(part) if dtype == BYTES else np.frombuffer(part, np.dtype(dtype)).reshape(shape)
        at += padded(size)
    return found


def layout_bytes(layout: Layout) -> int:
    """Of a record, padding included."""
    return sum(padded(value_bytes(dtype, shape)) for _, dtype, shape in layout)


def value_bytes(dtype: str, shape: list[int]) -> int:
    return (1 if dtype == BYTES else np.dtype(dtype).itemsize) * int(np.prod(shape, dtype=np.int64))


def index_text(layouts: list[Layout], rows: list[Row], size: int) -> tuple[str, str]:
    """A shard's index file and its digest."""
    body = json.dumps({"layouts": layouts, "rows": [[r.offset, r.layout, r.sha256, r.facts] for r in rows]})
    digest = hashlib.sha256(body.encode()).hexdigest()
    head = json.dumps({"format": FORMAT, "records": len(rows), "bytes": size, "digest": digest})
    return f"{head}\n{body}\n", digest


def read_index(folder: Path, number: int) -> Index:
    """A shard's index, checked against its digest, and its values against their size. ShardError names the shard."""
    path = index_path(folder, number)
    try:
        head_line, body, rest = path.read_text().split("\n")
        head = json.loads(head_line)
    except FileNotFoundError:
        raise ShardError(f"The shard {path.stem} of {folder} has no index. Write the set to its end.") from None
    except (ValueError, UnicodeDecodeError):
        raise ShardError(f"The index {path} is torn or altered. Copy the set again, or write it anew.") from None
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise ShardError(f"{path} is no index of {FORMAT}, which is what is read here.")
    if rest or hashlib.sha256(body.encode()).hexdigest() != head["digest"]:
        raise ShardError(f"The index {path} is torn or altered: its SHA-256 is another. Copy the set again.")
    data = data_path(folder, number)
    size = data.stat().st_size if data.exists() else -1
    if size != head["bytes"]:
        found = "is missing" if size < 0 else f"has {size} bytes and should have {head['bytes']}"
        raise ShardError(f"The shard {data} {found}: it is torn. Copy the set again, or write it anew.")
    told = json.loads(body)
    return Index(path.stem, size, head["digest"], told["layouts"], [Row(*row) for row in told["rows"]])


def set_digest(about: Facts, digests: list[str]) -> str:
    """Of a whole set: what it is about, and every byte of its shards."""
    return "sha256:" + hashlib.sha256(json.dumps([about, digests], sort_keys=True).encode()).hexdigest()


def write_whole(path: Path, content: bytes) -> None:
    """Have a file with this content or none: on the disk under another name, then renamed."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
