"""What the video transformers of a run work through: tokens and operations, counted from what they are given.

Counted is what `engine.costs` knows exactly, the transformers; text encoders and VAEs that learn beside them are not.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from engine.costs import token_count
from trainer.metrics import step_flops

if TYPE_CHECKING:
    from trainer.ranks import Ranks


@dataclass(frozen=True)
class Work:
    """Video tokens, operations that the model needs (MFU counts these), and operations that are done (HFU)."""

    tokens: float = 0.0
    model: float = 0.0
    hardware: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(self.tokens + other.tokens, self.model + other.model, self.hardware + other.hardware)

    def over(self, ranks: Ranks, data_size: int) -> Work:
        """The work of all ranks; those that share a sample have each counted it whole."""
        sums = [sum(ranks.each(value)) * data_size / ranks.world for value in astuple(self)]
        return Work(*sums)


class Meter:
    """Counts what is learnt from: every call of a video transformer that keeps its gradients, until `close`."""

    def __init__(self, modules: Mapping[str, nn.Module], recompute: str) -> None:
        self.recompute, self.done = recompute, Work()
        self._known: dict[tuple[Any, ...], Work] = {}
        self._hooks = [
            module.register_forward_pre_hook(partial(self._see, name), prepend=True, with_kwargs=True)
            for name, module in modules.items()
            if _is_counted(module)
        ]

    @property
    def counts(self) -> bool:
        return bool(self._hooks)

    def take(self) -> Work:
        """What was worked through since the last call."""
        done, self.done = self.done, Work()
        return done

    def close(self) -> None:
        for hook in self._hooks:
            hook.remove()

    def _see(self, name: str, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not torch.is_grad_enabled():
            return
        given = inspect.signature(type(model).forward).bind(model, *args, **kwargs).arguments
        for sizes in _sizes_of(given):
            if (name, sizes) not in self._known:
                self._known[name, sizes] = _cost(dict(model.config), sizes, self.recompute)  # type: ignore[arg-type]
            self.done += self._known[name, sizes]


@dataclass(frozen=True)
class _Sizes:
    """What the cost of a call depends on, beside the model."""

    grid: tuple[int, ...]
    batch: int
    text: int
    beside: tuple[tuple[str, int], ...]
    controls: bool


def _sizes_of(given: Mapping[str, Any]) -> list[_Sizes]:
    """Of one call. In a packed row every sample attends to itself and its text, and is counted so."""
    latents, beside = given["latents"], given.get("tokens") or {}
    rest = (
        given["text_BMC"].shape[1],
        tuple((name, value.shape[1]) for name, value in beside.items()),
        given.get("control_ids_BK") is not None,
    )
    if isinstance(latents, Tensor):
        return [_Sizes(tuple(latents.shape[2:]), len(latents), *rest)]
    return [_Sizes(tuple(sample.shape[1:]), 1, *rest) for sample in latents]


def _is_counted(module: nn.Module) -> bool:
    """Told by its configuration, as `engine.costs` tells them: a run of others need not import them."""
    return {"patch_size", "in_channels", "hidden"} <= set(getattr(module, "config", ()))


def _cost(config: Mapping[str, Any], sizes: _Sizes, recompute: str) -> Work:
    tokens = token_count(config, *sizes.grid)
    flops = step_flops(
        config,
        tokens,
        sizes.text,
        sizes.batch,
        checkpointing=recompute,
        controls=sizes.controls,
        extra=dict(sizes.beside),
    )
    return Work(tokens * sizes.batch, flops.model, flops.hardware)
