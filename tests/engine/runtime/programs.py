"""What ranks run in the tests, and rows to denoise."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist

from engine.cache import apply
from engine.cache.apply import Report
from engine.conditions import CONDITION_CHANNELS, LATENT_TIMES
from engine.denoise import Row
from engine.parallel.mesh import MeshShape
from engine.runtime.denoise import DenoisingRank
from engine.runtime.group import RankGroup
from engine.runtime.rank import Place


def rows_of(count: int, grid: tuple[int, int] = (10, 6)) -> list[Row]:
    """Rows that differ in everything that rows of one batch may differ in."""
    generator = torch.Generator().manual_seed(3)
    prompts = ["slowly around the bottle", "pan", "", "the light sweeps over the glass, left to right, then rests"]
    controls = [("auto", 0.6, "auto", 0.6), ("pan-left", 0.4, "float", 0.9), ("dolly-in", 1.0, "still", 0.5)]
    return [
        Row(
            prompt=prompts[i % 4],
            controls=controls[i % 3],
            condition_CTHW=torch.randn(CONDITION_CHANNELS, LATENT_TIMES, *grid, generator=generator),
            seed=i,
        )
        for i in range(count)
    ]


class Misbehaving:
    """A program for a group of two whose orders go wrong."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def who(self) -> Iterator[int]:
        yield os.getpid()

    def fails_alone(self) -> Iterator[None]:
        if self.place.rank == 1:
            raise ValueError("The photo is upside down.")
        dist.all_reduce(torch.ones(1))
        yield None

    def hangs(self, after: int) -> Iterator[None]:
        """Rank 1 leaves the steps that it should take with the others and sleeps."""
        for step in range(after + 1):
            self.place.checkpoint()
            if self.place.rank == 1 and step == after:
                with self.place.watching("a sleep"):
                    time.sleep(600)
            dist.all_reduce(torch.ones(1), group=self.place.mesh.cfg.group)
        yield None

    def works_for_ever(self) -> Iterator[None]:
        yield None
        while True:
            self.place.checkpoint()
            dist.all_reduce(torch.ones(1))


class Broken:
    """A program that cannot be loaded on one rank."""

    def __init__(self, place: Place) -> None:
        if place.rank == 1:
            raise ValueError("The weights of rank 1 are missing.")


class Mortal:
    """A program that dies on one rank while it is loaded, so many times."""

    def __init__(self, folder: Path, times: int, place: Place) -> None:
        died = len(list(folder.iterdir()))
        dist.barrier()
        if place.rank == 1 and died < times:
            (folder / str(died)).touch()
            os._exit(9)


def own_a_group(pipe: object) -> None:
    """A process that has a group whose ranks are at work; it tells their ids and then waits to be killed."""
    group = RankGroup(Misbehaving, MeshShape(cfg=2))
    next(orders := group.run("works_for_ever"))
    assert group.ranks is not None
    pipe.send([process.pid for process in group.ranks.processes])  # type: ignore[attr-defined]
    time.sleep(600)
    orders.close()


class Deciding(DenoisingRank):
    """A rank that tells what each rank's cache did in the last request."""

    def decided(self) -> Iterator[list[Report]]:
        reports: list[Report | None] = [None] * dist.get_world_size()
        dist.all_gather_object(reports, self.denoiser.cache.report)
        yield [report for report in reports if report is not None]


class DecidingAlone(Deciding):
    """The control: each rank looks at its own tokens only."""

    def denoise(self, rows: Sequence[Row], steps: int) -> Iterator[Any]:
        with mock.patch.object(apply, "summed", lambda *parts: [float(part) for part in parts]):
            yield from super().denoise(rows, steps)
