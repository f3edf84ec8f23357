"""A bundle made of another: one transformer is replaced, everything else stays as it is."""

from __future__ import annotations

import copy
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from engine.bundles import Bundle
from engine.cache.budget import FILE as CALIBRATION
from trainer.bundling import Card, write_model, write_whole

OTHERS = ("single_dit", "multimodal_dit")


@dataclass(frozen=True)
class Change:
    """`model` takes the place of `part` in a bundle. Of a bundle that is sampled otherwise from now on, a second
    transformer is left out: it is as it was, and would be sampled wrongly.
    """

    bundle: Bundle
    part: str
    model: nn.Module
    keeps_other: bool = True


def changed_card(bundle: Bundle, about: str, sampling: dict[str, Any]) -> Card:
    """The card of a bundle that is to be sampled otherwise; forms have its number of steps for their default."""
    capabilities = copy.deepcopy(bundle.capabilities)
    capabilities["sampling"] = {**capabilities["sampling"], **sampling}
    if "steps" in sampling:
        for can in capabilities.values():
            if isinstance(can, dict) and "steps" in can.get("defaults", {}):
                can["defaults"]["steps"] = sampling["steps"]
    return Card(bundle.name, bundle.kinds, capabilities, about, bundle.layout)


def write_derived(out: Path, change: Change, card: Card, version: str, provenance: dict[str, Any]) -> Bundle:
    """Write the bundle to the new folder `out`, whole or not at all.

    The calibration of a cache is left out: it was the old weights'. `provenance` names the bundle that this one is made
    of, and the scenes that it was trained on.
    """
    base = change.bundle
    replaced = (change.part,) if change.keeps_other else (*OTHERS, change.part)
    kept = [name for name in base.files if name.rpartition(".")[0] not in replaced and name != CALIBRATION]

    def write_parts(made: Path) -> None:
        for name in kept:
            (made / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(base.path / name, made / name)
        write_model(made, change.part, change.model)

    known = base.provenance.get("config", {})
    scenes = {key: known[key] for key in ("bank", "films") if key in known}
    made_of = {**provenance, "base": base.identity, "config": {**scenes, **provenance["config"]}}
    return write_whole(out, card, version, made_of, write_parts)
