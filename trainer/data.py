"""The clip bank: generated clips on disk as memory-mapped arrays, and a sampler whose order is a function of seed and
step.

A bank holds, per format, `scenes` photos and `motions` exact motions of each. It is built once by several processes;
an interrupted build goes on with the chunks that are missing. Legend: N scenes, M motions a scene, grids as in
`datapipe.worlds.clip`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.lib.format import open_memmap

from datapipe.worlds.clip import GRIDS, make_clips
from datapipe.worlds.motion import KEYS, Motion
from trainer.chunks import build_chunks
from trainer.claim import alone, check_claim, claim

CHUNK = 32  # scenes that are built, and marked as built, together


@dataclass(frozen=True)
class BankConfig:
    """What the bank holds. `seed` is the seed of its first scene; scene i of format k has seed + k * 10^7 + i."""

    scenes: int = 4096
    motions: int = 3
    seed: int = 1
    processes: int = 2

    @property
    def described(self) -> dict[str, int]:
        """What its bytes depend on. `holds`: which arrays there are of a scene; 3 has disparities."""
        return {"scenes": self.scenes, "motions": self.motions, "seed": self.seed, "holds": 3}


class FormatBank:
    """The clips of one format."""

    def __init__(self, folder: Path) -> None:
        self.photo = np.load(folder / "photo.npy", mmap_mode="r")  # [N, H, W, 4] uint8: rgb, mask
        self.plate = np.load(folder / "plate.npy", mmap_mode="r")  # [N, H, W, 3] uint8
        self.disparity = np.load(folder / "disparity.npy", mmap_mode="r")  # [N, h, w] float16: 1 / depth of the scene
        self.fields = np.load(folder / "fields.npy", mmap_mode="r")  # [N, M, 5, 16, h, w] float16
        self.alpha = np.load(folder / "alpha.npy", mmap_mode="r")  # [N, M, 16, h, w] uint8
        self.words: list[dict[str, str]] = []
        self.motions: list[list[Motion]] = []
        for path in sorted((folder / "chunks").glob("[0-9]*.json")):
            for row in json.loads(path.read_text()):
                self.words.append(row["words"])
                self.motions.append([Motion(**m) for m in row["motions"]])


def scene_seed(first: int, format: str, scene: int) -> int:
    """The seed of a scene in the bank whose first one has the seed `first`."""
    return first + list(GRIDS).index(format) * 10_000_000 + scene


def build_bank(folder: Path, config: BankConfig, deadline: float = math.inf) -> bool:
    """Build what is missing of the bank in `folder`: True when nothing is, False when the deadline came first.

    ValueError where another bank lies there.
    """
    claim(folder / "bank.json", config.described, "bank")
    with alone(folder, "makes clips in"):
        for format in GRIDS:
            _allocate(folder / _name(format), format, config)
        tasks = sorted(_missing(folder, config), key=lambda task: task[3])  # all formats grow together
        return build_chunks(_build_chunk, tasks, config.processes, "clips", deadline)


def open_bank(folder: Path, config: BankConfig) -> dict[str, FormatBank]:
    """The banks of all formats. ValueError where there is none, another one, or one that is not whole."""
    if not (folder / "bank.json").exists():
        raise ValueError(f"There is no clip bank in {folder}. Run the stage `bank` first.")
    check_claim(folder / "bank.json", config.described, "bank")
    missing = len(_missing(folder, config))
    if missing:
        raise ValueError(f"The clip bank in {folder} is not whole: {missing} chunks are missing. Run the stage `bank`.")
    return {format: FormatBank(folder / _name(format)) for format in GRIDS}


def batch_indices(seed: int, step: int, sizes: dict[str, int], batch: int) -> tuple[str, np.ndarray]:
    """Format and item indices of one step. Each epoch is a permutation of its format; nothing is drawn twice in it, and
    nothing left out: one follows the other without a gap, also within a batch.
    """
    formats = list(sizes)
    format = formats[(step + step // len(formats)) % len(formats)]
    size, number, turn = sizes[format], formats.index(format), step // len(formats)
    epochs, places = np.divmod(turn * batch + np.arange(batch), size)
    orders = [
        np.random.default_rng((seed, number, epoch)).permutation(size) for epoch in range(epochs[0], epochs[-1] + 1)
    ]
    return format, np.stack(orders)[epochs - epochs[0], places]


def check_batches(needs: Mapping[str, tuple[int, float]], stages: Sequence[str]) -> None:
    """`needs`: of a stage the size of its batches, and how many items there will be. ValueError where one of `stages`
    would find too few, or takes none: before any is made, since what is made is not gone on with in another number.
    """
    for stage, (batch, items) in needs.items():
        if stage in stages and batch < 1:
            raise ValueError(f"A batch of the stage {stage} takes at least 1 item, and {batch} were asked for.")
        if stage in stages and batch > items:
            raise ValueError(f"A batch of the stage {stage} takes {batch} items, and there will be {items}.")


def batches(
    seed: int, start: int, steps: int, sizes: dict[str, int], batch: int
) -> Iterator[tuple[int, str, np.ndarray]]:
    """(step, format, indices) from step `start`: resuming needs nothing but the step."""
    for step in range(start, steps):
        yield step, *batch_indices(seed, step, sizes, batch)


def _name(format: str) -> str:
    return format.replace(":", "x")


def _missing(folder: Path, config: BankConfig) -> list[tuple[Path, str, BankConfig, int]]:
    """The chunks that are not marked as built."""
    tasks = []
    for format in GRIDS:
        done = {int(path.stem) for path in (folder / _name(format) / "chunks").glob("[0-9]*.json")}
        tasks += [(folder, format, config, start) for start in range(0, config.scenes, CHUNK) if start not in done]
    return tasks


def _shapes(format: str, config: BankConfig) -> dict[str, tuple[tuple[int, ...], type]]:
    height, width = GRIDS[format]
    keys, n, m = KEYS - 1, config.scenes, config.motions
    return {
        "photo": ((n, height, width, 4), np.uint8),
        "plate": ((n, height, width, 3), np.uint8),
        "disparity": ((n, height // 2, width // 2), np.float16),
        "fields": ((n, m, 5, keys, height // 2, width // 2), np.float16),
        "alpha": ((n, m, keys, height // 2, width // 2), np.uint8),
    }


def _allocate(folder: Path, format: str, config: BankConfig) -> None:
    (folder / "chunks").mkdir(parents=True, exist_ok=True)
    for name, (shape, dtype) in _shapes(format, config).items():
        if not (folder / f"{name}.npy").exists():
            open_memmap(folder / f"{name}.npy", mode="w+", dtype=dtype, shape=shape).flush()


def _build_chunk(task: tuple[Path, str, BankConfig, int]) -> None:
    folder, format, config, start = task
    cv2.setNumThreads(1)
    home = folder / _name(format)
    arrays = {name: np.load(home / f"{name}.npy", mmap_mode="r+") for name in _shapes(format, config)}
    rows = []
    for i in range(start, min(start + CHUNK, config.scenes)):
        picture, scene, clips = make_clips(scene_seed(config.seed, format, i), format, config.motions)
        arrays["photo"][i] = np.concatenate([picture.rgb, picture.mask[..., None]], -1)
        arrays["plate"][i] = picture.plate
        arrays["disparity"][i] = picture.disparity
        for j, (_, fields) in enumerate(clips):
            arrays["fields"][i, j, 0:2] = fields.scene_flow.transpose(3, 0, 1, 2)
            arrays["fields"][i, j, 2:4] = fields.product_flow.transpose(3, 0, 1, 2)
            arrays["fields"][i, j, 4] = fields.light
            arrays["alpha"][i, j] = np.round(fields.product_alpha * 255)
        rows.append({"words": scene.words, "motions": [asdict(motion) for motion, _ in clips]})
    for array in arrays.values():
        array.flush()
    temporary = home / "chunks" / f".{start:06d}.tmp"
    temporary.write_text(json.dumps(rows))
    temporary.replace(home / "chunks" / f"{start:06d}.json")
