"""What was made lately and may be asked for again, bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """At most `most` values; the one that was asked for longest ago goes first. `hits` and `misses` are counted."""

    def __init__(self, most: int) -> None:
        self.most, self.hits, self.misses = most, 0, 0
        self.values: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """The value that is kept under `key`, made where there is none."""
        if key in self.values:
            self.hits += 1
            self.values.move_to_end(key)
            return self.values[key]
        self.misses += 1
        value = self.values[key] = make()
        if len(self.values) > self.most:
            self.values.popitem(last=False)
        return value
