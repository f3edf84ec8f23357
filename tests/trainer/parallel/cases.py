"""What every rank does in the tests: the same run once alone and once spread, from weights with no zero.

A run is five optimiser steps of AdamW with clipping and an average, on a batch of six rows with texts of several
lengths. Beside the transformer a small module before it is learnt too. Errors are the greatest difference over the
greatest value, tensor by tensor.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from unittest import mock

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn

from engine.models.blocks import SelfAttention
from tests.engine.parallel.cases import inputs_of, model_of
from trainer.ema import Average
from trainer.parallel import gradients
from trainer.parallel import spread as spreading
from trainer.parallel.layout import Layout, make_groups
from trainer.parallel.optimiser import make_optimiser
from trainer.parallel.policy import Memory
from trainer.parallel.spread import Part, Spread
from trainer.parallel.state import put_state, state_of

ROWS, STEPS = 6, 5
LIMIT = 0.5  # below the norm of the gradients, so that clipping does something
groups_of = cache(make_groups)


@dataclass
class Record:
    """What a run leaves: losses, means and norms of all steps, gradients of the first and last, and the average."""

    losses: list[float] = field(default_factory=list)
    logged: list[float] = field(default_factory=list)  # the mean row
    evaluated: float = 0.0  # the loss before the first step, without gradients
    norms: list[float] = field(default_factory=list)
    grads: list[dict[str, Tensor]] = field(default_factory=list)
    average: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Errors:
    """The greatest relative differences from one process."""

    losses: float
    norms: float
    grads: tuple[float, float]  # at the first step and the last
    average: float

    @property
    def worst(self) -> float:
        return max(self.losses, self.norms, *self.grads, self.average)


def parity(
    layout: Layout,
    name: str = "single",
    dtype: torch.dtype = torch.float64,
    parts: int = 1,
    memory: Memory | None = None,
    length: str = "odd",
    fault: str | None = None,
) -> Errors:
    """A run alone against the same over the layout, in `parts` microbatches a rank."""
    wanted = alone(name, dtype, length)
    with mock.patch.object(spreading, "make_groups", lambda layout, device: groups_of(layout)), planted(fault):
        got = run(name, dtype, length, layout, parts, memory)
    return Errors(
        max(_far(wanted.losses, got.losses), _far(wanted.logged, got.logged), _far(wanted.losses[:1], [got.evaluated])),
        _far(wanted.norms, got.norms),
        (worst(wanted.grads[0], got.grads[0]), worst(wanted.grads[1], got.grads[1])),
        worst(wanted.average, got.average),
    )


@cache
def alone(name: str, dtype: torch.dtype, length: str) -> Record:
    """The run written out, by nothing of what is tested."""
    modules, inputs = modules_of(name, dtype), inputs_of(length, ROWS, dtype)
    net, record = nn.ModuleDict(modules), Record()
    optimiser = torch.optim.AdamW(net.parameters(), 1e-3)
    average = {key: value.clone() for key, value in net.state_dict().items()}
    for step in range(1, STEPS + 1):
        value = loss_of(modules, inputs, range(ROWS))
        optimiser.zero_grad()
        value.backward()
        if step in (1, STEPS):
            record.grads.append({k: p.grad.clone() for k, p in net.named_parameters() if p.grad is not None})
        record.losses.append(value.item())
        record.logged.append((ROWS - 1) / 2)
        record.norms.append(nn.utils.clip_grad_norm_(net.parameters(), LIMIT).item())
        optimiser.step()
        for key, present in net.state_dict().items():
            average[key].lerp_(present, 1 - min(0.9, (1 + step) / (10 + step)))
    record.average = average
    return record


def run(name: str, dtype: torch.dtype, length: str, layout: Layout, parts: int, memory: Memory | None) -> Record:
    """The same run over the layout."""
    modules, inputs, record = modules_of(name, dtype), inputs_of(length, ROWS, dtype), Record()
    spread = Spread(modules, layout, memory)
    optimiser = torch.optim.AdamW(spread.net.parameters(), 1e-3)
    average = Average(spread.net, 0.9)
    for step in range(1, STEPS + 1):
        optimiser.zero_grad()
        given = [_part(modules, inputs, rows) for rows in spread.share(ROWS, parts)]
        if step == 1:
            record.evaluated, _ = spread.evaluate(given)
        loss, metrics = spread.backward(given)
        record.logged.append(metrics["row"])
        if step in (1, STEPS):
            grads = {k: p.grad for k, p in spread.net.named_parameters() if p.grad is not None}
            record.grads.append({k: g.clone() for k, g in spread.whole_form(grads).items()})
        record.losses.append(loss)
        record.norms.append(spread.clip(LIMIT).item())
        optimiser.step()
        average.update(step)
    record.average = spread.whole_form(average.values)
    return record


def saved(layout: Layout, folder: str, steps: int = 2) -> None:
    """A run over the layout up to a checkpoint."""
    spread, optimiser, average, inputs = _begun(layout, seed=11)
    for step in range(1, steps + 1):
        _step(spread, optimiser, average, inputs, step)
    dcp.save(state_of(spread, optimiser, average.values), checkpoint_id=folder, no_dist=layout.world == 1)


def resumed(layout: Layout, folder: str, steps: int = 2, forget: str = "") -> tuple[float, float]:
    """The rest of the run over another layout: errors of losses and average. What is in `forget` is not read."""
    spread, optimiser, average, inputs = _begun(layout, seed=12)
    _make_states(optimiser)
    state = state_of(spread, optimiser, average.values)
    dcp.load(state, checkpoint_id=folder, no_dist=layout.world == 1)
    put_state(spread, optimiser, average.values, state)
    if forget == "moments":
        for moments in optimiser.state.values():
            moments["exp_avg"].zero_()
    if forget == "average":
        average.restart()
    losses = [_step(spread, optimiser, average, inputs, step) for step in range(steps + 1, STEPS + 1)]
    wanted = alone("single", torch.float64, "odd")
    return _far(wanted.losses[steps:], losses), worst(wanted.average, spread.whole_form(average.values))


def _begun(layout: Layout, seed: int) -> tuple[Spread, torch.optim.Optimizer, Average, dict[str, Any]]:
    modules, inputs = modules_of("single", torch.float64, seed), inputs_of("odd", ROWS, torch.float64)
    spread = Spread(modules, layout)
    return (
        spread,
        make_optimiser(spread.net.parameters(), "adamw", 1e-3, (0.9, 0.999)),
        Average(spread.net, 0.9),
        inputs,
    )


def _step(spread: Spread, optimiser: torch.optim.Optimizer, average: Average, inputs: Any, step: int) -> float:
    optimiser.zero_grad()
    loss, _ = spread.backward([_part(dict(spread.net.items()), inputs, rows) for rows in spread.share(ROWS)])
    spread.clip(LIMIT)
    optimiser.step()
    average.update(step)
    return loss


def _make_states(optimiser: torch.optim.Optimizer) -> None:
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    optimiser.step()


def _part(modules: dict[str, nn.Module], inputs: Mapping[str, Any], rows: range) -> Part:
    def loss() -> tuple[Tensor, dict[str, float]]:
        return loss_of(modules, inputs, rows), {"row": sum(rows) / len(rows)}

    return Part(loss, len(rows))


def modules_of(name: str, dtype: torch.dtype, seed: int = 11) -> dict[str, nn.Module]:
    torch.manual_seed(seed)
    return {"text": nn.Linear(6, 6).to(dtype), "model": model_of(name, dtype)}


def loss_of(modules: dict[str, nn.Module], inputs: Mapping[str, Any], rows: range) -> Tensor:
    """The mean over the rows of their squared errors; a packed row's samples count alike."""
    given = {key: _cut(value, rows) for key, value in inputs.items()}
    given["text_BMC"] = modules["text"](given["text_BMC"])
    made = modules["model"](**given)
    errors = [(x - _ramp(x)).square().mean() * (1 + row) for x, row in zip(made, rows, strict=True)]
    return torch.stack(errors).mean()


