"""Everything that a step changes, as a checkpoint of any layout holds it: `net`, `average` and `optimiser`, by name.

Write it with torch.distributed.checkpoint. To read: make it, load into it, and `put_state` it. Every rank alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from trainer.parallel.gradients import local
from trainer.parallel.whole import like

if TYPE_CHECKING:  # which imports every transformer
    from trainer.replicas import Spreading

State = dict[str, dict[str, Any]]


def state_of(spread: Spreading, optimiser: Optimizer, average: Mapping[str, Tensor]) -> State:
    """The state's own tensors, but for those that `tensor` has split: they are put together, and are copies."""
    found: State = {"net": dict(spread.saved_form(spread.net.state_dict()))}
    found["average"] = dict(spread.saved_form(average))
    found["optimiser"] = {}
    for name, parameter in spread.net.named_parameters():
        kept = optimiser.state.get(parameter, {})
        found["optimiser"][name] = {
            key: spread.saved_form({name: value})[name] if _laid_out(value, parameter) else value
            for key, value in kept.items()
        }
    return found


@torch.no_grad()
def put_state(spread: Spreading, optimiser: Optimizer, average: Mapping[str, Tensor], saved: State) -> None:
    """Put what was read into weights, average and optimiser. The optimiser has its states already."""
    _put(spread.net.state_dict(), spread.own_form(saved["net"]))
    _put(average, spread.own_form(saved["average"]))
    for name, parameter in spread.net.named_parameters():
        kept = optimiser.state.get(parameter, {})
        given = saved["optimiser"][name]
        _put(
            {key: kept[key] for key in given},
            {
                key: spread.own_form({name: value})[name] if _laid_out(kept[key], parameter) else value
                for key, value in given.items()
            },
        )


def by_name(file: Mapping[str, Any], order: Sequence[str]) -> State:
    """What one process has kept in a file, by name: its optimiser counts the parameters, in this order."""
    kept = file["optimiser"]["state"]
    moments = {order[index]: dict(values) for index, values in kept.items()}
    return {"net": dict(file["net"]), "average": dict(file["average"]), "optimiser": moments}


@torch.no_grad()
def fill(into: Mapping[str, Any], whole: Mapping[str, Any]) -> None:
    """Copy whole values to where a layout's `state_of` has those of the same names, of each this rank's part."""
    for name, form in into.items():
        if not isinstance(form, Tensor):
            fill(form, whole.get(name, {}))
        else:
            local(form).copy_(local(like(whole[name].to(form.device), form)))


def _laid_out(value: Any, parameter: Tensor) -> bool:
    """Whether a state lies as its parameter does; a count of steps does not."""
    return isinstance(value, Tensor) and value.shape == parameter.shape


def _put(into: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, value in values.items():
        local(into[name]).copy_(local(value))
