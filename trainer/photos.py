"""Generated photographs with product masks, for the automatic mask: drawn once at one square size, memory-mapped."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.lib.format import open_memmap
from rich.progress import track

from datapipe.worlds.render import render_layers
from datapipe.worlds.scene import sample_scene
from engine.models.product_mask import SIDE

CHUNK = 32


@dataclass(frozen=True)
class PhotosConfig:
    """`count` photographs of random shape between 9:16 and 16:9, squeezed to SIDE x SIDE; photo i has seed + i."""

    count: int = 12_000
    seed: int = 500_000_000
    processes: int = 2


def build_photos(folder: Path, config: PhotosConfig) -> None:
    """Draw what is missing; a finished chunk is marked by a file."""
    (folder / "chunks").mkdir(parents=True, exist_ok=True)
    if not (folder / "photos.npy").exists():
        open_memmap(folder / "photos.npy", mode="w+", dtype=np.uint8, shape=(config.count, SIDE, SIDE, 4)).flush()
    tasks = [(folder, config, i) for i in range(0, config.count, CHUNK) if not (folder / "chunks" / f"{i}").exists()]
    if not tasks:
        return
    with multiprocessing.get_context("spawn").Pool(config.processes) as pool:
        for _ in track(pool.imap_unordered(_draw_chunk, tasks), "photographs", total=len(tasks)):
            pass


def draw_photo(seed: int) -> np.ndarray:
    """[SIDE, SIDE, 4] uint8: rgb and product alpha."""
    rng = np.random.default_rng(seed)
    aspect = float(np.exp(rng.uniform(np.log(9 / 16), np.log(16 / 9))))
    scene = sample_scene(rng, aspect)
    height, width = round(SIDE / aspect**0.5), round(SIDE * aspect**0.5)
    layers = render_layers(scene, height, width)
    picture = np.concatenate([layers.composite, layers.product_alpha[..., None]], -1)
    return cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def _draw_chunk(task: tuple[Path, PhotosConfig, int]) -> None:
    folder, config, start = task
    cv2.setNumThreads(1)
    photos = np.load(folder / "photos.npy", mmap_mode="r+")
    for i in range(start, min(start + CHUNK, config.count)):
        photos[i] = draw_photo(config.seed + i)
    temporary = folder / "chunks" / f".{start}"
    temporary.touch()
    temporary.replace(folder / "chunks" / f"{start}")