def _ramp(x: Tensor) -> Tensor:
    return torch.linspace(-1, 2, x.numel(), dtype=x.dtype).view_as(x)


def _cut(value: Any, rows: range) -> Any:
    if isinstance(value, Mapping):
        return {key: _cut(x, rows) for key, x in value.items()}
    return value[rows.start : rows.stop]


def worst(wanted: Mapping[str, Tensor], got: Mapping[str, Tensor]) -> float:
    assert wanted.keys() == got.keys()
    return max(_relative(wanted[key], got[key]) for key in wanted)


def _relative(wanted: Tensor, got: Tensor) -> float:
    assert wanted.shape == got.shape
    return ((wanted - got).abs().max() / wanted.abs().max().clamp(min=1e-6)).item()


def _far(wanted: list[float], got: list[float]) -> float:
    return max(abs(a - b) / abs(a) for a, b in zip(wanted, got, strict=True))


# --- faults that the tests must find ---

project = SelfAttention.project


def _scaled_wrongly(*args: Any) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = project(*args)
    return q * 1.1, k, v


FAULTS: dict[str, tuple[Any, str, Any]] = {
    "wrong attention": (SelfAttention, "project", _scaled_wrongly),
    "a mean of means": (sys.modules[__name__], "Part", lambda loss, items: spreading.Part(loss, 1.0)),
    "no sums over axes": (gradients, "_sum", lambda parameters, axes: None),
}


