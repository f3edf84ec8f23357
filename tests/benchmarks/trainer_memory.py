"""Peak bytes of one device in a training step of the large transformers, each memory option on and off.

`make bench NAME=trainer_memory`, or `python tests/benchmarks/trainer_memory.py --only full offload --blocks 4`.

The real modules, optimiser and average make one step with fake tensors, which have shapes and no data: no device and no
memory is needed, and nothing is estimated by formula. Counted is what `trainer.parallel.peak` counts: tensors, but not
a kernel's own workspace, fragmentation, or NCCL's buffers. A mesh is one rank of a world whose messages go nowhere.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # run as a script, from anywhere
sys.path = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).parent]

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: E402
from torch.testing._internal.distributed.fake_pg import FakeStore  # noqa: E402

from engine.models.multimodal_dit import MultimodalDiT  # noqa: E402
from engine.models.presets import MULTIMODAL_DIT, SINGLE_DIT  # noqa: E402
from engine.models.single_dit import SingleDiT  # noqa: E402
from tests.benchmarks.i2v_parts.report import machine, versions  # noqa: E402
from trainer.ema import Average  # noqa: E402
from trainer.parallel import memory as keeping  # noqa: E402
from trainer.parallel import spread as spreading  # noqa: E402
from trainer.parallel.layout import Layout, make_groups  # noqa: E402
from trainer.parallel.optimiser import Kind, make_optimiser  # noqa: E402
from trainer.parallel.peak import Peak  # noqa: E402
from trainer.parallel.policy import Memory  # noqa: E402
from trainer.parallel.spread import Part, Spread  # noqa: E402

GIB = 2**30
LATENTS = (8, 64, 64)  # 8,192 tokens
WORDS = 512
KEEP, ALONE = Memory(), Layout()
COLUMNS = ("forward, backward", "optimiser", "between steps", "of it weights", "moments", "average")


@dataclass(frozen=True)
class Case:
    """What is measured, in words, and how it is made."""

    what: str
    model: str = "2b"
    memory: Memory = KEEP
    optimiser: Kind = "adamw"
    layout: Layout = ALONE


CASES = {
    "none": Case("everything kept, AdamW"),
    "selective": Case("selective recomputation", memory=Memory("selective")),
    "full": Case("full recomputation", memory=Memory("full")),
    "offload": Case("everything kept, in host memory", memory=Memory(offload=True)),
    "both": Case("full recomputation, blocks' inputs in host memory", memory=Memory("full", offload=True)),
    "fused": Case("full recomputation, fused AdamW", memory=Memory("full"), optimiser="fused"),
    "8bit": Case("full recomputation, 8-bit moments", memory=Memory("full"), optimiser="8bit"),
    "fsdp8": Case("full recomputation, FSDP over 8", memory=Memory("full"), layout=Layout(shard=8)),
    "ulysses8": Case("everything kept, Ulysses over 8", layout=Layout(ulysses=8)),
    "13b": Case("13.4B: full, FSDP over 64", model="13b", memory=Memory("full"), layout=Layout(shard=64)),
    "13b-pipe": Case(
        "13.4B: full, pipe 4 x FSDP 16, 4 microbatches",
        model="13b",
        memory=Memory("full"),
        layout=Layout(shard=16, pipe=4),
    ),
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    options.add_argument("--blocks", type=int, help="another depth: a quick look (2B: 26, 13.4B: 20 + 46)")
    options.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "trainer_memory.json")
    chosen = options.parse_args()
    table, rows = Table("GiB", *COLUMNS, title="one device, 8,192 tokens, fp32 weights, bf16 autocast"), []
    for name in chosen.only:
        figures = measure(CASES[name], chosen.blocks)
        table.add_row(CASES[name].what, *(f"{figures[column]:.2f}" for column in COLUMNS))
        rows += [_row(CASES[name].what, column, figures[column]) for column in COLUMNS]
    Console(width=130).print(table)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(rows, indent=1))


def measure(case: Case, blocks: int | None = None) -> dict[str, float]:
    """GiB at most in the passes and in the optimiser's step, and between two steps, of the second step."""
    if case.layout.world > 1:
        dist.init_process_group("fake", rank=0, world_size=case.layout.world, store=FakeStore())
    groups, peak = make_groups(case.layout), Peak()
    made = mock.patch.object(spreading, "make_groups", lambda *_: groups)  # real groups, before all else is fake
    with made, unread(), _host(peak), FakeTensorMode(allow_non_fake_inputs=True), peak:
        figures = _steps(case, peak, blocks)
    if case.layout.world > 1:
        dist.destroy_process_group()
    return {name: size / GIB for name, size in figures.items()}


