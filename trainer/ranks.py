"""The processes that train together: alone, or those that torchrun started."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from engine.device import CPU, chosen

CONNECTED = timedelta(minutes=10)  # or given up, and started again by torchrun; in training the watch is quicker
MADE = timedelta(hours=6)  # what one rank makes while the others wait


class Ranks:
    """This process among those that train, and what it asks the others beside training. Alone it sends nothing."""

    def __init__(self) -> None:
        together = dist.is_initialized()
        self.rank = dist.get_rank() if together else 0
        self.world = dist.get_world_size() if together else 1

    def any(self, flag: bool) -> bool:
        """Whether it holds on any rank."""
        if self.world == 1:
            return flag
        found = torch.tensor([flag], dtype=torch.int32)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return bool(found.item())

    def each(self, value: float) -> list[float]:
        """The value of every rank."""
        if self.world == 1:
            return [value]
        found = [torch.zeros(1, dtype=torch.float64) for _ in range(self.world)]
        dist.all_gather(found, torch.tensor([value], dtype=torch.float64))
        return [one.item() for one in found]


def own_device(asked: str) -> torch.device:
    """What this process computes on: by `asked` (auto, or a device as torch names it), and under torchrun the one of
    this rank's number on its machine.

    ValueError where there is no such device, or fewer of them than ranks on this machine.
    """
    if asked == CPU.type or not dist.is_torchelastic_launched():
        return chosen(asked)
    number, count = dist.get_node_local_rank(), torch.accelerator.device_count()
    if number < count:
        torch.accelerator.set_device_index(number)  # first of all: no rank is to open the others' devices
    device = chosen(asked)
    if device.type == CPU.type:
        return device
    if device.index is not None:
        raise ValueError(f"Each rank has a device of its own: ask for {device.type}, not for {device}.")
    if number >= count:
        raise ValueError(
            f"A machine has {count} of {device.type}, and more ranks: start torchrun with --nproc-per-node={count}, "
            f"or train with --device cpu."
        )
    return torch.device(device.type, number)


@contextmanager
def joined(device: torch.device = CPU) -> Iterator[Ranks]:
    """The ranks that torchrun started, each on its device, or this process alone."""
    if not dist.is_torchelastic_launched():
        yield Ranks()
        return
    # torchrun keeps one store over restarts, with the addresses of ranks that are gone: gloo would wait for them.
    store, rank, world = next(dist.rendezvous("env://"))
    store = dist.PrefixStore(f"restart-{restarts()}", store)
    dist.init_process_group(backends_of(device), store=store, rank=rank, world_size=world, timeout=CONNECTED)
    try:
        yield Ranks()
    finally:
        dist.destroy_process_group()


def backends_of(device: torch.device) -> str:
    """Who sends what lies on the device; what ranks ask each other beside training, and checkpoints, lie on the CPU."""
    ours = dist.get_default_backend_for_device(CPU)
    if device.type == CPU.type:
        return ours
    return f"{CPU.type}:{ours},{device.type}:{dist.get_default_backend_for_device(device)}"


def restarts() -> int:
    """How often torchrun has started these ranks again."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))  # torchrun's only word on it


@contextmanager
def in_turn() -> Iterator[None]:
    """Rank 0 first, then the others, who find made what it made."""
    ranks = Ranks()
    group = dist.new_group(backend="gloo", timeout=MADE) if ranks.world > 1 else None
    if ranks.rank > 0:
        dist.barrier(group)
    yield
    if group is not None and ranks.rank == 0:
        dist.barrier(group)


def by_first(make: Callable[[], bool]) -> bool:
    """Have rank 0 alone make something for all; whether it is whole, said alike to every rank.

    Deadlines are each rank's own: another one would go on with what rank 0 has paused.
    """
    ranks, is_whole = Ranks(), True
    with in_turn():
        if ranks.rank == 0:
            is_whole = make()
    return not ranks.any(not is_whole)
