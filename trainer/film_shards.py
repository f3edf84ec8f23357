"""`python -m trainer films`: generated films of the worlds as shards, in any sizes, for `encode` and for trying out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.progress import track

from datapipe.shards import ShardWriter
from datapipe.worlds.film import SAYS, caption, check_frame, make_films, shown_words
from trainer.data_options import FILMS_SEED


def write_films(
    out: Path,
    sizes: Sequence[tuple[int, int]],
    scenes: int,
    motions: int = 2,
    captions: int = 4,
    seed: int = FILMS_SEED,
) -> str:
    """Films of 17 frames in these sizes (height, width), scene by scene in turn; goes on where it stopped. The digest
    of the set. ValueError where the folder holds another one, or a finished one, or where no film is asked for.
    """
    if min(scenes, motions, captions, *(side for size in sizes for side in size)) < 1:
        raise ValueError("Films are of one scene, motion, caption and pixel a side at least.")
    for size in sizes:
        check_frame(*size)
    about = {
        "kind": "films",
        "sizes": [list(size) for size in sizes],
        "scenes": scenes,
        "motions": motions,
        "captions": captions,
        "seed": seed,
        "says": SAYS,
    }
    # A shard holds whole scenes: a scene is drawn once for all of its motions.
    with ShardWriter(out, about, records=motions * max(1, 64 // motions), size=1 << 40) as shards:
        for index in track(range(shards.count // motions, scenes), f"films {out.name}"):
            scene, films = make_films(seed + index, *sizes[index % len(sizes)], motions)
            for number, (motion, frames) in enumerate(films):
                rng = np.random.default_rng((seed + index, number))
                said = [caption(motion, shown_words(scene, frames[0]), rng)[0] for _ in range(captions)]
                shards.add({"frames": frames}, {"captions": said})
        return shards.finish()


def run_films(options: argparse.Namespace) -> int:
    digest = write_films(options.out, _sizes(options.sizes), options.scenes, options.motions, seed=options.seed)
    print(f"{options.scenes * options.motions} films in {options.out}, {digest}")
    return 0


def _sizes(text: str) -> list[tuple[int, int]]:
    try:
        pairs = [tuple(map(int, size.split("x"))) for size in text.split(",")]
        return [(height, width) for height, width in pairs]
    except ValueError:
        raise ValueError(f"Sizes are HEIGHTxWIDTH, as 64x64,48x80, and not {text!r}.") from None
