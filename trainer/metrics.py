"""What a training step costs and how well a machine is used: operations per block, MFU and HFU. Torch-free.

All counts are sums over the one table of `engine.costs`. By the definition of PaLM (arXiv 2204.02311, appendix B):

- MFU counts what the model needs: the forward, and a backward of twice the forward; attention in full, no recompute,
  no padding. It compares runs with different ways to save memory.
- HFU counts what was done: forward and backward exactly, and what checkpointing computes again. It is never below MFU
  but for the gradients that nobody asks for (of latents, of text), about a thousandth.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engine.costs import Config, Flops, backward_flops, block_flops, forward_flops

# As `trainer.parallel.memory` has them. `selective` keeps the results of all products: only what counts as no operation
# is computed again.
POLICIES = ("none", "selective", "full")


@dataclass(frozen=True)
class StepFlops:
    """Operations of one step over its whole batch."""

    forward: Flops
    backward: Flops
    recompute: Flops

    @property
    def model(self) -> int:
        """What MFU counts."""
        return 3 * self.forward.total

    @property
    def hardware(self) -> int:
        """What HFU counts."""
        return self.forward.total + self.backward.total + self.recompute.total


def step_flops(
    config: Config,
    tokens: int,
    text_tokens: int,
    batch: int = 1,
    *,
    checkpointing: str = "none",
    blocks: int | None = None,
    controls: bool = True,
    extra: Mapping[str, int] | None = None,
) -> StepFlops:
    """Of `batch` samples of `tokens` video tokens. `blocks`: so many of them are checkpointed, all by default.

    `controls` and `extra` as in `engine.costs.forward_flops`. ValueError for an unknown policy.
    """
    length = text_tokens + sum((extra or {}).values())
    again = sum(recomputed(config, tokens, length, batch, checkpointing)[:blocks], Flops())
    forward = forward_flops(config, tokens, text_tokens, batch, controls=controls, extra=extra)
    return StepFlops(forward, backward_flops(config, tokens, text_tokens, batch, controls=controls, extra=extra), again)


def recomputed(config: Config, tokens: int, text_tokens: int, batch: int, checkpointing: str) -> tuple[Flops, ...]:
    """What the backward computes again of each block, in their order. ValueError for an unknown policy."""
    if checkpointing not in POLICIES:
        raise ValueError(f"There is no checkpointing policy {checkpointing!r}. There are: {', '.join(POLICIES)}.")
    blocks = block_flops(config, tokens, text_tokens, batch)
    return blocks if checkpointing == "full" else (Flops(),) * len(blocks)


def block_rows(
    config: Config, tokens: int, text_tokens: int, batch: int = 1, *, checkpointing: str = "none"
) -> Iterator[tuple[int, Flops, Flops]]:
    """Of each run of equal blocks: how many, one block's forward, what of it is computed again."""
    forwards = block_flops(config, tokens, text_tokens, batch)
    agains = recomputed(config, tokens, text_tokens, batch, checkpointing)
    pairs = list(zip(forwards, agains, strict=True))
    for pair in dict.fromkeys(pairs):
        yield pairs.count(pair), *pair


def mfu(flops: StepFlops, seconds: float, devices: int, tflops: float) -> float:
    """Model operations a second over what the data sheets of the devices promise (dense, TFLOP/s each)."""
    return flops.model / (seconds * devices * tflops * 1e12)


def hfu(flops: StepFlops, seconds: float, devices: int, tflops: float) -> float:
    """Operations done a second over what the data sheets of the devices promise (dense, TFLOP/s each)."""
    return flops.hardware / (seconds * devices * tflops * 1e12)
