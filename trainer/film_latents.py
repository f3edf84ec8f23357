"""The films of a bank as latents of their video VAE: every film whole, every third once more with a box hidden.

In chunks, on a CPU by as many processes as film; what is there is not made again.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from numpy.lib.format import open_memmap
from rich.progress import track
from torch import Tensor, nn

from engine.device import CPU, mixed
from engine.latent_video import HIDDEN_GREY, SPACE
from trainer.chunks import build_chunks
from trainer.claim import alone, check_claim, claim
from trainer.encoders import CLAIM, digest_of, encoder_of
from trainer.films import FilmBank, open_films
from trainer.objectives.video_vae import moments, video_tensor, whole, wide_layout
from trainer.recipes.tiny_video import TinyVideoConfig

# Inpainting is a quarter of what is learnt, and boxes cost as much to encode as films.
BOXED_EVERY = 3
CHUNK, TOGETHER = 8 * BOXED_EVERY, 8  # films that are marked as done, and that are encoded, together
WHOLE, BOXED, STATISTICS, VAE = "latents.npy", "boxed.npy", "statistics.json", "vae"


@dataclass(frozen=True)
class FilmLatents:
    """Latents as the transformers learn them: no mean, unit deviation of each channel."""

    films: np.ndarray  # [items, C, t, h, w] float16, as they were encoded
    boxed: np.ndarray  # [items / BOXED_EVERY, C, t, h, w]: of every BOXED_EVERY-th film, its box hidden beforehand
    boxes: np.ndarray  # [items, 4]: top, left, bottom, right, in latents
    mean_C111: Tensor
    std_C111: Tensor

    def batch(self, items: np.ndarray, tasks: list[str]) -> tuple[Tensor, Tensor, np.ndarray]:
        """Latents and, where inpainting is asked for, those of the hidden boxes [B, C, t, h, w], and boxes [B, 4].

        The items are those of `with_boxes`.
        """
        latents = self.scaled(self.films[items])
        boxed, rows = latents.clone(), _inpainting(tasks)
        boxed[rows] = self.scaled(self.boxed[items[rows] // BOXED_EVERY])
        return latents, boxed, self.boxes[items]

    def scaled(self, latents: np.ndarray) -> Tensor:
        """Latents as they were encoded, to no mean and unit deviation."""
        return (torch.from_numpy(latents).float() - self.mean_C111) / self.std_C111


def with_boxes(items: np.ndarray, tasks: list[str]) -> np.ndarray:
    """The items, and in place of one without a box that is to be inpainted the last one before it that has a box."""
    return np.where(_inpainting(tasks), items - items % BOXED_EVERY, items)


def open_latents(config: TinyVideoConfig, folder: Path) -> FilmLatents:
    """What `encode_bank` has made. ValueError where it has not come to its end."""
    if not (folder / STATISTICS).exists():
        raise ValueError(f"There are no latents in {folder.parent}. Run the stage `latents` to its end first.")
    check_claim(folder / CLAIM, _made_of(config, encoder_of(folder)), "set of latents")
    films, boxed = (np.load(folder / name, mmap_mode="r") for name in (WHOLE, BOXED))
    mean, std = (torch.tensor(part).reshape(-1, 1, 1, 1) for part in statistics(folder).values())
    return FilmLatents(films, boxed, boxes_of(config, len(films)), mean, std)


def statistics(folder: Path) -> dict[str, list[float]]:
    """Mean and deviation of the latents' channels."""
    found: dict[str, list[float]] = json.loads((folder / STATISTICS).read_text())
    return found


def encode_bank(
    config: TinyVideoConfig,
    folder: Path,
    vae: AutoencoderKLWan,
    deadline: float = math.inf,
    device: torch.device = CPU,
) -> bool:
    """Encode what is missing: True when nothing is, False when the deadline came.

    ValueError where latents of another VAE, or of other films, lie in `folder`.
    """
    count = len(open_films(folder.parent / "bank", config.films))
    claim(folder / CLAIM, _made_of(config, digest_of(vae)), "set of latents")
    with alone(folder, "encodes films in"):
        return (folder / STATISTICS).exists() or _encode_missing(config, folder, vae, count, deadline, device)


