"""A large transformer that was trained on derived shards becomes a bundle, with the encoders that made them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from engine.bundles import Bundle, read_bundle
from engine.latent_video import SPACE, TIME
from engine.pretrained.directory import read_directory
from engine.pretrained.t5 import classes_of
from trainer.axes import Axes
from trainer.bundling import Card, check_folders, check_trained, provenance_of, write_model, write_whole
from trainer.encode import TEXT, VAE, encoding_files, parts_of
from trainer.large import derived, dit_run
from trainer.objectives.video_flow import TASKS
from trainer.recipes.large import LargeVideoConfig
from trainer.recipes.sampling import Sampling


def export_large(
    config: LargeVideoConfig, folder: Path, out: Path, *, version: str, command: str, unfinished: bool = False
) -> Bundle:
    """As every export: whole or not at all. ValueError where the encoder is not named, or did not make the data."""
    check_folders(folder, out)
    if not config.encoder:
        raise ValueError("Say whose video VAE and text encoder go into the bundle: --set encoder=BUNDLE.")
    shards, encoder = derived(config), read_bundle(config.encoder)
    alone = replace(config, layout=Axes())  # one process exports what any layout has trained
    runs = {config.part: dit_run(alone, folder, shards)}
    check_trained(folder, runs, {}, unfinished)

    def write_parts(made: Path) -> None:
        if encoder.layout == "diffusers":
            _take_wan(encoder, made)
        else:
            _take(encoder, parts_of(encoder), made)
        run = runs[config.part]
        run.use_average()
        write_model(made, config.part, run.modules[config.part])

    frames, height, width = config.stages[-1].grid
    told = _told_of_wan(encoder) if encoder.layout == "diffusers" else encoder.capabilities
    latents = {key: told["latents"][key] for key in ("mean", "std")}
    latents |= {"frames": 1 + TIME * (frames - 1), "height": height * SPACE, "width": width * SPACE}
    sampling = {**asdict(Sampling()), "shift": config.shift(config.stages[-1].grid)}
    card = Card(
        name=config.name.replace("_", "-"),
        kinds=tuple(TASKS),
        capabilities={"sampling": sampling, "latents": latents} | ({"text": told["text"]} if "text" in told else {}),
        about=f"Text, a photo, first frames or a hidden region to video: a transformer of {config.parameters:,} "
        f"parameters on the\nlatents and text features of {encoder.name} {encoder.version}.",
        layout="flat" if encoder.layout == "flat" else "folders",
    )
    provenance = provenance_of("trainer.recipes.large", asdict(config), runs, command)
    provenance["data"] = f"{len(shards) - 1} records of derived shards, {shards.digest}"
    provenance["encoder"] = encoder.identity
    return write_whole(out, card, version, provenance, write_parts)


def _take(encoder: Bundle, names: Iterable[str], made: Path) -> None:
    for name in names:
        (made / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(encoder.file(name), made / name)


def _take_wan(encoder: Bundle, made: Path) -> None:
    """Its VAE under our names, whole and in its own type, and its text encoder as it lies there."""
    names = encoding_files(encoder)
    _take(encoder, [name for name in names if name.split("/")[0] in TEXT], made)
    files = [encoder.file(name) for name in names if name.startswith("vae/") and name.endswith(".safetensors")]
    save_file({key: value for file in files for key, value in load_file(file).items()}, made / VAE[1])
    (made / VAE[1]).chmod(0o644)
    config = {key: value for key, value in _wan_config(encoder).items() if not key.startswith("_")}
    (made / VAE[0]).write_text(json.dumps(config, indent=1) + "\n")


def _told_of_wan(encoder: Bundle) -> dict[str, Any]:
    config, (reader, words) = _wan_config(encoder), classes_of(encoder)
    latents = {"mean": config["latents_mean"], "std": config["latents_std"]}
    return {"latents": latents, "text": {"encoder": reader, "tokenizer": words}}


def _wan_config(encoder: Bundle) -> dict[str, Any]:
    return read_directory(encoder.path).configs["vae"]
