"""The bank as latents of the Motion VAE, which the Single-DiT learns on: encoded once, kept in the run's folder."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from rich.progress import track

from engine.conditions import GRIDS
from engine.device import device_of, mixed
from engine.models.motion_vae import MotionVAE
from trainer.batches import motion_batch
from trainer.claim import alone, claim
from trainer.data import FormatBank
from trainer.encoders import CLAIM, digest_of, encoder_of
from trainer.recipes.nano import NanoConfig

ENCODED_TOGETHER = 128  # clips
FOLDER, STATISTICS = "latents", "latents/statistics.pt"  # within a run's folder


def use_statistics(vae: MotionVAE, folder: Path) -> None:
    """Put the mean and deviation of the bank's latents into the Motion VAE."""
    statistics = torch.load(folder / STATISTICS, weights_only=True)
    vae.latent_mean.copy_(statistics["mean"])
    vae.latent_std.copy_(statistics["std"])


@torch.no_grad()
def encode_bank(
    config: NanoConfig, folder: Path, banks: dict[str, FormatBank], vae: MotionVAE, deadline: float = math.inf
) -> bool:
    """Latent means of every clip [items, C, 4, H/8, W/8] (float16) and their mean and deviation per channel.

    True when all are encoded, False when the deadline came first. ValueError where latents of another Motion VAE lie.
    """
    home, total = folder / FOLDER, config.bank.scenes * config.bank.motions
    made_of: dict[str, Any] = {"bank": config.bank.described, "motion_vae_steps": config.vae.steps}
    is_noted = (home / CLAIM).exists()
    if (home / "statistics.pt").exists() and not is_noted:
        return True  # made by an earlier version, which noted nothing
    if not is_noted or encoder_of(home):  # one before this noted the steps alone: another Motion VAE may have as many
        made_of["vae"] = digest_of(vae)
    claim(home / CLAIM, made_of, "set of latents")
    with alone(home, "encodes clips in"):
        return (home / "statistics.pt").exists() or _encode_missing(home, banks, total, vae, deadline)


def _encode_missing(home: Path, banks: dict[str, FormatBank], total: int, vae: MotionVAE, deadline: float) -> bool:
    for format, bank in banks.items():
        for start in track(range(0, total, ENCODED_TOGETHER), f"latents {format}"):
            mark = home / "chunks" / f"{_name(format)}-{start}"
            if mark.exists():
                continue
            if time.monotonic() >= deadline:
                return False
            items = np.arange(start, min(start + ENCODED_TOGETHER, total))
            _encode_chunk(home / f"{_name(format)}.npy", bank, items, total, vae)
            mark.parent.mkdir(exist_ok=True)
            mark.touch()
    _write_statistics(home, list(banks))
    return True


def _encode_chunk(path: Path, bank: FormatBank, items: np.ndarray, total: int, vae: MotionVAE) -> None:
    device = device_of(vae)
    photo, _, fields, _ = (x.to(device) for x in motion_batch(bank, items))
    with mixed(device):
        mean, _ = vae.encode(fields, vae.reference(photo))
    if not path.exists():
        open_memmap(path, mode="w+", dtype=np.float16, shape=(total, *mean.shape[1:])).flush()
    values = np.load(path, mmap_mode="r+")
    values[items] = mean.half().cpu().numpy()
    values.flush()


def _write_statistics(home: Path, formats: list[str]) -> None:
    latents = [torch.from_numpy(np.load(home / f"{_name(format)}.npy")).float() for format in formats]
    every = torch.cat([values.transpose(0, 1).flatten(1) for values in latents], 1)
    torch.save({"mean": every.mean(1), "std": every.std(1)}, home / "statistics.tmp")
    (home / "statistics.tmp").replace(home / "statistics.pt")


def open_latents(folder: Path, format: str) -> np.ndarray:
    """[items, C, 4, H/8, W/8] float16, memory-mapped."""
    latents: np.ndarray = np.load(folder / FOLDER / f"{_name(format)}.npy", mmap_mode="r")
    return latents


def _name(format: str) -> str:
    assert format in GRIDS
    return format.replace(":", "x")
