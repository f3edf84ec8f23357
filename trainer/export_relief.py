"""The relief of a bundle of nano, taken from a run while all else stays as it is."""

from __future__ import annotations

import shlex
from pathlib import Path

from engine.bundles import Bundle
from trainer import nano
from trainer.bundling import Card, check_trained, write_models, write_whole
from trainer.export_mask import copy_files, exchanged, recorded, recorded_config

FILES = ("relief.json", "relief.safetensors")
BEFORE = ("scene_depth.json", "scene_depth.safetensors")  # what bundles before 0.8 have in its place


def exchange_relief(
    bundle: Bundle, card: Card, relief: Path, out: Path, version: str, unfinished: bool, words: str = ""
) -> Bundle:
    """The bundle with the relief of the run in `relief`, and all else as `card` has it; `words` are the command's."""
    if "motion_vae.json" not in bundle.files or not {FILES[0], BEFORE[0]} & set(bundle.files):
        raise ValueError(f"{bundle.path} has no relief that could be exchanged: it is {bundle.name}.")
    runs = {"relief": nano.relief_run(recorded_config(relief, "relief"), relief)}
    check_trained(relief, runs, {}, unfinished)

    gone = (*FILES, *BEFORE, "README.md", "cache.json")  # caches were calibrated on what the other one saw

    def write_parts(made: Path) -> None:
        copy_files(bundle, [name for name in bundle.files if name not in gone], made)
        write_models(made, runs)

    again = "python -m trainer export nano --out BUNDLE --relief RELIEF --bundle NEW"
    again += f" --version {shlex.quote(version)}{words}"
    provenance = exchanged(bundle, runs, again, gone=("relief", "scene_depth"))
    provenance["stages"]["relief"] |= recorded(relief, ("seed", "bank", "relief"))
    return write_whole(out, card, version, provenance, write_parts)
