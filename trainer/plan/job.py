"""A training step as work: how many samples of how many tokens through which model, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from engine.axes import MeshShape
from engine.costs import Config, block_parameters, parameters, sent_bytes
from trainer.metrics import StepFlops, step_flops

BF16, FP32, GB = 2, 4, 1e9


@dataclass(frozen=True)
class Job:
    """A step: `batch` samples over all devices, of `tokens` video tokens each; `largest`: of the largest sample, where
    steps of other sizes have larger ones (0: none has).
    """

    config: Config
    tokens: int
    text_tokens: int
    batch: int
    largest: int = 0
    _sent: dict[MeshShape, Mapping[str, int]] = field(default_factory=dict, compare=False, repr=False)
    _flops: dict[tuple[str, int | None], StepFlops] = field(default_factory=dict, compare=False, repr=False)

    def flops(self, policy: str, blocks: int | None = None) -> StepFlops:
        """Of one sample, so many blocks checkpointed (all by default)."""
        if (policy, blocks) not in self._flops:
            config, tokens, text = self.config, self.tokens, self.text_tokens
            found = step_flops(config, tokens, text, checkpointing=policy, blocks=blocks, controls=False)
            self._flops[policy, blocks] = found
        return self._flops[policy, blocks]

    @cached_property
    def blocks(self) -> tuple[int, ...]:
        """Parameters of each block, the largest first."""
        return tuple(sorted(block_parameters(self.config), reverse=True))

    @cached_property
    def parameters(self) -> int:
        return parameters(self.config)

    @cached_property
    def ends(self) -> int:
        """Parameters before and behind the blocks."""
        return self.parameters - sum(self.blocks)

    def sent(self, layout: MeshShape) -> Mapping[str, int]:
        """Bytes that a device sends in the forward of one sample."""
        if layout not in self._sent:
            self._sent[layout] = sent_bytes(self.config, layout, self.tokens, self.text_tokens, width=BF16)
        return self._sent[layout]


@dataclass(frozen=True)
class Memory:
    """How memory is spent. `blocks` of them are checkpointed, all by default; `micro` samples at a time; `zero`: what
    FSDP's ranks part, as ZeRO numbers it (1 optimiser, 2 and gradients, 3 and weights: FSDP2).
    """

    policy: str = "none"
    blocks: int | None = None
    micro: int = 1
    zero: int = 3

    @property
    def recompute(self) -> str:
        """What is computed again: with inputs on the host as much as with inputs on the device."""
        return "full" if self.policy == "offload" else self.policy
