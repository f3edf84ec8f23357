"""A latent video bundle of random weights, no gate or projection of which is zero: for what needs no learnt model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import torch

from engine.bundles import Bundle, write_bundle
from engine.cache.budget import FILE, Calibration
from engine.models.ernie import ErnieEncoder
from engine.models.multimodal_dit import MultimodalDiT
from engine.models.single_dit import SingleDiT
from trainer.bundling import write_model
from trainer.recipes.sampling import Sampling
from trainer.recipes.tiny_video import tiny_video_smoke
from trainer.tiny_video import make_vae
from trainer.tokenizer import train_tokenizer

CONFIG = tiny_video_smoke()
WORDS = ["a red cup on a table", "a green bottle", "the camera pans left", "orbit left around the product"]


def write_tiny_bundle(out: Path, version: str = "1", calibration: Calibration | None = None) -> Bundle:
    torch.manual_seed(11)
    channels = CONFIG.latent_channels
    sizes = {"in_channels": channels, "condition_channels": channels + CONFIG.mask_channels}
    shared = {**sizes, "text_dim": CONFIG.text["nlu_width"]}
    models = {
        "vae": make_vae(CONFIG),
        "text": ErnieEncoder(**CONFIG.text),
        "single_dit": SingleDiT(**shared, **CONFIG.single_dit),
        "multimodal_dit": MultimodalDiT(**shared, **CONFIG.multimodal_dit),
    }
    out.mkdir(parents=True)
    for name, model in models.items():
        if name.endswith("dit"):
            for parameter in model.parameters():
                parameter.data.copy_(torch.randn(parameter.shape) * 0.1)
        write_model(out, name, model)
    train_tokenizer(out / "tokenizer.json", iter(WORDS * 20))
    if calibration:
        calibration.save(out / FILE)
    latents = {"mean": [0.0] * channels, "std": [1.0] * channels, "frames": 17, "height": 32, "width": 32}
    return write_bundle(
        out,
        name="tiny",
        version=version,
        kinds=("text_to_video", "image_to_video"),
        capabilities={"sampling": asdict(Sampling()), "latents": latents},
        provenance={"config": {"films": {"scenes": 3, "motions": 2, "height": 32, "width": 32, "seed": 700_000_000}}},
    )


def write_photos(folder: Path, count: int, seed: int = 0) -> Path:
    """Photos of one thing: a disc of its own colours on changing grounds."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    colour = rng.integers(0, 255, 3).tolist()
    for index in range(count):
        picture = np.full((48, 40, 3), rng.integers(0, 255, 3), np.uint8)
        cv2.circle(picture, (20, 24), 12, colour, -1)
        cv2.imwrite(str(folder / f"{index}.png"), picture)
    return folder
