"""Seconds a step of our loop beside a plain PyTorch loop and `accelerate`: same DiT, same batches, on the CPU, in bf16
where it has instructions for that.

All three do what a run needs: the rate's schedule, clipping, AdamW, averaged weights, the loss read. Ours writes its
logs beside. They take turns of a few steps, in changing order; a ratio is of one turn to the turns beside it, and the
median is told, of the clock and of this process' CPU time, which says more on a machine with other work. A step counts
from one call of the loss to the next. The goal is met at equal losses only, bit for bit.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from engine.device import CPU, mixed, narrow
from engine.models.presets import SINGLE_DIT
from engine.models.single_dit import SingleDiT
from trainer.loop import LoopConfig, Run, learning_rate, train

GOAL = 1.02
BATCH, GRID, TEXT, STEPS = 2, (16, 6, 6), 16, 4  # steps of one turn
CONFIG = LoopConfig(steps=1_000_000, batch=BATCH, learning_rate=1e-3, warmup=10, save_every=1_000_000)
Batch = tuple[Tensor, Tensor, Tensor, Tensor]  # latents, noise, time, text
Seconds = tuple[float, float]  # of the clock, and of this process
CLOCKS = ("step", "CPU time of a step")
MASK = torch.ones(BATCH, TEXT, dtype=torch.bool)


class Over(Exception):
    """The turns are over."""


class Ours:
    """`trainer.loop.train`, called once, as a run calls it: in a thread that waits between its turns within the loss,
    where a step ends and the next begins.
    """

    def __init__(self, folder: Path) -> None:
        self.model = model()
        self.run = Run(folder / "ours", {"dit": self.model}, CONFIG)
        self.losses: list[float] = []
        self.began, self.took = (0.0, 0.0), (0.0, 0.0)
        self.may_go, self.is_done = threading.Semaphore(0), threading.Semaphore(0)
        self.left, self.is_over = STEPS, False
        self.thread = threading.Thread(target=self._train, daemon=True)

    def turn(self) -> Seconds:
        if not self.thread.is_alive():
            self.thread.start()
        self.may_go.release()
        self.is_done.acquire()
        assert self.thread.is_alive(), "the loop ended within a turn: its error stands above"
        return self.took

    def end(self) -> None:
        self.is_over = True
        self.may_go.release()
        self.thread.join()

    def loss(self, step: int, _: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        if self.left == STEPS:  # the first step of a turn
            self._wait()
        elif self.left == 0:
            self.took = since(self.began, now())
            self.is_done.release()
            self.left = STEPS
            self._wait()
        self.left -= 1
        value = flow_loss(self.model, batch_of(step))
        self.losses.append(value.item())
        return value, {}

    def _wait(self) -> None:
        self.may_go.acquire()
        if self.is_over:
            raise Over
        self.began = now()

    def _train(self) -> None:
        try:
            with suppress(Over):
                train(self.run, self.loss)
        finally:
            self.is_done.release()


class Plain:
    """A loop as one writes it."""

    def __init__(self) -> None:
        self.model = model()
        self.optimiser = optimiser_of(self.model)
        self.average = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.step = 0
        self.losses: list[float] = []

    def turn(self) -> Seconds:
        began = now()
        for _ in range(STEPS):
            self.one()
        return since(began, now())

    def one(self) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(CONFIG, self.step)
        self.optimiser.zero_grad(set_to_none=True)
        value = self.loss()
        self.backward(value)
        self.clip()
        self.optimiser.step()
        self.losses.append(value.item())
        self.step += 1
        self.update()

    def loss(self) -> Tensor:
        with kernels(), mixed(CPU):
            return flow_loss(self.model, batch_of(self.step))

    def backward(self, value: Tensor) -> None:
        value.backward()

    def clip(self) -> None:
        nn.utils.clip_grad_norm_(self.model.parameters(), CONFIG.clip)

    @torch.no_grad()
    def update(self) -> None:
        decay = min(CONFIG.ema, (1 + self.step) / (10 + self.step))
        for name, value in self.model.state_dict().items():
            self.average[name].lerp_(value, 1 - decay)


class Accelerated(Plain):
    """The same through `accelerate`."""

    def __init__(self) -> None:
        super().__init__()
        self.accelerator = Accelerator(mixed_precision="bf16" if narrow(CPU) else "no", cpu=True)
        self.model, self.optimiser = self.accelerator.prepare(self.model, self.optimiser)

    def loss(self) -> Tensor:
        with kernels(), self.accelerator.autocast():
            return flow_loss(self.model, batch_of(self.step))

    def backward(self, value: Tensor) -> None:
        self.accelerator.backward(value)

    def clip(self) -> None:
        self.accelerator.clip_grad_norm_(self.model.parameters(), CONFIG.clip)


def rows(reduced: bool) -> list[dict[str, Any]]:
    """Median ratio of seconds a step over both peers, and the seconds."""
    torch.set_num_threads(1)  # a barrier that waits for a busy core says nothing of a loop
    with tempfile.TemporaryDirectory() as folder:
        loops: dict[str, Any] = {"ours": Ours(Path(folder)), "plain": Plain(), "accelerate": Accelerated()}
        for loop in loops.values():
            loop.turn()  # warms up
        seconds = measure({name: loop.turn for name, loop in loops.items()}, 4 if reduced else 24)
        loops["ours"].end()
    equal = {peer: loops["ours"].losses == loops[peer].losses for peer in ("plain", "accelerate")}
    return [_row(peer, clock, seconds, equal[peer]) for clock in range(2) for peer in equal]


def now() -> Seconds:
    return time.perf_counter(), time.process_time()


def since(before: Seconds, after: Seconds) -> Seconds:
    return after[0] - before[0], after[1] - before[1]


def measure(turns: dict[str, Callable[[], Seconds]], rounds: int) -> dict[str, list[Seconds]]:
    """Seconds of each loop's turns, in every order after another."""
    orders: Iterator[tuple[str, ...]] = itertools.cycle(itertools.permutations(turns))
    seconds: dict[str, list[Seconds]] = {name: [] for name in turns}
    for _, order in zip(range(rounds), orders, strict=False):
        for name in order:
            seconds[name].append(turns[name]())
    return seconds


