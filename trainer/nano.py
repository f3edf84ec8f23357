"""The nano run, stage by stage: bank, tokenizer, Motion VAE, latents, Single-DiT, automatic mask, bundle.

Every stage keeps what it made in the run's folder; a run that is started again goes on where it stopped.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from engine.conditions import CONDITION_CHANNELS, CONTROL_SIZES, GRIDS
from engine.models.ernie import ErnieEncoder, PromptTokenizer
from engine.models.motion_vae import MotionVAE
from engine.models.product_mask import ProductMask
from engine.models.single_dit import SingleDiT
from trainer.batches import motion_batch, photo_tensor
from trainer.data import FormatBank, batch_indices, build_bank, open_bank
from trainer.loop import LossValue, Run, train
from trainer.objectives.motion_vae import fit_linear, motion_vae_loss
from trainer.objectives.product_mask import product_mask_loss
from trainer.objectives.rectified_flow import rectified_flow_loss, sample_captions, sample_conditions
from trainer.photos import build_photos
from trainer.recipes.nano import NanoConfig
from trainer.tokenizer import train_tokenizer

STAGES = ("bank", "motion_vae", "single_dit", "product_mask")


def run_nano(config: NanoConfig, folder: Path, stages: tuple[str, ...] = STAGES, minutes: float | None = None) -> bool:
    """Run the stages; True when all of them are finished. `minutes` bounds the whole call."""
    started = time.monotonic()

    def left() -> float | None:
        return None if minutes is None else max(0.0, minutes - (time.monotonic() - started) / 60)

    done = True
    if "bank" in stages:
        build_bank(folder / "bank", config.bank)
        build_photos(folder / "photos", config.photos)
    if "motion_vae" in stages:
        done &= train_motion_vae(config, folder, left())
    if "single_dit" in stages and done:
        done &= train_single_dit(config, folder, left())
    if "product_mask" in stages:
        done &= train_product_mask(config, folder, left())
    return done


def train_motion_vae(config: NanoConfig, folder: Path, minutes: float | None) -> bool:
    run = motion_vae_run(config, folder)
    if run.finished:
        return True
    banks = open_bank(folder / "bank")
    sizes = dict.fromkeys(banks, config.bank.scenes * config.bank.motions)
    model = run.modules["motion_vae"]
    assert isinstance(model, MotionVAE)
    if run.step == 0:
        items = np.random.default_rng(config.seed).permutation(sizes["1:1"])[: config.linear_clips]
        fit_linear(model, motion_batch(banks["1:1"], items)[2])
        run.restart_average()

    def loss(step: int, generator: torch.Generator) -> LossValue:
        format, items = batch_indices(config.seed, step, sizes, config.vae.batch)
        return motion_vae_loss(model, *motion_batch(banks[format], items), generator)

    return train(run, loss, minutes=minutes)


def motion_vae_run(config: NanoConfig, folder: Path) -> Run:
    """The stage's modules with whatever is trained of them."""
    torch.manual_seed(config.seed)
    return Run(folder / "motion_vae", {"motion_vae": MotionVAE().to(memory_format=torch.channels_last)}, config.vae)


