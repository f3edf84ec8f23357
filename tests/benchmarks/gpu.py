"""The engine on one CUDA device: `make bench-gpu`, or `python tests/benchmarks/gpu.py --minutes 9 --only large`.

Parts: `networks`, those of the shipped bundle beside the CPU, same weights, same inputs, in turns (`Engine.generate`
itself runs on the CPU: these are what it spends its time in); `parity`, gloo ranks that share the device; `training`,
steps of the 2B at 8k and 32k tokens; `large`, the presets with random weights. Prints tables and writes
`build/bench/gpu.json`. What has not begun when the minutes are over is told as such. Where there is no CUDA device it
says so and ends with an error, since nothing was measured.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # run as a script, from anywhere

import torch  # noqa: E402

from engine.bundles import read_bundle  # noqa: E402
from engine.conditions import GRIDS, KEYS, control_tensors, dense_condition  # noqa: E402
from engine.generate import SHIPPED, Engine  # noqa: E402
from engine.mask import SIDE  # noqa: E402
from engine.media import closeup  # noqa: E402
from tests.benchmarks.gpu_parts import large, parity, training  # noqa: E402

PARTS = ("networks", "parity", "training", "large")
ROUNDS = 20
RESERVE = 60.0  # seconds that what has begun may still take
CLOSE = 0.02  # the largest difference between the devices, as a share of the largest value
NONE = "There is no CUDA device here (torch.cuda.is_available() says no): nothing was measured."


@dataclass(frozen=True)
class Measured:
    """Median milliseconds of one network on both devices, and how far their results are apart."""

    what: str
    cpu_ms: float
    device_ms: float
    apart: float


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bundle", type=Path, default=SHIPPED)
    options.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "gpu.json")
    options.add_argument("--minutes", type=float, default=9.0, help="after so many nothing new is begun")
    options.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    chosen = options.parse_args()
    if not torch.cuda.is_available():
        sys.exit(NONE)
    until = time.monotonic() + 60 * chosen.minutes - RESERVE
    rows = measure_parts(chosen.only, chosen.bundle, torch.device("cuda"), lambda: until - time.monotonic())
    write(rows, torch.cuda.get_device_name(), chosen.out)


def measure_parts(
    parts: Sequence[str], bundle: Path, device: torch.device, left: Callable[[], float]
) -> list[dict[str, Any]]:
    """The rows of these parts, printed as they come; the large models last, for they take what time is left."""
    rows: list[dict[str, Any]] = []
    if "networks" in parts:
        found = measure(Engine(read_bundle(bundle)), device)
        print_networks(found)
        rows += [as_row(row) for row in found]
    if "parity" in parts:
        some = parity.rows(device.type)
        print("\n".join(f"{row['what']:60} {row['ours']:9.1e} {row['goal']}" for row in some))
        rows += some
    if "training" in parts:
        trained = list(training.rows(left, device, torch.cuda.get_device_name()))
        training.print_rows(trained)
        rows += trained
    if "large" in parts:
        made = large.as_rows(list(large.measure(left, device)), torch.cuda.get_device_name())
        large.print_rows(made)
        rows += made
    return rows


@torch.inference_mode()
def measure(engine: Engine, device: torch.device, rounds: int = ROUNDS) -> list[Measured]:
    """Every network of one generation, each measured on the CPU and on `device` in turns."""
    here, there = works(engine, torch.device("cpu")), works(engine, device)
    return [compare(what, here[what], there[what], device, rounds) for what in here]


def works(engine: Engine, device: torch.device) -> dict[str, Callable[[], torch.Tensor]]:
    """What one generation computes, on `device`: the inputs are the same on every device."""
    networks = engine.vae, engine.relief, engine.roundness, engine.dit, engine.text, engine.masker.model
    vae, relief, roundness, dit, text, masker = (copy.deepcopy(network).to(device) for network in networks)
    random = torch.Generator().manual_seed(1)
    height, width = GRIDS["9:16"]

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=random).to(device)

    picture, photo = noise(1, 4, height, width).clamp(-1, 1), noise(2, 3, SIDE, SIDE).clamp(-1, 1)
    product = noise(1, 4, closeup.SIDE, closeup.SIDE).clamp(-1, 1)
    latents = noise(1, dit.config.in_channels, (KEYS - 1) // 4, height // 8, width // 8)
    ids, strengths = (x.to(device) for x in control_tensors([("orbit-left", 1, "float", 1), ("auto", 0, "auto", 0)]))
    tokens, token_mask = (x.to(device) for x in engine.tokenizer(["slowly around the bottle", ""]))
    reference = vae.reference(picture)
    condition = dense_condition(picture, reference, relief(picture)).expand(2, -1, -1, -1, -1)
    said, moment = text(tokens, token_mask), torch.full((2,), 0.5, device=device)
    both = latents.expand(2, -1, -1, -1, -1)
    return {
        "photo's features (VAE)": lambda: vae.reference(picture).eighth,
        "photo's relief": lambda: relief(picture),
        "product's roundness": lambda: roundness(product),
        "prompt (text encoder)": lambda: text(tokens, token_mask),
        "one denoising step (DiT, guided)": lambda: dit(both, moment, said, token_mask, condition, ids, strengths),
        "motion fields (VAE decoder)": lambda: vae.decode(vae.unscale_latents(latents), reference),
        "product mask": lambda: masker(photo),
    }


def compare(
    what: str, here: Callable[[], torch.Tensor], there: Callable[[], torch.Tensor], device: torch.device, rounds: int
) -> Measured:
    expected, found = here(), there().cpu()  # warms both up
    apart = float((expected - found).abs().max() / expected.abs().max())
    pairs = [(timed(here, torch.device("cpu")), timed(there, device)) for _ in range(rounds)]
    cpu_ms, device_ms = (statistics.median(times) * 1000 for times in zip(*pairs, strict=True))
    return Measured(what, cpu_ms, device_ms, apart)


def timed(work: Callable[[], torch.Tensor], device: torch.device) -> float:
    wait = torch.cuda.synchronize if device.type == "cuda" else (lambda: None)
    wait()
    began = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - began


def print_networks(found: list[Measured]) -> None:
    print(f"{'network':36} {'CPU ms':>9} {'CUDA ms':>9} {'ratio':>7} {'apart':>9}")
    for row in found:
        ratio = row.cpu_ms / row.device_ms
        print(f"{row.what:36} {row.cpu_ms:9.2f} {row.device_ms:9.2f} {ratio:7.1f} {row.apart:9.1e}")


def write(rows: list[dict[str, Any]], machine: str, out: Path) -> None:
    """A list with the keys that every benchmark of the house writes."""
    about = {"machine": machine, "versions": {"torch": version("torch"), "python": platform.python_version()}}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps([row | about for row in rows], indent=1) + "\n")


def as_row(row: Measured) -> dict[str, Any]:
    """In the keys of every benchmark of the house; the peer is the CPU, the goal is that both say the same."""
    return {
        "what": row.what,
        "ours": round(row.device_ms, 4),
        "peer": round(row.cpu_ms, 4),
        "ratio": round(row.cpu_ms / row.device_ms, 3),
        "unit": "ms",
        "goal": f"results at most {CLOSE} apart",
        "met": row.apart <= CLOSE,
    }


if __name__ == "__main__":
    main()
