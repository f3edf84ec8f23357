"""What a transformer reads of a text: kept while another text encoder says the same in other words.

Legend: B sentences, M text tokens, C text width, D hidden, S recorded video tokens.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.single_dit import Block, SingleDiT


def record_queries(dit: SingleDiT, run: Callable[[], None], count: int, generator: torch.Generator) -> list[Tensor]:
    """Of every block `count` of the video tokens [S, D] that ask the text while `run` runs the transformer."""
    asked: list[list[Tensor]] = [[] for _ in dit.blocks]

    def keep(index: int, x_BLD: Tensor) -> None:
        asked[index].append(x_BLD.detach().flatten(0, 1))

    hooks = [
        block.cross.register_forward_pre_hook(lambda _, given, index=index: keep(index, given[0]))
        for index, block in enumerate(_blocks(dit))
    ]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    found = []
    for tokens in asked:
        every = torch.cat(tokens)
        found.append(every[torch.randperm(len(every), generator=generator)[:count].to(every.device)])
    return found


@torch.no_grad()
def spread_of_readings(dit: SingleDiT, queries: list[Tensor], texts_BMC: Tensor, mask_BM: Tensor) -> list[float]:
    """Of every block how much what it reads differs from text to text: mean variance over the texts."""
    read = (
        block.cross(some.expand(len(texts_BMC), -1, -1), texts_BMC, mask_BM).float()
        for block, some in _both(dit, queries)
    )
    return [max(one.var(0, unbiased=False).mean().item(), 1e-8) for one in read]


def reading_loss(
    dit: SingleDiT,
    queries: list[Tensor],
    spreads: list[float],
    ours: tuple[Tensor, Tensor],
    theirs: tuple[Tensor, Tensor],
) -> Tensor:
    """Mean squared error of what the blocks read in our features [B, M, C] (and their mask [B, M]) against what they
    read in theirs, as a share of `spreads`. A mean over rows, whatever else is in the batch.
    """
    losses = []
    for (block, query_SD), spread in zip(_both(dit, queries), spreads, strict=True):
        query_BSD = query_SD.expand(len(ours[0]), -1, -1)
        with torch.no_grad():
            wanted = block.cross(query_BSD, *theirs).float()
        losses.append(F.mse_loss(block.cross(query_BSD, *ours).float(), wanted) / spread)
    return torch.stack(losses).mean()


def _both(dit: SingleDiT, queries: list[Tensor]) -> list[tuple[Block, Tensor]]:
    return list(zip(_blocks(dit), queries, strict=True))


def _blocks(dit: SingleDiT) -> list[Block]:
    blocks: nn.ModuleList = dit.blocks
    return [block for block in blocks.children() if isinstance(block, Block)]