def train_single_dit(config: NanoConfig, folder: Path, minutes: float | None) -> bool:
    banks = open_bank(folder / "bank")
    if not (folder / "tokenizer.json").exists():
        train_tokenizer(folder / "tokenizer.json", banks["1:1"], config.captions, config.seed)
    vae = finished_vae(config, folder, banks)
    latents = {format: np.load(folder / "latents" / f"{_name(format)}.npy", mmap_mode="r") for format in banks}
    sizes = {format: len(values) for format, values in latents.items()}
    run = single_dit_run(config, folder)
    dit, text = run.modules["single_dit"], run.modules["text"]
    assert isinstance(dit, SingleDiT) and isinstance(text, ErnieEncoder)
    tokenizer = PromptTokenizer.load(folder / "tokenizer.json", text.config.max_tokens)

    def loss(step: int, generator: torch.Generator) -> LossValue:
        format, items = batch_indices(config.seed + 1, step, sizes, config.dit.batch)
        photo = photo_tensor(banks[format].photo[items // config.bank.motions])
        rows = sample_conditions(banks[format], items, (config.seed, step))
        batch = vae.scale_latents(torch.from_numpy(latents[format][items]).float())
        captions = sample_captions(banks[format].words, config.extra_captions, (config.seed, 1, step))
        return rectified_flow_loss(dit, text, tokenizer, vae, batch, photo, rows, captions, generator)

    return train(run, loss, minutes=minutes)


def single_dit_run(config: NanoConfig, folder: Path) -> Run:
    """Single-DiT and text encoder, which learn together."""
    torch.manual_seed(config.seed + 1)
    dit = SingleDiT(
        condition_channels=CONDITION_CHANNELS,
        patch_size=config.patch_size,
        hidden=config.hidden,
        depth=config.depth,
        heads=config.heads,
        text_dim=config.text_width,
        rope_axes=config.rope_axes,
        control_sizes=CONTROL_SIZES,
    )
    return Run(
        folder / "single_dit", {"single_dit": dit, "text": ErnieEncoder(nlu_width=config.text_width)}, config.dit
    )


def finished_vae(config: NanoConfig, folder: Path, banks: dict[str, FormatBank]) -> MotionVAE:
    """The averaged Motion VAE, frozen, with the statistics of its latents; encodes the bank the first time."""
    run = motion_vae_run(config, folder)
    run.use_average()
    vae = run.modules["motion_vae"]
    assert isinstance(vae, MotionVAE)
    vae.eval().requires_grad_(False)
    if not (folder / "latents" / "statistics.pt").exists():
        encode_bank(config, folder, banks, vae)
    statistics = torch.load(folder / "latents" / "statistics.pt", weights_only=True)
    vae.latent_mean.copy_(statistics["mean"])
    vae.latent_std.copy_(statistics["std"])
    return vae


@torch.no_grad()
def encode_bank(config: NanoConfig, folder: Path, banks: dict[str, FormatBank], vae: MotionVAE) -> None:
    """Latent means of every clip [items, C, 4, H/8, W/8] (float16) and their mean and deviation per channel."""
    (folder / "latents").mkdir(exist_ok=True)
    total = config.bank.scenes * config.bank.motions
    sums: list[torch.Tensor] = []
    for format, bank in banks.items():
        rows = []
        for start in track(range(0, total, 128), f"latents {format}"):
            items = np.arange(start, min(start + 128, total))
            photo, _, fields, _ = motion_batch(bank, items)
            with torch.autocast("cpu", torch.bfloat16):
                mean, _ = vae.encode(fields, vae.reference(photo))
            rows.append(mean.half().numpy())
        values = np.concatenate(rows)
        np.save(folder / "latents" / f"{_name(format)}.npy", values)
        sums.append(torch.from_numpy(values).float().transpose(0, 1).flatten(1))
    every = torch.cat(sums, 1)
    torch.save({"mean": every.mean(1), "std": every.std(1)}, folder / "latents" / "statistics.pt")


def train_product_mask(config: NanoConfig, folder: Path, minutes: float | None) -> bool:
    run = product_mask_run(config, folder)
    photos = np.load(folder / "photos" / "photos.npy", mmap_mode="r")
    model = run.modules["product_mask"]
    assert isinstance(model, ProductMask)

    def loss(step: int, generator: torch.Generator) -> LossValue:
        _, items = batch_indices(config.seed + 2, step, {"all": len(photos)}, config.mask.batch)
        batch = torch.from_numpy(photos[np.sort(items)]).permute(0, 3, 1, 2).float() / 255
        return product_mask_loss(model, batch[:, :3], batch[:, 3:], generator)

    return train(run, loss, minutes=minutes)


def product_mask_run(config: NanoConfig, folder: Path) -> Run:
    torch.manual_seed(config.seed + 2)
    return Run(
        folder / "product_mask", {"product_mask": ProductMask().to(memory_format=torch.channels_last)}, config.mask
    )


def _name(format: str) -> str:
    assert format in GRIDS
    return format.replace(":", "x")
