"""A cache around a model, and its undoing: forward calls are replaced, no class and no weight is touched.

Rows: with guidance a batch is its asked rows, then as many unasked ones. Over a mesh, what a rank forecasts are its own
rows, and what it holds of the blocks are its own tokens; only decisions are agreed on. So `Cache` and `Parallel` may be
applied in either order, and hooks on blocks stay where they are: a skipped block's hooks run, its forward does not.

Guidance's halves on several ranks (`cfg`, or `data` that parts them) run at the same time: forecasting one would save
nothing. There a step that asks for one half computes both, in the same time and nearer to the exact result.

Requests of one batch share their steps: one that the guard of a schedule catches has the rest of them all computed.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from engine.attention.plain import accurate
from engine.cache.policies import ALL, Choice, Compute, Policy
from engine.parallel.mesh import Mesh
from engine.parallel.sequence import PLANS


@dataclass
class Report:
    """What became of each step of a request."""

    computed: list[Compute] = field(default_factory=list)  # FIRST and TRUNK: with the blocks' residual reused
    shares: list[float] = field(default_factory=list)  # of a whole forward, counted in blocks and rows
    changes: list[float] = field(default_factory=list)  # of the first block or of the velocity, where looked at
    caught: int | None = None  # asked rows of the batch beyond the limit of the guard; None: nothing was guarded

    @property
    def misses(self) -> int:
        """Steps that computed everything."""
        return Counter(self.computed)[Compute.ALL]

    @property
    def hits(self) -> int:
        """Steps that reused or forecast something."""
        return len(self.computed) - self.misses

    @property
    def work(self) -> float:
        """What was computed, as a share of computing everything."""
        return sum(self.shares) / len(self.shares) if self.shares else 1.0

    @property
    def summary(self) -> dict[str, float]:
        guarded = {} if self.caught is None else {"caught": self.caught}
        return {"hits": self.hits, "misses": self.misses, "work": round(self.work, 4), **guarded}

    def saved(self, forward: float) -> float:
        """FLOPs that were not computed, where `forward` is those of one whole call."""
        return sum(1 - share for share in self.shares) * forward


@dataclass
class _Request:
    """All that is remembered, and only within one request."""

    times: Sequence[float]
    report: Report = field(default_factory=Report)
    known: list[tuple[float, Tensor]] = field(default_factory=list)  # (time, velocity of all rows in one vector)
    made: Any = None  # what the model itself gave last: the form of a velocity
    choice: Choice = ALL
    reused: bool = False  # in this call, the residual of the blocks
    start: Tensor | None = None  # video tokens behind the first block
    first: Tensor | None = None  # what the first block added when all blocks last ran
    rest: Tensor | None = None  # what the others added then


class Cache:
    """A model under a policy, until `remove` or the end of a `with`. Call it within `request`, without gradients.

    The model gives a velocity of the form that its DiT has: a tensor of rows, or a list of them. `mesh` is that of
    `Parallel`, and all its ranks hold the same policy. `guided=False`: a batch has no unasked half. Policies that reach
    into the blocks need one of our transformers.
    """

    def __init__(self, model: nn.Module, policy: Policy, mesh: Mesh | None = None, *, guided: bool = True) -> None:
        if mesh is None and dist.is_initialized() and dist.get_world_size() > 1:
            raise ValueError(
                "Several ranks have to decide alike: give the cache the mesh that the model is spread over."
            )
        self.policy, self.mesh, self.guided = policy, mesh, guided
        self.halves = guided and (mesh is None or mesh.cfg.size * mesh.data.size == 1)  # both on this rank
        self.run: _Request | None = None
        self.undo: list[tuple[nn.Module, Any]] = []
        self.blocks: list[nn.Module] = []
        if policy.in_blocks:
            if type(model) not in PLANS:
                raise ValueError(f"The blocks of {type(model).__name__} are not known: take a policy on velocities.")
            plan = PLANS[type(model)]
            self.enter = tuple(plan.enter)  # the video's name, then those of the streams beside it
            self.blocks = [block for name in plan.blocks for block in model.get_submodule(name).children()]
            for index, block in enumerate(self.blocks):
                self._replace(block, functools.partial(self._block, index))
        self._replace(model, self._model)

    @contextmanager
    def request(self, times: Sequence[float]) -> Iterator[Report]:
        """One denoising: `times` are those of the calls of the model to come, one each."""
        self.policy.start(len(times))
        self.run = _Request(times)
        try:
            yield self.run.report
        finally:
            self.run = None

    def remove(self) -> None:
        """The model as it was."""
        while self.undo:
            module, before = self.undo.pop()
            if before is None:
                del module.forward
            else:
                module.forward = before

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.remove()

    def _replace(self, module: nn.Module, by: Any) -> None:
        self.undo.append((module, vars(module).get("forward")))
        before = module.forward

        @functools.wraps(before)  # the hooks of others read its signature
        def forward(*args: Any, **kwargs: Any) -> Any:
            return by(before, args, kwargs)

        module.forward = forward

    # --- the whole model ---

    def _model(self, forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if torch.is_grad_enabled():
            raise ValueError("A cache is for inference only: call the model under torch.no_grad().")
        run = self.run
        if run is None or len(run.report.computed) == len(run.times):
            raise ValueError("Call the model within `with cache.request(times)`, once for each of its times.")
        run.choice = self._choose(run)
        run.reused = run.choice.compute is Compute.TRUNK
        if run.choice.compute is Compute.NONE:
            made = _formed(mixed(run.choice.weights, [value for _, value in run.known]), run.made)
        elif run.choice.compute is Compute.ASKED:
            made = self._half(run, forward, args, kwargs)
        else:
            made = run.made = forward(*args, **kwargs)
        if run.choice.limit is not None:
            self._guard(run, made)
        self._remember(run, made)
        return made

    def _choose(self, run: _Request) -> Choice:
        step, known = len(run.report.computed), [time for time, _ in run.known]
        if not known or run.report.caught:
            return ALL
        choice = self.policy.choose(step, run.times[step], known)
        whole = not self.halves and choice.compute is Compute.ASKED
        return replace(choice, compute=Compute.ALL) if whole else choice

    def _half(self, run: _Request, forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The asked rows, and a forecast of the others from them."""
        rows = len(run.made)
        if rows % 2:
            raise ValueError(f"Guidance needs as many asked as unasked rows, not {rows} in all.")
        given = [_asked(value, rows) for value in args], {name: _asked(value, rows) for name, value in kwargs.items()}
        asked = flat_of(forward(*given[0], **given[1]))
        halves = [half for _, value in run.known for half in reversed(value.chunk(2))]
        return _formed(torch.cat([asked, mixed(run.choice.weights, [asked, *halves])]), run.made)

    def _guard(self, run: _Request, made: Any) -> None:
        """Whether this request, or any of the batch, strays so that the rest is to be computed."""
        limit, changes = run.choice.limit, self._row_changes(made, _formed(run.known[0][1], made))
        assert limit is not None
        run.report.changes.append(max(changes))
        run.report.caught = sum(not change <= limit for change in changes)  # what is no number is caught too

    def _row_changes(self, now: Any, before: Any) -> list[float]:
        """|now - before| over |now| of every asked row of all ranks: the same numbers on each of them.

        `BatchSharding` has given the rows to the ranks of cfg x data in their order, and asked ones come first.
        """
        mesh = self.mesh
        place, places, world = 0, 1, 1
        if mesh is not None:
            place, places = mesh.cfg.rank * mesh.data.size + mesh.data.rank, mesh.cfg.size * mesh.data.size
            world = mesh.shape.world
        own = torch.zeros(places, device=now[0].device)
        own[place] = len(now)
        copies = world // places  # ranks that hold the same rows
        sizes = [round(size / copies) for size in summed(*own)]
        rows = own.new_zeros(sum(sizes))
        rows[sum(sizes[:place]) :][: len(now)] = torch.stack(
            [(x - y).float().norm() / x.float().norm() for x, y in zip(now, before, strict=True)]
        )
        changes = [change / copies for change in summed(*rows)]
        return changes[: len(changes) // 2] if self.guided else changes

    def _remember(self, run: _Request, made: Any) -> None:
        compute, time = run.choice.compute, run.times[len(run.report.computed)]
        if compute is Compute.FIRST and not run.reused:
            compute = Compute.ALL
        shares = {Compute.ALL: 1.0, Compute.ASKED: 0.5, Compute.FIRST: 1 / max(len(self.blocks), 1)}
        run.report.computed.append(compute)
        run.report.shares.append(shares.get(compute, 0.0))
        if compute is not Compute.NONE:
            run.known = [(time, flat_of(made)), *run.known[:1]]

    # --- its blocks ---

    def _block(self, index: int, forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        run, last = self.run, index == len(self.blocks) - 1
        assert run is not None, "blocks run within a request"
        given = inspect.signature(forward).bind(*args, **kwargs).arguments
        made = self._entered(given) if run.reused else _streams(forward(*args, **kwargs))
        if index == 0:
            self._after_first(run, given[self.enter[0]], made[0])
        if last and run.reused:
            made = (held(run.start) + held(run.rest), *made[1:])
        elif last:
            run.rest = made[0] - held(run.start)
        return made if len(made) > 1 else made[0]

    def _after_first(self, run: _Request, before: Tensor, after: Tensor) -> None:
        if run.reused:
            run.start = before + held(run.first)
            return
        added, run.start = after - before, after
        if run.choice.compute is Compute.FIRST:
            change = relative_change(added, held(run.first))
            run.report.changes.append(change)
            run.reused = change < run.choice.threshold
        if not run.reused:
            run.first = added

    def _entered(self, given: Mapping[str, Any]) -> tuple[Tensor, ...]:
        return tuple(given[name] for name in self.enter)


def relative_change(now: Tensor, before: Tensor) -> float:
    """|now - before| over |before|, over the tokens and rows of all ranks: one number, so one decision."""
    wide = accurate(now.dtype)  # a sum over all tokens is beyond what float16 holds
    changed, size = summed((now - before).abs().sum(dtype=wide), before.abs().sum(dtype=wide))
    return changed / size if size else math.inf  # a first block that adds nothing says nothing of the others


def summed(*parts: Tensor) -> list[float]:
    """Each number summed over all ranks, in one message; a mesh always covers its process group."""
    sums = torch.stack(parts)
    if dist.is_initialized() and dist.get_world_size() > 1:
        sums = sums.double()  # alone nothing is summed, and Apple's device has no float64
        dist.all_reduce(sums, op=dist.ReduceOp.SUM)
    return sums.tolist()


def held(x: Tensor | None) -> Tensor:
    """What an earlier block or step has left."""
    assert x is not None, "the first step runs all blocks"
    return x


def mixed(weights: Sequence[float], values: Sequence[Tensor]) -> Tensor:
    """The weighted sum; weights of what is not known fall away."""
    parts = [weight * value for weight, value in zip(weights, values, strict=False)]
    return functools.reduce(torch.add, parts)


def _streams(made: Any) -> tuple[Tensor, ...]:
    return (made,) if isinstance(made, Tensor) else made


def _asked(value: Any, rows: int) -> Any:
    """The first half of whatever has one part a row."""
    if isinstance(value, Mapping):
        return {name: _asked(x, rows) for name, x in value.items()}
    by_row = (isinstance(value, Tensor) and value.dim() > 0) or isinstance(value, list | tuple)
    return value[: rows // 2] if by_row and len(value) == rows else value


def flat_of(made: Any) -> Tensor:
    """All rows of a velocity behind each other, as one vector."""
    return made.flatten() if isinstance(made, Tensor) else torch.cat([row.flatten() for row in made])


def _formed(flat: Tensor, like: Any) -> Any:
    if isinstance(like, Tensor):
        return flat.view(like.shape)
    return [row.view(x.shape) for row, x in zip(flat.split([x.numel() for x in like]), like, strict=True)]
