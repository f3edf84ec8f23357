"""The shard format: records of tensors, bytes and JSON in memory-mapped files, each byte under a digest, and their
order.

`writer` makes a set of shards, `reader` opens one, `order` is the shuffle, `format` what lies on the disk.
"""

from datapipe.shards.format import ShardError
from datapipe.shards.order import draw
from datapipe.shards.reader import Record, ShardSet
from datapipe.shards.writer import ShardWriter

__all__ = ["Record", "ShardError", "ShardSet", "ShardWriter", "draw"]
