"""Read a set of shards: any record by its number, memory-mapped. Which comes when, `order` says."""

from __future__ import annotations

import hashlib
import json
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datapipe.shards.format import (
    FORMAT,
    SET,
    Facts,
    Index,
    ShardError,
    data_path,
    layout_bytes,
    read_index,
    set_digest,
    unpacked,
)


@dataclass(frozen=True)
class Record:
    """A record: `values` are read-only arrays over the file itself, or bytes."""

    number: int
    values: dict[str, Any]
    facts: Facts


class ShardSet:
    """A finished set in a folder. ShardError names the shard that is missing, torn or altered.

    Opening checks every index and every size; a record's bytes are checked against their SHA-256 as it is read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        told = _read_set(self.folder)
        self.about: Facts = told["about"]
        self.digest: str = told["digest"]
        self.indexes: list[Index] = [read_index(self.folder, number) for number in range(told["shards"])]
        found = set_digest(self.about, [index.digest for index in self.indexes])
        if found != self.digest:
            raise ShardError(f"The shards in {self.folder} are not those of its {SET}. Copy the set again.")
        self._ends = np.cumsum([len(index.rows) for index in self.indexes])
        self._maps: dict[int, memoryview] = {}

    def __len__(self) -> int:
        return int(self._ends[-1])

    def facts(self, number: int) -> Facts:
        """What is known of a record, without reading its values."""
        shard, row = self._place(number)
        return self.indexes[shard].rows[row].facts

    def shapes(self, number: int) -> dict[str, tuple[int, ...]]:
        """The shapes of a record's values."""
        shard, row = self._place(number)
        index = self.indexes[shard]
        return {name: tuple(shape) for name, _, shape in index.layouts[index.rows[row].layout]}

    def __getitem__(self, number: int) -> Record:
        shard, at = self._place(number)
        index = self.indexes[shard]
        row = index.rows[at]
        layout = index.layouts[row.layout]
        raw = self._map(shard)[row.offset : row.offset + layout_bytes(layout)]
        if hashlib.sha256(raw).hexdigest() != row.sha256:
            path = data_path(self.folder, shard)
            raise ShardError(f"Record {at} of the shard {path} is altered: its SHA-256 is another. Copy the set again.")
        return Record(number, unpacked(layout, raw), row.facts)

    def verify(self) -> None:
        """Read and check every record."""
        for number in range(len(self)):
            self[number]

    def _place(self, number: int) -> tuple[int, int]:
        if not 0 <= number < len(self):
            raise IndexError(f"There is no record {number} among {len(self)}.")
        shard = int(np.searchsorted(self._ends, number, "right"))
        return shard, number - int(self._ends[shard - 1] if shard else 0)

    def _map(self, shard: int) -> memoryview:
        if shard not in self._maps:
            with data_path(self.folder, shard).open("rb") as file:
                whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if self.indexes[shard].bytes else b""
            self._maps[shard] = memoryview(whole)
        return self._maps[shard]


def _read_set(folder: Path) -> dict[str, Any]:
    path = folder / SET
    try:
        told = json.loads(path.read_text())
    except FileNotFoundError:
        raise ShardError(f"There is no set of shards in {folder}: it holds no {SET}.") from None
    except ValueError:
        raise ShardError(f"{path} is torn or altered. Copy the set again, or write it anew.") from None
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise ShardError(f"{path} is no set of {FORMAT}, which is what is read here.")
    if "digest" not in told:
        raise ShardError(f"The set of shards in {folder} is not finished. Go on with what writes it, to its end.")
    return told
