"""What is known of devices and of runs that others published: `published.json`, and the one constant fitted on it.

A device works at a share of its data sheet's peak; that share is all that is fitted, on the two runs that the file
marks. Links are those of the data sheets. Every other published run is a prediction (`predictions`).
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from trainer.plan.job import Job, Memory
from trainer.plan.mesh import Mesh
from trainer.plan.timing import Gpu, Step, predict

PUBLISHED = Path(__file__).parent / "published.json"


@dataclass(frozen=True)
class Prediction:
    """A published run, and what is predicted of it. `fitted`: the constant was taken from it."""

    name: str
    gpu: str
    devices: int
    mesh: Mesh
    published: float  # MFU
    step: Step
    fitted: bool
    note: str
    source: str

    @property
    def predicted(self) -> float:
        return self.step.mfu

    @property
    def error(self) -> float:
        return self.predicted / self.published - 1


@cache
def published() -> dict[str, Any]:
    """`published.json`: devices by their data sheets, models, runs; each with its source."""
    return json.loads(PUBLISHED.read_text())


@cache
def fitted_share() -> float:
    """Of its peak that a device reaches in products: the geometric mean over the runs that are marked for it."""
    return statistics.geometric_mean(_share_of(run) for run in published()["runs"] if run["fitted"])


def gpu_of(name: str) -> Gpu:
    """A device of the data sheets. ValueError for an unknown one."""
    return replace(_sheet(name), share=fitted_share())


def peak_of(device: str) -> float | None:
    """Dense bf16 TFLOP/s of a device as its driver names it, "NVIDIA H200"; None where no data sheet of it is at hand.

    The sheets are those of the boards with NVLink: the PCIe and NVL boards of the same chip are slower.
    """
    words = set(re.findall(r"[a-z0-9]+", device.lower()))
    found = [sheet["tflops"] for name, sheet in published()["gpus"].items() if name in words]
    return found[0] if found and not words & {"pcie", "nvl"} else None


def predictions() -> list[Prediction]:
    """Of every published run whose mesh, length and recompute are known."""
    return [
        Prediction(
            run["name"],
            run["gpu"],
            mesh_of(run).world,
            mesh_of(run),
            run["mfu"],
            predict(job_of(run), mesh_of(run), memory_of(run), gpu_of(run["gpu"])),
            run["fitted"],
            run.get("note", ""),
            run["source"],
        )
        for run in published()["runs"]
    ]


def not_comparable() -> list[Mapping[str, Any]]:
    """Published figures of which something is not told that a prediction would need: what, and the source."""
    return published()["not_comparable"]


def _share_of(run: Mapping[str, Any]) -> float:
    """The share at which the prediction is what was published: by halving, for waiting may be hidden or not."""
    low, high = 0.05, 1.0
    job, mesh, memory, sheet = job_of(run), mesh_of(run), memory_of(run), _sheet(run["gpu"])
    for _ in range(30):
        middle = (low + high) / 2
        found = predict(job, mesh, memory, replace(sheet, share=middle)).mfu
        low, high = (middle, high) if found < run["mfu"] else (low, middle)
    return (low + high) / 2


def job_of(run: Mapping[str, Any]) -> Job:
    model = published()["models"][run["model"]]
    return Job(model["config"], run["tokens"], model["text_tokens"], run["batch"])


def mesh_of(run: Mapping[str, Any]) -> Mesh:
    return Mesh(**run["mesh"])


def memory_of(run: Mapping[str, Any]) -> Memory:
    return Memory(run["checkpointing"], run.get("blocks"), run["micro"], run["zero"])


def _sheet(name: str) -> Gpu:
    sheets = published()["gpus"]
    if name not in sheets:
        raise ValueError(f"There is no device {name!r}. There are: {', '.join(sheets)}.")
    sheet = sheets[name]
    return Gpu(name, sheet["tflops"], sheet["memory_gb"], sheet["link_gb_s"], sheet["network_gb_s"], sheet["node"], 1.0)
