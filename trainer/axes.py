"""The axes that a run is laid out over; torch-free, for the plan and for the run alike."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Axes:
    """Devices on each axis, the last on neighbours.

    `replicate` and `shard` part the batch; `shard` and the sequence (`ring` x `ulysses`) part the weights, as FSDP2
    does over their product; `pipe` parts the blocks, `tensor` heads and hidden units.
    """

    replicate: int = 1
    shard: int = 1
    pipe: int = 1
    ring: int = 1
    ulysses: int = 1
    tensor: int = 1

    @property
    def world(self) -> int:
        """Devices, or ranks, in all."""
        return self.data * self.pipe * self.sequence * self.tensor

    @property
    def data(self) -> int:
        """Parts of the batch."""
        return self.replicate * self.shard

    @property
    def sequence(self) -> int:
        """Parts of a sample's tokens."""
        return self.ring * self.ulysses

    @property
    def weights(self) -> int:
        """Parts of the weights that FSDP makes; 1: it is not used."""
        return self.shard * self.sequence
