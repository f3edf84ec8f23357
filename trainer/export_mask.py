"""The automatic mask of a bundle of nano, taken from another run or bundle while all else stays as it is."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine.bundles import MANIFEST, Bundle, read_bundle
from trainer import nano
from trainer.bundling import WORLDS, Card, check_trained, learnt_from, told_stages, write_models, write_whole
from trainer.catalogue import RECIPES
from trainer.loop import Run
from trainer.recipes.nano import NanoConfig
from trainer.record import Record
from trainer.settings import configuration, names_for_places, without_places
from trainer.start import go_back_towards

MASK_FILES = ("product_mask.json", "product_mask.safetensors")


def exchange_mask(
    bundle: Bundle,
    card: Card,
    mask: Path | None,
    share: float,
    out: Path,
    version: str,
    unfinished: bool,
    words: str = "",
) -> Bundle:
    """The bundle with another automatic mask, and all else as `card` has it; `words` are the command's."""
    if mask is None:
        raise ValueError(f"{bundle.path} is a bundle already: its automatic mask is exchanged by --mask.")
    if not {"image_to_video", "product_mask"} <= set(bundle.kinds):
        raise ValueError(f"{bundle.path} has no automatic mask that could be exchanged: it is {bundle.name}.")
    kept = bundle_with(mask, "product_mask")
    runs = {} if kept else {"product_mask": recorded_mask(mask)}
    check_trained(mask, runs, {}, unfinished)

    def write_parts(made: Path) -> None:
        copy_files(bundle, [name for name in bundle.files if name not in (*MASK_FILES, "README.md")], made)
        go_back(runs, share)
        write_models(made, runs, but=("product_mask",) if share < 1 else ())
        if kept:
            copy_files(kept, MASK_FILES, made)

    again = (
        f"python -m trainer export nano --out BUNDLE --mask MASK2 --bundle NEW --version {shlex.quote(version)}{words}"
    )
    again += f" --mask-share {share:g}" if share < 1 else ""
    provenance = exchanged(bundle, runs, again, gone=("product_mask",))
    tell_mask(provenance, mask, share, kept, runs)
    return write_whole(out, card, version, provenance, write_parts)


def exchanged(bundle: Bundle, runs: dict[str, Run], again: str, gone: tuple[str, ...]) -> dict[str, Any]:
    """How the bundle was made, whose stages `gone` are those of `runs` now, by the command `again`."""
    before = bundle.provenance
    kept = {stage: told for stage, told in before.get("stages", {}).items() if stage not in gone}
    return {
        **before,
        "command": " && ".join([*filter(None, [before.get("command")]), again]),
        "stages": {**kept, **told_stages(runs)},
        "unfinished": [stage for stage in before.get("unfinished", []) if stage not in gone]
        + [stage for stage, run in runs.items() if not run.finished],
        "kept_from": bundle.digest,
    }


def bundle_with(source: Path | None, part: str) -> Bundle | None:
    """`source` as a bundle, where it is one. BundleError where that has no such part."""
    bundle = read_bundle(source) if source and (source / MANIFEST).exists() else None
    if bundle:
        bundle.file(f"{part}.safetensors")
    return bundle


def copy_files(bundle: Bundle, names: Iterable[str], made: Path) -> None:
    for name in names:
        shutil.copyfile(bundle.file(name), made / name)


def go_back(runs: dict[str, Run], share: float) -> None:
    """The averaged mask of a run in place, `share` of the way from where it began. ValueError: that is no share."""
    if not 0 < share <= 1:
        raise ValueError(f"--mask-share is {share:g}: choose more than 0, and at most 1.")
    if share < 1:
        if "product_mask" not in runs:
            raise ValueError("--mask-share is for the mask of a run; a bundle's is kept as it is.")
        run = runs["product_mask"]
        run.use_average()
        go_back_towards(run.start, run.modules, share)


def tell_mask(
    provenance: dict[str, Any], mask: Path | None, share: float, kept: Bundle | None, runs: dict[str, Run]
) -> None:
    """Note in `provenance` how an automatic mask was made that is not of the run itself."""
    if kept:
        provenance["stages"]["product_mask"] = told_of(kept, "product_mask")
        provenance["unfinished"] += {"product_mask"} & set(kept.provenance.get("unfinished", ()))
        told = kept.provenance.get("data", provenance["data"])
        provenance["data"] = told if "image_to_video" in kept.kinds else f"{WORLDS}; {told}"
    elif mask:
        provenance["stages"]["product_mask"] |= {**recorded(mask, ("seed", "photos", "mask")), "share": share}
        provenance["data"] = learnt_from(Record(mask).kept["config"], runs)


def told_of(bundle: Bundle, part: str) -> dict[str, Any]:
    """How a part of a bundle was made, as far as that bundle tells it."""
    stage = bundle.provenance.get("stages", {}).get(part, {"steps": "?", "of": "?", "losses": {}})
    return {**stage, "kept_from": bundle.digest}


def recorded_mask(folder: Path) -> Run:
    """The stage product_mask of a recorded run of nano. ValueError where there is none."""
    return nano.product_mask_run(recorded_config(folder, "automatic mask"), folder)


def recorded_config(folder: Path, what: str) -> NanoConfig:
    """The settings of a recorded run of nano. ValueError where there is none, whose `what` is wanted."""
    kept = Record(folder).kept
    if not kept.get("recipe", "").startswith("nano"):
        raise ValueError(f"{folder} holds no recorded run of nano, whose {what} could be taken.")
    today = RECIPES[kept["recipe"]].part("config")() if kept["recipe"] in RECIPES else NanoConfig()
    return configuration(NanoConfig, kept["config"], lacking=today)


def recorded(folder: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """How a stage that comes from another run was made: the settings `names`, its code, what it began at."""
    record = Record(folder)
    kept, settings = record.kept, [without_places(setting) for setting in record.settings]
    began = {"from": kept["from"]["digest"]} if kept["from"] else {}
    config = names_for_places({name: kept["config"][name] for name in names})
    return {"settings": list(dict.fromkeys(settings)), "config": config, "commit": kept["commit"], **began}