def _steps(case: Case, peak: Peak, blocks: int | None) -> dict[str, int]:
    torch.manual_seed(0)
    model = _model(case.model, blocks)
    spread = Spread({"dit": model}, case.layout, case.memory)
    weights = peak.now
    optimiser, before = make_optimiser(spread.net.parameters(), case.optimiser, 1e-4), peak.now
    average = Average(spread.net, 0.999)
    averaged = peak.now - before
    loss = _loss(model)
    figures = {"of it weights": weights, "average": averaged}
    for step in (1, 2):
        optimiser.zero_grad()
        peak.forget()
        spread.backward([Part(loss)] * (4 if case.layout.pipe > 1 else 1))
        figures["forward, backward"] = peak.most
        peak.forget()
        spread.clip(1.0)
        before = peak.now
        with torch.compiler.set_stance("force_eager"):  # torchao compiles its step, which fake tensors cannot
            optimiser.step()
        if step == 1:
            figures["moments"] = peak.now - before
        average.update(step)
        figures["optimiser"] = peak.most
    optimiser.zero_grad()
    figures["between steps"] = peak.now
    return figures


def _model(name: str, blocks: int | None) -> nn.Module:
    if name == "2b":
        return SingleDiT(**SINGLE_DIT["2b"] | ({"depth": blocks} if blocks else {}))
    half = {"dual_depth": blocks // 2, "single_depth": blocks - blocks // 2} if blocks else {}
    return MultimodalDiT(**MULTIMODAL_DIT["13b"] | half)


def _loss(model: nn.Module) -> Callable[[], tuple[Tensor, dict[str, float]]]:
    latents, condition = torch.randn(1, 16, *LATENTS), torch.randn(1, 20, *LATENTS)
    text, mask = torch.randn(1, WORDS, 4096), torch.ones(1, WORDS, dtype=torch.bool)

    def loss() -> tuple[Tensor, dict[str, float]]:
        with torch.autocast("cpu", torch.bfloat16):
            velocity = model(latents, torch.rand(1), text, mask, condition)
        return (velocity.float() - latents).square().mean(), {}

    return loss


@contextlib.contextmanager
def unread() -> Iterator[None]:
    """Numbers that are read from a fake tensor: it has none, and they decide nothing here."""
    one = mock.patch.object(Tensor, "item", lambda x: 1.0)
    with one, mock.patch.object(Tensor, "tolist", lambda x: [1.0] * x.numel()):
        yield


@contextlib.contextmanager
def _host(peak: Peak) -> Iterator[None]:
    """What is offloaded is not counted while it is away, and is again when it comes back."""
    away, back = keeping.to_host, keeping.to_device

    def to_host(x: Tensor) -> Tensor:
        with mock.patch.object(peak, "elsewhere", lambda _: True):
            return away(x)

    def to_device(host: Tensor, device: torch.device) -> Tensor:
        return back(host, device).clone()

    with mock.patch.object(keeping, "to_host", to_host), mock.patch.object(keeping, "to_device", to_device):
        yield


def _row(what: str, column: str, size: float) -> dict[str, Any]:
    shared = {"peer": None, "ratio": None, "unit": "GiB", "goal": None, "met": None}
    return {
        "what": f"{what}: {column}",
        "ours": round(size, 3),
        **shared,
        "machine": machine(),
        "versions": versions(()),
    }


if __name__ == "__main__":
    main()
