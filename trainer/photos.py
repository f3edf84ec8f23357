"""Generated photographs with product masks, for the automatic mask: drawn once at one square size, memory-mapped."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.lib.format import open_memmap

from datapipe.worlds.collage import digest_of, draw_collage, open_album
from datapipe.worlds.render import render_layers
from datapipe.worlds.scene import sample_scene
from datapipe.worlds.snapshots import draw_snapshot
from engine.models.product_mask import SIDE
from trainer.chunks import build_chunks
from trainer.claim import alone, claim

CHUNK = 32
KIND = 1  # the stream, beside that of the photograph itself, which tells snapshots, collages and scenes apart


@dataclass(frozen=True)
class PhotosConfig:
    """`count` photographs of random shape between 9:16 and 16:9, squeezed to SIDE x SIDE; photo i has seed + i.

    The share `snapshots` of them are snapshots, the share `collages` are made of the pictures under the folders
    `cutouts` and `grounds`, the rest are scenes.
    """

    count: int = 6_000
    seed: int = 500_000_000
    snapshots: float = 0.65
    collages: float = 0.0
    cutouts: str = ""  # things with alpha
    grounds: str = ""  # photographs of places
    processes: int = 2

    def check(self) -> None:
        """ValueError: shares of more than one, or collages without folders."""
        if min(self.snapshots, self.collages) < 0 or self.snapshots + self.collages > 1:
            raise ValueError("photos.snapshots and photos.collages are shares: together at most 1.")
        if self.collages and not (self.cutouts and self.grounds):
            raise ValueError("Collages are made of pictures: set photos.cutouts and photos.grounds to their folders.")

    @property
    def described(self) -> dict[str, Any]:
        """What its bytes depend on; what a set does not have is not named: older sets keep their description."""
        self.check()
        found: dict[str, Any] = {"count": self.count, "seed": self.seed}
        if self.snapshots:
            found["snapshots"] = self.snapshots
        if self.collages:
            digests = {"cutouts": digest_of(Path(self.cutouts)), "grounds": digest_of(Path(self.grounds))}
            found |= {"collages": self.collages} | digests
        return found

    def draw(self, index: int) -> np.ndarray:
        """Photograph number `index`, uint8 [SIDE, SIDE, 4]: rgb and coverage of the product."""
        seed = self.seed + index
        pick = np.random.default_rng((seed, KIND)).random()
        if pick < self.snapshots:
            return draw_snapshot(seed, SIDE)
        if pick < self.snapshots + self.collages:
            return draw_collage(seed, SIDE, open_album(Path(self.cutouts), Path(self.grounds)))
        return draw_photo(seed)


def build_photos(folder: Path, config: PhotosConfig, deadline: float = math.inf) -> bool:
    """Draw what is missing: True when nothing is, False when the deadline came first.

    ValueError where other photographs lie in `folder`, or collages cannot be made of the pictures.
    """
    check_pictures(folder, config)
    open_album.cache_clear()  # processes that draw read it themselves, and this one goes on to train
    _claim(folder, config)
    with alone(folder, "draws photographs in"):
        (folder / "chunks").mkdir(parents=True, exist_ok=True)
        if not (folder / "photos.npy").exists():
            open_memmap(folder / "photos.npy", mode="w+", dtype=np.uint8, shape=(config.count, SIDE, SIDE, 4)).flush()
        return build_chunks(_draw_chunk, _missing(folder, config), config.processes, "photographs", deadline)


def check_pictures(folder: Path, config: PhotosConfig) -> None:
    """ValueError where what is missing in `folder` cannot be drawn: a picture is none, or nothing is cut out, or no
    share of it is asked for. Asked before anything is claimed: with other pictures it is another set.
    """
    config.check()
    if (config.cutouts or config.grounds) and not config.collages:
        raise ValueError("photos.cutouts and photos.grounds are for collages: set photos.collages to their share too.")
    if config.collages and _missing(folder, config):
        open_album(Path(config.cutouts), Path(config.grounds))


def open_photos(folder: Path, config: PhotosConfig) -> np.ndarray:
    """[count, SIDE, SIDE, 4] uint8, rgb and product alpha, memory-mapped.

    ValueError where there are none, others, or not all of them.
    """
    if not (folder / "photos.npy").exists():
        raise ValueError(f"There are no photographs in {folder}. Run the stage `bank` first.")
    _claim(folder, config)
    missing = len(_missing(folder, config))
    if missing:
        raise ValueError(f"The photographs in {folder} lack {missing} chunks. Run the stage `bank` to its end first.")
    photos: np.ndarray = np.load(folder / "photos.npy", mmap_mode="r")
    return photos


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
        photos[i] = config.draw(i)
    temporary = folder / "chunks" / f".{start}"
    temporary.touch()
    temporary.replace(folder / "chunks" / f"{start}")


def _missing(folder: Path, config: PhotosConfig) -> list[tuple[Path, PhotosConfig, int]]:
    """The chunks that are not marked as drawn."""
    return [(folder, config, i) for i in range(0, config.count, CHUNK) if not (folder / "chunks" / f"{i}").exists()]


def _claim(folder: Path, config: PhotosConfig) -> None:
    path = folder / "photos.json"
    if not path.exists() and (folder / "photos.npy").exists():
        # Earlier versions noted nothing, and drew scenes only: their photographs are known by their number alone.
        count = len(np.load(folder / "photos.npy", mmap_mode="r"))
        claim(path, {"count": count, "seed": config.seed}, "set of photographs")
    claim(path, config.described, "set of photographs")
