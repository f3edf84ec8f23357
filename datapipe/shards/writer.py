"""Write a set of shards. A shard is there whole or not at all, and a writer that was killed goes on behind the last.

    with ShardWriter(folder, about={"key": ...}) as shards:
        for values, facts in everything[shards.count :]:
            shards.add(values, facts)
        shards.finish()

The same records make the same bytes, however often the writer was killed on the way.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from datapipe.shards.format import (
    FORMAT,
    SET,
    Facts,
    Layout,
    Row,
    ShardError,
    data_path,
    index_path,
    index_text,
    packed,
    read_index,
    set_digest,
    sync_folder,
    write_whole,
)

RECORDS, BYTES = 4096, 1 << 30  # of a shard, at most


class ShardWriter:
    """Writes a set into `folder`, or goes on with one. `count` records are in whole shards: go on behind them.

    `about` says what the set holds, and with which key. ShardError where the folder holds a set about something else,
    a finished one, or is being written to by another process.
    """

    def __init__(self, folder: Path, about: Facts, *, records: int = RECORDS, size: int = BYTES) -> None:
        self.folder, self.records, self.size = folder, records, size
        self.about: Facts = json.loads(json.dumps(about))
        self.count, self.digests = 0, list[str]()
        self._layouts: list[Layout] = []
        self._rows: list[Row] = []
        self._bytes = 0
        self._data: BinaryIO | None = None
        self._lock: BinaryIO | None = None

    def __enter__(self) -> ShardWriter:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / ".lock").open("wb")
        try:
            self._take()
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """What is not in a whole shard is dropped, and added again by whoever goes on."""
        if self._data is not None:
            self._data.close()
        assert self._lock is not None
        self._lock.close()

    def add(self, values: Mapping[str, np.ndarray | bytes], facts: Facts | None = None) -> None:
        """Add a record. ValueError for values or facts that cannot be kept."""
        layout, raw = packed(values)
        try:
            kept: Facts = json.loads(json.dumps(facts or {}, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise ValueError(f"Facts of a record are what JSON can hold: {error}.") from None
        if self._rows and self._bytes + len(raw) > self.size:
            self._commit()
        if self._data is None:
            self._data = self._temporary.open("wb")
        if layout not in self._layouts:
            self._layouts.append(layout)
        self._data.write(raw)
        digest = hashlib.sha256(raw).hexdigest()
        self._rows.append(Row(self._bytes, self._layouts.index(layout), digest, kept))
        self._bytes += len(raw)
        if len(self._rows) >= self.records:
            self._commit()

    def finish(self) -> str:
        """Commit what is left and close the set for good; its digest. ShardError where it holds nothing."""
        if self._rows:
            self._commit()
        if not self.count:
            raise ShardError(f"{self.folder} would be a set of shards without a record: add some first.")
        digest = set_digest(self.about, self.digests)
        told = {"format": FORMAT, "about": self.about, "records": self.count, "shards": len(self.digests)}
        write_whole(self.folder / SET, json.dumps({**told, "digest": digest}, indent=1).encode() + b"\n")
        return digest

    @property
    def _temporary(self) -> Path:
        return self.folder / ".shard.tmp"

    def _take(self) -> None:
        """The folder is ours alone, and what lies in it is counted."""
        assert self._lock is not None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ShardError(f"Another process writes shards into {self.folder}. Wait for it, or end it.") from None
        self._claim()
        while index_path(self.folder, len(self.digests)).exists():
            index = read_index(self.folder, len(self.digests))
            self.digests.append(index.digest)
            self.count += len(index.rows)

    def _claim(self) -> None:
        path = self.folder / SET
        if not path.exists():
            if index_path(self.folder, 0).exists():
                raise ShardError(f"{self.folder} holds shards and no {SET}. Remove it to have the set made anew.")
            write_whole(path, json.dumps({"format": FORMAT, "about": self.about}, indent=1).encode() + b"\n")
        found = json.loads(path.read_text())
        if found.get("about") != self.about:
            raise ShardError(
                f"{self.folder} holds shards about {json.dumps(found.get('about'))}, not about "
                f"{json.dumps(self.about)}. Use a new folder, or remove it to have the set made anew."
            )
        if "digest" in found:
            raise ShardError(f"The set of shards in {self.folder} is finished: nothing is added to it.")

    def _commit(self) -> None:
        """Values first, then the index that makes them a shard."""
        assert self._data is not None
        number = len(self.digests)
        self._data.flush()
        os.fsync(self._data.fileno())
        self._data.close()
        self._temporary.replace(data_path(self.folder, number))
        sync_folder(self.folder)
        text, digest = index_text(self._layouts, self._rows, self._bytes)
        write_whole(index_path(self.folder, number), text.encode())
        self.digests.append(digest)
        self.count += len(self._rows)
        self._layouts, self._rows, self._bytes, self._data = [], [], 0, None
