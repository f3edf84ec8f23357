"""What a bundle of nano sees a photo with, its relief or its roundness, taken from a run or another bundle while all
else stays.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Literal

from safetensors.torch import load_file, save_file

from engine.bundles import Bundle
from trainer import nano
from trainer.bundling import Card, check_trained, write_models, write_whole
from trainer.export_mask import bundle_with, copy_files, exchanged, recorded, recorded_config, told_of
from trainer.loop import Run

Sight = Literal["relief", "roundness"]
SIGHTS: tuple[Sight, ...] = ("relief", "roundness")
_BEFORE = "scene_depth"  # what the relief was called before 0.8
_RUNS = {"relief": nano.relief_run, "roundness": nano.roundness_run}
_DATA = {"relief": ("seed", "bank", "relief"), "roundness": ("seed", "closeups", "roundness")}


def exchange_sight(
    bundle: Bundle, card: Card, sight: Sight, source: Path, out: Path, version: str, unfinished: bool, words: str = ""
) -> Bundle:
    """The bundle with what the run or bundle in `source` sees, and all else as `card` has it; `words` are the
    command's.
    """
    if "motion_vae.json" not in bundle.files:
        raise ValueError(f"{bundle.path} has no {sight} that could be exchanged: it is {bundle.name}.")
    kept = bundle_with(source, sight)
    runs: dict[str, Run] = {} if kept else {sight: _RUNS[sight](recorded_config(source, sight), source)}
    check_trained(source, runs, {}, unfinished)

    gone = [f"{sight}.json", f"{sight}.safetensors", "README.md"]
    gone += ["cache.json"] if sight == "relief" else []  # caches were calibrated on what the other one saw
    gone += [f"{_BEFORE}.json", f"{_BEFORE}.safetensors"] if sight == "relief" else []

    def write_parts(made: Path) -> None:
        copy_files(bundle, [name for name in bundle.files if name not in gone], made)
        write_models(made, runs)
        if kept:
            copy_files(kept, gone[:2], made)
        _forget_roundness(made / "relief.safetensors")

    again = f"python -m trainer export nano --out BUNDLE --{sight} {sight.upper()} --bundle NEW"
    again += f" --version {shlex.quote(version)}{words}"
    provenance = exchanged(bundle, runs, again, gone=(sight, *((_BEFORE,) if sight == "relief" else ())))
    if kept:
        provenance["stages"][sight] = told_of(kept, sight)
        provenance["unfinished"] += {sight} & set(kept.provenance.get("unfinished", ()))
    else:
        provenance["stages"][sight] |= recorded(source, _DATA[sight])
    return write_whole(out, card, version, provenance, write_parts)


def _forget_roundness(relief: Path) -> None:
    """The relief of 0.8 told the roundness too."""
    weights = load_file(relief) if relief.exists() else {}
    today = {name: one for name, one in weights.items() if not name.startswith("roundness.")}
    if len(today) < len(weights):
        save_file(today, relief)
        relief.chmod(0o644)
