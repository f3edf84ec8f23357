"""What every rank does in the cache's tests: one denoising under a policy, alone or over a mesh.

The transformers are those of the parallel tests: weights with no zero gate or projection, 31 tokens, 5 heads.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
from torch import Tensor

from engine.cache import apply
from engine.cache.apply import Cache
from engine.cache.policies import Choice, Compute, Exact, FirstBlock, Guidance, Magnitude, Policy, Schedule, Taylor
from engine.memory.offload import Offload
from engine.parallel.apply import Parallel
from engine.parallel.mesh import MeshShape
from engine.parallel.shard import Shard
from engine.samplers import euler, guided, shifted_times
from tests.engine.parallel.cases import inputs_of, mesh_of, model_of

STEPS = 6
SCALE = 2.0
# Each has hits and misses on these models; the first block's threshold lies between what its steps change.
POLICIES: dict[str, Policy] = {
    "first-block": FirstBlock(0.98),
    "magnitude": Magnitude([1.0, 1.02, 0.99, 1.01, 0.98, 1.03], 0.04),
    "taylor": Taylor(2),
    "guidance": Guidance(2),
    "guidance-line": Guidance(3, linear=True),
    "schedule": Schedule(
        [
            Choice(Compute.ALL),
            Choice(Compute.ASKED, (1.1, 0.9, -1.0)),
            Choice(Compute.ALL),
            Choice(Compute.NONE, (1.4, -0.4)),
            Choice(Compute.ASKED, (0.9, 1.2, -1.0, -0.2, 0.1)),
            Choice(Compute.NONE, (1.2, -0.2)),
        ]
    ),
    # Of the first request one asked row changes more, in step 1; of the second none, but unasked ones in step 3.
    "guarded": Schedule(
        [
            Choice(Compute.ALL),
            Choice(Compute.ASKED, (1.1, 0.9, -1.0)),
            Choice(Compute.NONE, (1.4, -0.4)),
            Choice(Compute.ALL),
            Choice(Compute.NONE, (1.2, -0.2)),
            Choice(Compute.NONE, (1.2, -0.2)),
        ],
        limits=(1.13, 1.0),
    ),
    "exact": Exact(),
}


@dataclass
class Denoised:
    """The final latents of one request, and what became of its steps."""

    latents: list[Tensor]
    computed: list[str] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)


def denoised(
    policy: str | None,
    model: str = "single",
    length: str = "odd",
    *,
    shape: MeshShape | None = None,
    rows: int = 4,
    requests: int = 1,
    cache_first: bool = False,
    weights: str = "whole",
    fault: str | None = None,
    dtype: torch.dtype = torch.float64,
) -> list[Denoised]:
    """Several requests, one after another, each from other noise. `weights`: whole, sharded or offloaded."""
    dit = model_of(model, dtype)
    mesh = mesh_of(shape) if shape else None
    made = []
    with contextlib.ExitStack() as stack, torch.no_grad(), planted(fault):
        alone = mock.patch.object(dist, "is_initialized", lambda: False) if mesh is None else contextlib.nullcontext()
        stack.enter_context(alone)
        parts: list[Any] = [lambda: Parallel(dit, mesh)] if mesh else []
        if weights == "sharded":
            assert mesh is not None
            axis = max((mesh.sequence, mesh.cfg, mesh.data), key=lambda axis: axis.size)
            parts.append(lambda: Shard(dit, axis))
        if weights == "offloaded":
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            parts.append(lambda: Offload(dit, "cpu", folder))
        cache: Cache | None = None

        def cached() -> Cache:
            nonlocal cache
            assert policy is not None
            cache = Cache(dit, POLICIES[policy], mesh)
            return cache

        if policy:
            parts.insert(0 if cache_first else len(parts), cached)
        for part in parts:
            stack.enter_context(part())
        for number in range(requests):
            made.append(_request(dit, cache, length, rows, dtype, number))
    return made


def _request(dit: Any, cache: Cache | None, length: str, rows: int, dtype: torch.dtype, number: int) -> Denoised:
    inputs = inputs_of(length, rows, dtype)
    half, packed = rows // 2, length == "packed"
    asked = inputs["latents"][:half]
    flat = torch.cat([x.flatten() for x in asked]) * (1 + 0.5 * number)
    inputs["condition"] = (
        [*inputs["condition"][:half]] * 2 if packed else inputs["condition"][:half].repeat(2, 1, 1, 1, 1)
    )

    def formed(x: Tensor) -> list[Tensor]:
        return [row.view(like.shape) for row, like in zip(x.split([r.numel() for r in asked]), asked, strict=True)]

    def velocity(x: Tensor, time: Tensor) -> Tensor:
        both = [*formed(x), *formed(x)]
        given = inputs | {"latents": both if packed else torch.stack(both), "time_B": time.expand(rows).to(dtype)}
        made = dit(**given)
        halves = [torch.cat([row.flatten() for row in part]) for part in (made[:half], made[half:])]
        return guided(*halves, SCALE)

    times = shifted_times(STEPS, 3.0)
    running = cache.request(times[:-1].tolist()) if cache else contextlib.nullcontext()
    with running as report:
        *_, (x, _) = euler(velocity, flat, times.to(dtype))
    if report is None:
        return Denoised(formed(x))
    return Denoised(formed(x), [str(c) for c in report.computed], report.changes)


def apart(one: Sequence[Denoised], other: Sequence[Denoised]) -> float:
    """The greatest difference over the greatest value."""
    pairs = [(a, b) for x, y in zip(one, other, strict=True) for a, b in zip(x.latents, y.latents, strict=True)]
    return max(((a - b).abs().max() / a.abs().max()).item() for a, b in pairs)


def parity(policy: str | None, model: str, length: str, shape: MeshShape, **how: Any) -> tuple[float, list[list[str]]]:
    """How far the mesh is from one process under the same cache; the decisions of this rank in each request.

    Where guidance's halves are on several ranks, steps that ask for one half compute both: so does the one process.
    """
    rows, dtype = how.pop("rows", 4), how.pop("dtype", torch.float64)
    alike = contextlib.nullcontext() if shape.cfg * shape.data == 1 else mock.patch.object(Cache, "_half", _both)
    with alike:
        alone = denoised(policy, model, length, rows=rows, requests=2, dtype=dtype)
    spread = denoised(policy, model, length, shape=shape, rows=rows, requests=2, dtype=dtype, **how)
    return apart(alone, spread), [one.computed for one in spread]


def _both(cache: Cache, run: Any, forward: Any, args: Any, kwargs: Any) -> Any:
    run.choice = replace(run.choice, compute=Compute.ALL)
    run.made = forward(*args, **kwargs)
    return run.made


def refused_without_a_mesh() -> str:
    try:
        Cache(model_of("single", torch.float32), Taylor(2))
    except ValueError as error:
        return str(error)
    return ""


# --- faults that the tests must find ---


@contextlib.contextmanager
def planted(fault: str | None) -> Iterator[None]:
    with mock.patch.object(*FAULTS[fault]) if fault else contextlib.nullcontext():
        yield


def _this_rank_alone(now: Tensor, before: Tensor) -> float:
    """Each rank by its own tokens, and the last a little more careful: what a missing sum comes to."""
    change = float((now - before).abs().sum() / before.abs().sum())
    return change * (1.5 if dist.is_initialized() and dist.get_rank() else 0.5)


def _own_rows(cache: Cache, now: Tensor, before: Tensor) -> list[float]:
    return [float((x - y).norm() / x.norm()) for x, y in zip(now, before, strict=True)]


request = apply._Request
kept: list[Any] = []


def _never_forgets(times: Sequence[float]) -> Any:
    """The state of the request before is still there."""
    new = request(times)
    if kept:
        new.known, new.made = kept[0].known, kept[0].made
    kept[:] = [new]
    return new


FAULTS: dict[str | None, tuple[Any, str, Any]] = {
    "a rank decides alone": (apply, "relative_change", _this_rank_alone),
    "a rank guards alone": (Cache, "_row_changes", _own_rows),
    "stale state": (apply, "_Request", _never_forgets),
}
