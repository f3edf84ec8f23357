"""Weights spread over ranks: each holds an equal part of every block, and a block is put together just before it runs.

For ranks that work together on one sample anyway (a sequence, guidance): they need the same weights at the same time.
The parts are of bytes, so every block computes with the very bits of whole weights. The all-gather of the next block
goes on while this one computes. Training has FSDP2 for it: what is split here has no gradient.

Source: ZeRO stage 3 (arXiv 1910.02054), for inference.
"""

from __future__ import annotations

import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from engine.memory.layerwise import ALIGNED, Coming, Layerwise, aligned
from engine.parallel.mesh import Axis


class Shard(Layerwise):
    """A model of which each rank of `axis` holds a part of the blocks' weights. All else stays whole on every rank.

    Made, called and removed by every rank of the axis alike, with the same weights: never over `tensor`. After
    `Parallel` where that splits over `tensor`; otherwise before or after it. Errors as of `Layerwise`.
    """

    def __init__(self, model: nn.Module, axis: Axis, group: int = 1) -> None:
        self.axis = axis
        self.parts: dict[int, Tensor] = {}
        super().__init__(model, group)

    def _keep(self, group: int, flat: Tensor) -> None:
        # An all-gather takes equal parts: at most ALIGNED bytes a rank are added, behind the last weight.
        whole = F.pad(flat, (0, aligned(len(flat), self.axis.size * ALIGNED) - len(flat)))
        self.parts[group] = whole.chunk(self.axis.size)[self.axis.rank].clone()

    def _fetch(self, group: int) -> Coming:
        part = self.parts[group]
        flat = part.new_empty(len(part) * self.axis.size)
        if self.axis.size == 1:
            return lambda: flat.copy_(part)
        work = dist.all_gather_into_tensor(flat, part, group=self.axis.group, async_op=True)

        def wait() -> Tensor:
            work.wait()
            return flat

        return wait
