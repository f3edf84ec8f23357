"""Weights that checkpoints of earlier versions hold, and today's modules have no more: they are left out on reading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

GONE = ("relief.roundness.weight", "relief.roundness.bias")  # in 0.8 of nano the relief told the roundness too


def cut(file: dict[str, Any], order: Sequence[str]) -> dict[str, Tensor]:
    """Leave them out of what one process has kept in a file; their averages, by name.

    `order` are the parameters that there are, as the optimiser counts them: it had counted the others among them.
    """
    net, optimiser = file["net"], file["optimiser"]
    gone = {name: file["average"][name] for name in GONE if name in net and name not in order}
    if not gone:
        return {}
    counted = sorted((name for name in net if name in order or name in gone), key=lambda name: net[name].ndim < 2)
    stay = [i for i, name in enumerate(counted) if name not in gone]
    now = {before: i for i, before in enumerate(stay)}
    file["optimiser"] = {
        "state": {now[i]: kept for i, kept in optimiser["state"].items() if i in now},
        "param_groups": [
            {**group, "params": [now[i] for i in group["params"] if i in now]} for group in optimiser["param_groups"]
        ],
    }
    for part in ("net", "average"):
        file[part] = {name: value for name, value in file[part].items() if name not in gone}
    return gone