def _encode_missing(
    config: TinyVideoConfig, folder: Path, vae: AutoencoderKLWan, count: int, deadline: float, device: torch.device
) -> bool:
    bank = folder.parent / "bank"
    vae.save_pretrained(folder / VAE)
    _make_room(config, folder, count)
    missing = [start for start in range(0, count, CHUNK) if not _mark(folder, start).exists()]
    if device.type == CPU.type:
        processes = config.films.processes
        threads = max(1, torch.get_num_threads() // max(1, processes))
        tasks = [(folder, bank, config, start, threads) for start in missing]
        if not build_chunks(_encode_task, tasks, processes, "latents", deadline):
            return False
    else:
        films = FilmBank(bank)
        nn.Module.to(vae, device)
        for start in track(missing, "latents"):
            if time.monotonic() >= deadline:
                return False
            _encode_chunk(films, vae, config, folder, start)
    _write_statistics(folder / STATISTICS, np.load(folder / WHOLE, mmap_mode="r"))
    return True


def latent_shape(config: TinyVideoConfig) -> tuple[int, int, int]:
    return 5, config.films.height // SPACE, config.films.width // SPACE


def boxes_of(config: TinyVideoConfig, count: int) -> np.ndarray:
    """[count, 4]: top, left, bottom, right of each film's hidden box, in latents; a half to three quarters a side."""
    _, height, width = latent_shape(config)
    return boxes_in((height, width), count, config.seed, 5)


def boxes_in(size: tuple[int, int], count: int, *seed: int) -> np.ndarray:
    """As `boxes_of`, in latents of `size` (height, width)."""
    height, width = size
    rng = np.random.default_rng(seed)
    sides = np.stack([rng.integers(n // 2, max(n // 2, 3 * n // 4) + 1, count) for n in (height, width)], 1)
    first = rng.integers(0, np.array([height, width]) - sides + 1)
    return np.concatenate([first, first + sides], 1)


def _made_of(config: TinyVideoConfig, vae: str | None) -> dict[str, Any]:
    return {"films": config.films.described, "vae": vae, "boxed_every": BOXED_EVERY}


def _make_room(config: TinyVideoConfig, folder: Path, count: int) -> None:
    (folder / "chunks").mkdir(exist_ok=True)
    shape = (config.latent_channels, *latent_shape(config))
    for name, items in ((WHOLE, count), (BOXED, -(-count // BOXED_EVERY))):
        if not (folder / name).exists():
            open_memmap(folder / name, mode="w+", dtype=np.float16, shape=(items, *shape)).flush()


def _encode_task(task: tuple[Path, Path, TinyVideoConfig, int, int]) -> None:
    folder, bank, config, start, threads = task
    torch.set_num_threads(threads)
    _encode_chunk(*_opened(bank, folder / VAE), config, folder, start)


def _encode_chunk(films: FilmBank, vae: AutoencoderKLWan, config: TinyVideoConfig, folder: Path, start: int) -> None:
    frames = films.frames[start : start + CHUNK]
    boxes = boxes_of(config, len(films))[start : start + CHUNK]
    _encode(vae, folder / WHOLE, start, frames)
    _encode(vae, folder / BOXED, start // BOXED_EVERY, hide_boxes(frames[::BOXED_EVERY], boxes[::BOXED_EVERY]))
    _mark(folder, start).touch()


@cache
def _opened(bank: Path, vae: Path) -> tuple[FilmBank, AutoencoderKLWan]:
    """What a process needs for all of its chunks."""
    model = AutoencoderKLWan.from_pretrained(vae, local_files_only=True, use_safetensors=True)
    return FilmBank(bank), wide_layout(model.eval())


def _encode(vae: AutoencoderKLWan, path: Path, first: int, frames_BTHW3: np.ndarray) -> None:
    """Write the latents of these films from row `first` on."""
    values = np.load(path, mmap_mode="r+")
    for start in range(0, len(frames_BTHW3), TOGETHER):
        made = latents_of(vae, frames_BTHW3[start : start + TOGETHER])
        values[first + start : first + start + len(made)] = made
    values.flush()


@torch.no_grad()
def latents_of(vae: AutoencoderKLWan, frames_BTHW3: np.ndarray) -> np.ndarray:
    """[B, C, t, h, w] float16 of films uint8, as the video VAE encodes them."""
    with whole(vae), mixed(vae.device):
        mean, _ = moments(vae, video_tensor(frames_BTHW3).to(vae.device))
    found: np.ndarray = mean.half().cpu().numpy()
    return found


def hide_boxes(frames_BTHW3: np.ndarray, boxes_B4: np.ndarray) -> np.ndarray:
    """The films with a box of each, in latents, painted grey."""
    hidden = frames_BTHW3.copy()
    for film, (top, left, bottom, right) in zip(hidden, boxes_B4 * SPACE, strict=True):
        film[:, top:bottom, left:right] = HIDDEN_GREY
    return hidden


def _inpainting(tasks: list[str]) -> np.ndarray:
    return np.array([task == "inpainting" for task in tasks])


def _mark(folder: Path, start: int) -> Path:
    return folder / "chunks" / f"{start}"


def _write_statistics(path: Path, latents: np.ndarray) -> None:
    channels = latents.astype(np.float32).swapaxes(0, 1).reshape(latents.shape[1], -1)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({"mean": channels.mean(1).tolist(), "std": channels.std(1).tolist()}))
    temporary.replace(path)
