"""The shard format: records of tensors, bytes and JSON in memory-mapped files, each byte under a digest, and their
order.

`writer` makes a set of shards, `reader` opens one and reads from a cursor, `order` is the shuffle, `format` what lies
on the disk.
"""

from datapipe.shards.format import ShardError
from datapipe.shards.order import draw
from datapipe.shards.reader import Reader, Record, ShardSet
from datapipe.shards.writer import ShardWriter

__all__ = ["Reader", "Record", "ShardError", "ShardSet", "ShardWriter", "draw"]
