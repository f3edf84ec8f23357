"""A finished run becomes a bundle: of nano and of tiny_video, what they consist of and what their cards say."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from engine.bundles import MANIFEST, Bundle, read_bundle
from engine.conditions import CAMERA_IDS, GRIDS, SUBJECT_IDS
from engine.requests import ImageToVideo
from trainer import motion_latents, nano, tiny_video
from trainer.bundling import Card, check_folders, check_trained, provenance_of, write_models, write_whole
from trainer.encoders import check_encoder
from trainer.export_mask import (
    MASK_FILES,
    bundle_with,
    copy_files,
    exchange_mask,
    go_back,
    recorded_mask,
    tell_mask,
)
from trainer.export_sight import Sight, exchange_sight
from trainer.film_latents import STATISTICS, statistics
from trainer.films import open_films
from trainer.objectives.video_flow import TASKS
from trainer.parallel.layout import Layout
from trainer.recipes.nano import NanoConfig
from trainer.recipes.sampling import Sampling
from trainer.recipes.tiny_video import TinyVideoConfig


def export_nano(
    config: NanoConfig,
    folder: Path,
    out: Path,
    *,
    version: str,
    command: str,
    unfinished: bool = False,
    mask: Path | None = None,
    mask_share: float = 1.0,
    sight: tuple[Sight, Path] | None = None,
    sampled: dict[str, Any] | None = None,
) -> Bundle:
    """Write the bundle of the run in `folder` to the new folder `out`, whole or not at all.

    `mask` is another run of nano that the stage product_mask is taken from, with the settings that it was trained with,
    or a bundle whose automatic mask is kept as it is. `folder` may be a bundle too: all but its mask, or what it sees
    photos with, stays.
    `sight`: relief or roundness, and the run or bundle of nano whose a bundle gets. `sampled`: how it is sampled from
    now on, where otherwise.
    `mask_share`: how far that run's mask is taken from the weights that it began at towards those that it has learnt.
    ValueError where `out` holds files, where a stage is not trained, or stopped before its last step and `unfinished`
    does not allow for it; the bundle then says so.
    """
    check_folders(folder, out)
    if (folder / MANIFEST).exists():
        bundle = read_bundle(folder)
        sampling = bundle.capabilities.get("sampling", {}) | (sampled or {})
        card = replace(_nano_card(config.sampling), capabilities=bundle.capabilities | {"sampling": sampling})
        words = "".join(f" --set sampling.{name}={value}" for name, value in (sampled or {}).items())
        if sight:
            return exchange_sight(bundle, card, *sight, out, version, unfinished, words)
        return exchange_mask(bundle, card, mask, mask_share, out, version, unfinished, words)
    kept = bundle_with(mask, "product_mask")
    runs = {
        "motion_vae": nano.motion_vae_run(config, folder),
        "relief": nano.relief_run(config, folder),
        "roundness": nano.roundness_run(config, folder),
        "single_dit": nano.single_dit_run(config, folder),
    }
    if not kept:
        runs["product_mask"] = recorded_mask(mask) if mask else nano.product_mask_run(config, folder)
    check_trained(folder, runs, {nano.TOKENIZER: "single_dit", motion_latents.STATISTICS: "single_dit"}, unfinished)
    vae = nano.averaged_vae(runs["motion_vae"])
    check_encoder(folder / motion_latents.FOLDER, vae, "Motion VAE")

    def write_parts(made: Path) -> None:
        motion_latents.use_statistics(vae, folder)
        go_back(runs, mask_share)
        write_models(made, runs, but=("motion_vae", *(("product_mask",) if mask_share < 1 else ())))
        shutil.copyfile(folder / nano.TOKENIZER, made / nano.TOKENIZER)
        if kept:
            copy_files(kept, MASK_FILES, made)

    provenance = provenance_of("trainer.recipes.nano", asdict(config), runs, command)
    tell_mask(provenance, mask, mask_share, kept, runs)
    return write_whole(out, _nano_card(config.sampling), version, provenance, write_parts)


def export_tiny_video(
    config: TinyVideoConfig, folder: Path, out: Path, *, version: str, command: str, unfinished: bool = False
) -> Bundle:
    """As `export_nano`: the bundle that `engine.latent_video` loads."""
    check_folders(folder, out)
    alone = replace(config, layout=Layout())  # one process exports what any layout has trained
    runs = {
        "text": tiny_video.text_run(config, folder, open_films(folder / "bank", config.films)),
        "video_vae": tiny_video.video_vae_run(config, folder),
        "single_dit": tiny_video.single_dit_run(alone, folder),
        "multimodal_dit": tiny_video.multimodal_dit_run(alone, folder),
    }
    latents = f"{tiny_video.LATENTS}/{STATISTICS}"
    check_trained(folder, runs, {tiny_video.TOKENIZER: "text", latents: "latents"}, unfinished)
    found, vae = statistics(folder / tiny_video.LATENTS), tiny_video.averaged_vae(runs["video_vae"])
    check_encoder(folder / tiny_video.LATENTS, vae, "video VAE")

    def write_parts(made: Path) -> None:
        vae.register_to_config(latents_mean=found["mean"], latents_std=found["std"])  # as diffusers' pipelines read it
        del runs["text"].modules["heads"]  # taught the encoder, and is not needed to read prompts
        write_models(made, runs)
        shutil.copyfile(folder / tiny_video.TOKENIZER, made / tiny_video.TOKENIZER)

    provenance = provenance_of("trainer.recipes.tiny_video", asdict(config), runs, command)
    return write_whole(out, _tiny_video_card(config, found), version, provenance, write_parts)


def _nano_card(sampling: Sampling) -> Card:
    """What forms, handlers and samplers read: nothing about this model is known anywhere else."""
    capabilities = {
        "image_to_video": {
            "title": "Product photo to video",
            "schema": ImageToVideo.model_json_schema(),
            "defaults": ImageToVideo().model_dump(mode="json", exclude={"kind"}),
            "camera_moves": list(CAMERA_IDS),
            "subject_motions": list(SUBJECT_IDS),
            "formats": list(GRIDS),
        },
        "sampling": asdict(sampling),
    }
    about = (
        "Image-to-video that keeps the product's own pixels: a Motion VAE, a Single-DiT with an ERNIE-shaped text "
        "encoder,\nmodels that see how far away things are and how round the product is, and an automatic product "
        "mask. It moves a given\nphoto; it cannot paint what no photo shows."
    )
    return Card("aquarius-nano", ("image_to_video", "product_mask"), capabilities, about)


def _tiny_video_card(config: TinyVideoConfig, found: dict[str, list[float]]) -> Card:
    sizes = {"frames": 17, "height": config.films.height, "width": config.films.width}  # of what it learnt on
    about = (
        "Text, a photo, first frames or a hidden region to video: a causal video VAE, a tiny Single-DiT and a tiny "
        "Multimodal-DiT\nwith one text encoder. For tests and measurements of the engine, not for campaigns."
    )
    return Card("tiny-video", tuple(TASKS), {"sampling": asdict(config.sampling), "latents": {**found, **sizes}}, about)
