"""How long a denoising step takes on a machine: predicted from its data sheet and published times. Torch-free.

A device works at a share of its data sheet's peak; that share is all that is fitted, from published times on *one*
device. How work and traffic divide over several devices comes from the algorithms (`costs`), link speeds from data
sheets: times on several devices are predictions. Ulysses and tensor exchanges wait; a ring's are hidden behind its
attention as far as that lasts. The VAE decodes on one device, at the same share of the peak. What short work is full
of, launches of kernels and the encoding of the text, is not in it: there many devices come out too fast.

`make bench NAME=engine` prints the predictions beside the published times.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from engine.axes import MeshShape
from engine.costs import Config, decode_flops, forward_flops, sent_bytes, token_count

PUBLISHED = Path(__file__).parent / "published.json"
WIDTH = 2  # bytes of a bf16 number


@dataclass(frozen=True)
class Machine:
    """Devices of one kind. `share` is how much of `tflops` (dense bf16) a transformer gets; `link` is one way. A
    number that is computed with has `width` bytes.
    """

    name: str
    devices: int
    memory_gb: float
    tflops: float
    link_gb_s: float
    share: float
    width: int = WIDTH

    @property
    def flops_per_second(self) -> float:
        return self.tflops * 1e12 * self.share


@dataclass(frozen=True)
class Work:
    """What one video needs: the transformer over `tokens`, as often as `steps`, and the decoding of its latents."""

    config: Config
    tokens: int
    text_tokens: int
    steps: int
    guidance: bool
    decode: int = 0  # operations of the VAE
    videos: int = 1

    @property
    def rows(self) -> int:
        return self.videos * (2 if self.guidance else 1)


@dataclass(frozen=True)
class Times:
    """Seconds for all videos at once: one step, of which exchanges that nothing hides; decoding; the whole."""

    step: float
    waiting: float
    decode: float
    total: float


def predict(work: Work, layout: MeshShape, machine: Machine) -> Times:
    """Times on this layout, all weights resident."""
    rows = math.ceil(work.rows / (layout.data * layout.cfg))
    done = forward_flops(work.config, work.tokens, work.text_tokens, rows, controls=False)
    parts = layout.sequence * layout.tensor * machine.flops_per_second
    attention, rest = done.attention / parts, (done.linear + done.modulation) / parts
    sent = sent_bytes(work.config, layout, work.tokens, work.text_tokens, work.rows, width=machine.width)
    ring = sent.pop("ring") / (machine.link_gb_s * 1e9)
    hidden = min(ring, attention * (layout.ring - 1) / layout.ring)
    waiting = sum(sent.values()) / (machine.link_gb_s * 1e9) + ring - hidden
    step = attention + rest + waiting
    decode = work.decode * math.ceil(work.videos / layout.data) / machine.flops_per_second
    return Times(step, waiting, decode, step * work.steps + decode)


def layouts_of(devices: int, work: Work, *, tensor: bool = True) -> Iterator[MeshShape]:
    """Every layout of exactly so many devices that gives each of them an equal number of heads, and a token or more.

    There may be none: see `devices_with_work`.
    """
    heads: int = work.config["heads"]
    videos, shares = (_divisors(n, most) for n, most in ((devices, min(devices, work.videos)), (heads, heads)))
    halves, splits = (1, 2) if work.guidance else (1,), shares if tensor else [1]
    for data, cfg, ulysses, split in itertools.product(videos, halves, shares, splits):
        ring, rest = divmod(devices, data * cfg * ulysses * split)
        if not rest and not heads % (ulysses * split) and ring * ulysses <= work.tokens:
            yield MeshShape(data, cfg, ring, ulysses, split)


def devices_with_work(devices: int, work: Work, *, tensor: bool = True) -> int:
    """The most of so many devices that a layout gives work to: all of them, where there are tokens enough."""
    split = work.config["heads"] if tensor else 1
    most = min(devices, work.rows * work.tokens * split)
    return next(n for n in range(most, 0, -1) if any(True for _ in layouts_of(n, work, tensor=tensor)))


def _divisors(number: int, most: int) -> list[int]:
    return [n for n in range(1, most + 1) if number % n == 0]


# --- machines and what is published of them ---


@cache
def published() -> dict[str, Any]:
    """`published.json`: machines by their data sheets, models, and tables with their sources."""
    return json.loads(PUBLISHED.read_text())


def published_work(table: Mapping[str, Any], steps: int) -> Work:
    """What the videos of a published table need."""
    model, (width, height) = published()["models"][table["model"]], table["size"]
    config, (time, tall, wide) = model["config"], model["stride"]
    grid = 1 + (table["frames"] - 1) // time, height // tall, width // wide
    decode = decode_flops(model["vae"], *grid) * model["overlap"] if model["vae"] else 0
    return Work(config, token_count(config, *grid), model["text_tokens"], steps, model["guidance"], round(decode))


@cache
def fitted_shares(without: str | None = None) -> Mapping[str, float]:
    """Of each machine in the tables that give one device's seconds, the share of its peak that explains them.

    The geometric mean over its one-device rows; no other row is looked at. `without`: as if this machine were in none.
    """
    found: dict[str, list[float]] = {}
    for table in published()["tables"]:
        for name, steps, seconds, layout in table["rows"]:
            if table["fitted"] and not layout and name != without:
                perfect = predict(published_work(table, steps), MeshShape(), _at_peak(name)).total
                found.setdefault(name, []).append(perfect / seconds)
    return {name: statistics.geometric_mean(shares) for name, shares in found.items()}


def machine_of(name: str, devices: int, *, without: str | None = None) -> Machine:
    """A machine of the data sheets; one that is in no fitted table works at the mean share of those that are.

    ValueError for an unknown name. `without`: of `fitted_shares`.
    """
    if name not in published()["machines"]:
        raise ValueError(f"There is no machine {name!r}. There are: {', '.join(published()['machines'])}.")
    shares = fitted_shares(without)
    return replace(_at_peak(name), devices=devices, share=shares.get(name, mean_share(without)))


def this_machine(ranks: int) -> Machine:
    """This machine's processor and memory, shared by so many ranks, to choose between meshes: no speed is measured.

    ValueError for no rank at all.
    """
    if ranks < 1:
        raise ValueError(f"A mesh has at least one rank, not {ranks}.")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return Machine("this machine", ranks, memory / ranks, tflops=0.05, link_gb_s=1.0, share=1.0, width=4)


def mean_share(without: str | None = None) -> float:
    """What a device of which nothing is published is taken to reach of its peak."""
    return statistics.geometric_mean(fitted_shares(without).values())


def _at_peak(name: str) -> Machine:
    sheet = published()["machines"][name]
    return Machine(name, 1, sheet["memory_gb"], sheet["tflops"], sheet["link_gb_s"], 1.0)
