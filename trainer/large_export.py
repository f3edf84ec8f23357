"""A large transformer that was trained on derived shards becomes a bundle, with the encoders that made them."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

from engine.bundles import Bundle, read_bundle
from engine.latent_video import SPACE, TIME
from trainer.encode import PARTS
from trainer.export import Card, check_folders, check_trained, provenance_of, write_model, write_whole
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
    if encoder.layout == "diffusers":
        raise ValueError(
            f"{encoder.name} is an imported pipeline: a bundle of ours holds no encoders of diffusers yet, so what was "
            f"trained on it stays a run."
        )
    runs = {config.part: dit_run(config, folder, shards)}
    check_trained(folder, runs, {}, unfinished)

    def write_parts(made: Path) -> None:
        for name in PARTS:
            shutil.copyfile(encoder.file(name), made / name)
        run = runs[config.part]
        run.use_average()
        write_model(made, config.part, run.modules[config.part])

    frames, height, width = config.stages[-1].grid
    latents = {key: encoder.capabilities["latents"][key] for key in ("mean", "std")}
    latents |= {"frames": 1 + TIME * (frames - 1), "height": height * SPACE, "width": width * SPACE}
    sampling = {**asdict(Sampling()), "shift": config.shift(config.stages[-1].grid)}
    card = Card(
        name=config.name.replace("_", "-"),
        kinds=tuple(TASKS),
        capabilities={"sampling": sampling, "latents": latents},
        about=f"Text, a photo, first frames or a hidden region to video: a transformer of {config.parameters:,} "
        f"parameters on the\nlatents and text features of {encoder.name} {encoder.version}.",
    )
    provenance = provenance_of("trainer.recipes.large", asdict(config), runs, command)
    provenance["data"] = f"{len(shards) - 1} records of derived shards, {shards.digest}"
    return write_whole(out, card, version, provenance, write_parts)
