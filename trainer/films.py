"""The film bank: generated films as frames on disk, memory-mapped, with what they show in words.

Item i is motion i % M of scene i // M. An interrupted build goes on with the chunks that are missing.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.lib.format import open_memmap

from datapipe.worlds.film import SAYS, check_frame, make_films, shown_words
from datapipe.worlds.motion import KEYS, Motion
from trainer.chunks import build_chunks
from trainer.claim import alone, check_claim, claim

CHUNK = 16  # scenes that are filmed, and marked as filmed, together


@dataclass(frozen=True)
class FilmsConfig:
    """`scenes` scenes with `motions` films each, height x width pixels; scene i has seed + i."""

    scenes: int = 960
    motions: int = 3
    height: int = 64
    width: int = 64
    seed: int = 700_000_000
    processes: int = 2

    @property
    def described(self) -> dict[str, int]:
        """What its bytes depend on."""
        return {key: value for key, value in asdict(self).items() if key != "processes"} | {"says": SAYS}


class FilmBank:
    """The films of a folder."""

    def __init__(self, folder: Path) -> None:
        self.frames = np.load(folder / "frames.npy", mmap_mode="r")  # [items, 17, H, W, 3] uint8
        self.words: list[dict[str, str]] = []  # of each scene
        self.motions: list[Motion] = []  # of each item
        for path in sorted((folder / "chunks").glob("[0-9]*.json")):
            for row in json.loads(path.read_text()):
                self.words.append(row["words"])
                self.motions += [Motion(**motion) for motion in row["motions"]]

    def __len__(self) -> int:
        return len(self.frames)

    def shown(self, item: int) -> tuple[Motion, dict[str, str]]:
        """The motion and the words of a film's scene."""
        return self.motions[item], self.words[item // (len(self.motions) // len(self.words))]


def build_films(folder: Path, config: FilmsConfig, deadline: float = math.inf) -> bool:
    """Film what is missing: True when nothing is, False when the deadline came first.

    ValueError where other films lie in `folder`, or none are made in this size.
    """
    check_frame(config.height, config.width)
    claim(folder / "films.json", config.described, "set of films")
    with alone(folder, "makes films in"):
        (folder / "chunks").mkdir(exist_ok=True)
        if not (folder / "frames.npy").exists():
            shape = (config.scenes * config.motions, KEYS, config.height, config.width, 3)
            open_memmap(folder / "frames.npy", mode="w+", dtype=np.uint8, shape=shape).flush()
        return build_chunks(_film_chunk, _missing(folder, config), config.processes, "films", deadline)


def open_films(folder: Path, config: FilmsConfig) -> FilmBank:
    """The films. ValueError where there are none, others, or not all of them."""
    if not (folder / "films.json").exists():
        raise ValueError(f"There are no films in {folder}. Run the stage `bank` first.")
    check_claim(folder / "films.json", config.described, "set of films")
    missing = len(_missing(folder, config))
    if missing:
        raise ValueError(f"The films in {folder} lack {missing} chunks. Run the stage `bank` to its end first.")
    return FilmBank(folder)


def _film_chunk(task: tuple[Path, FilmsConfig, int]) -> None:
    folder, config, start = task
    cv2.setNumThreads(1)
    frames = np.load(folder / "frames.npy", mmap_mode="r+")
    rows = []
    for i in range(start, min(start + CHUNK, config.scenes)):
        scene, films = make_films(config.seed + i, config.height, config.width, config.motions)
        for j, (_, made) in enumerate(films):
            frames[i * config.motions + j] = made
        rows.append({"words": shown_words(scene, films[0][1][0]), "motions": [asdict(motion) for motion, _ in films]})
    frames.flush()
    temporary = folder / "chunks" / f".{start:06d}.tmp"
    temporary.write_text(json.dumps(rows))
    temporary.replace(folder / "chunks" / f"{start:06d}.json")


def _missing(folder: Path, config: FilmsConfig) -> list[tuple[Path, FilmsConfig, int]]:
    """The chunks that are not marked as filmed."""
    starts = range(0, config.scenes, CHUNK)
    return [(folder, config, i) for i in starts if not (folder / "chunks" / f"{i:06d}.json").exists()]