@contextlib.contextmanager
def planted(fault: str | None) -> Iterator[None]:
    with mock.patch.object(*FAULTS[fault]) if fault else contextlib.nullcontext():
        yield


# --- moments of 8 bits ---


def narrow(layout: Layout, folder: str) -> tuple[list[float], float]:
    """Losses of five steps with moments of 8 bits, and how far those of the last three are when the run was saved and
    gone on with. Heads of which each tensor's parts are whole blocks of 256; torchao's step as it is written.
    """
    with torch.compiler.set_stance("force_eager"):
        spread, optimiser, inputs, losses = *_narrow(layout), []
        for step in range(STEPS):
            if step == 2:
                dcp.save(state_of(spread, optimiser, {}), checkpoint_id=folder, no_dist=layout.world == 1)
            losses.append(_narrow_step(spread, optimiser, inputs))
        spread, optimiser, inputs = _narrow(layout)
        _narrow_step(spread, optimiser, inputs)
        state = state_of(spread, optimiser, {})
        dcp.load(state, checkpoint_id=folder, no_dist=layout.world == 1)
        put_state(spread, optimiser, {}, state)
        again = [_narrow_step(spread, optimiser, inputs) for _ in range(2, STEPS)]
    return losses, _far(losses[2:], again)


def narrow_over_tensor() -> str:
    """What is said of a checkpoint of such moments, split."""
    with torch.compiler.set_stance("force_eager"):
        spread, optimiser, inputs = _narrow(Layout(tensor=2))
        _narrow_step(spread, optimiser, inputs)
        try:
            state_of(spread, optimiser, {})
        except ValueError as error:
            return str(error)
    return ""


def _narrow(layout: Layout) -> tuple[Spread, torch.optim.Optimizer, dict[str, Any]]:
    spread = Spread({"model": model_of("single", torch.float32, heads=8)}, layout)
    return spread, make_optimiser(spread.net.parameters(), "8bit", 1e-3), inputs_of("odd", ROWS, torch.float32)


def _narrow_step(spread: Spread, optimiser: torch.optim.Optimizer, inputs: dict[str, Any]) -> float:
    modules = {"model": spread.net["model"], "text": nn.Identity()}
    optimiser.zero_grad()
    loss, _ = spread.backward([_part(modules, inputs, rows) for rows in spread.share(ROWS)])
    optimiser.step()
    return loss


# --- what is refused ---


def refused(layout: Layout, second: bool = False) -> str:
    """What is said of a layout, of a model of two blocks, and with a second transformer beside it."""
    modules = {"model": model_of("single", torch.float32)}
    try:
        Spread(modules | ({"other": model_of("single", torch.float32)} if second else {}), layout)
    except ValueError as error:
        return str(error)
    return ""