def _row(peer: str, clock: int, seconds: dict[str, list[Seconds]], equal: bool) -> dict[str, Any]:
    ours, others = ([turn[clock] for turn in seconds[name]] for name in ("ours", peer))
    ratio = statistics.median(one / other for one, other in zip(ours, others, strict=True))
    return {
        "what": f"{CLOCKS[clock]}: our loop over {peer}, losses {'equal bit for bit' if equal else 'NOT equal'}",
        "ours": statistics.median(ours) / STEPS,
        "peer": statistics.median(others) / STEPS,
        "ratio": ratio,
        "unit": "s",
        "goal": f"median ratio <= {GOAL}",
        "met": equal and ratio <= GOAL,
    }


# --- the model and its batches ---


def model() -> SingleDiT:
    torch.manual_seed(0)
    return SingleDiT(**SINGLE_DIT["nano"])


def optimiser_of(module: nn.Module) -> torch.optim.Optimizer:
    decayed = [p for p in module.parameters() if p.ndim >= 2]
    groups = [
        {"params": decayed, "weight_decay": CONFIG.weight_decay},
        {"params": [p for p in module.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=CONFIG.learning_rate, betas=(0.9, 0.98))


def batch_of(step: int) -> Batch:
    """Made by the step's number, the same for every loop."""
    random = torch.Generator().manual_seed(step)
    latents, noise = (torch.randn(BATCH, 8, *GRID, generator=random) for _ in range(2))
    return latents, noise, torch.rand(BATCH, generator=random), torch.randn(BATCH, TEXT, 128, generator=random)


def flow_loss(dit: nn.Module, batch: Batch) -> Tensor:
    latents, noise, time_B, text = batch
    t = time_B[:, None, None, None, None]
    velocity = dit((1 - t) * latents + t * noise, time_B, text, MASK)
    return (velocity.float() - (noise - latents)).square().mean()


@contextmanager
def kernels() -> Iterator[None]:
    """The attention that our loop takes on CPU."""
    with sdpa_kernel(SDPBackend.MATH):
        yield
