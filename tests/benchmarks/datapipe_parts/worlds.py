"""How fast the worlds are made: 64 px, 17 frames, two processes with one thread each, their textures made before.

By the clock it depends on what else the machine does; by CPU time (twice the clips over all seconds of CPU that the two
processes took) it does not, or much less. Films: one scene in three motions, as the banks hold them; and one scene a
film. Commercials: frames with every truth. The first seeds are not counted: they make the texture tiles of a process.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import cv2

from datapipe.worlds.commercial import make_commercial
from datapipe.worlds.film import make_films

GOAL = 60.0  # clips a second on two cores
CORES, SIDE = 2, 64
KINDS = {"films, three of a scene": 3, "films, one of a scene": 1, "commercials with all truth": 0}
WARM, SHORT, LONG = 150, 60, 240  # scenes of a process


def rows(reduced: bool) -> list[dict[str, Any]]:
    count = SHORT if reduced else LONG
    made = []
    with ProcessPoolExecutor(CORES, mp_context=get_context("spawn")) as pool:
        list(pool.map(_warm, range(CORES)))
        for name, films in KINDS.items():
            started = time.perf_counter()
            spent = list(pool.map(_make, [films] * CORES, [count] * CORES, range(CORES)))
            wall = time.perf_counter() - started
            clips = CORES * count * max(films, 1)
            made.append(_row(f"{name}, by the clock", clips / wall))
            made.append(
                _row(f"{name}, by CPU time ({1000 * sum(spent) / clips:.1f} ms a clip)", CORES * clips / sum(spent))
            )
    return made


def _warm(process: int) -> int:
    """Textures, in a process of its own: whoever comes second waits for the first, so both are warmed."""
    cv2.setNumThreads(1)
    for seed in range(WARM):
        make_films(seed, SIDE, SIDE, 1)
        make_commercial(seed, SIDE, SIDE)
    time.sleep(1.0)
    return os.getpid()


def _make(films: int, count: int, process: int) -> float:
    """Make `count` scenes or commercials; seconds of CPU."""
    cv2.setNumThreads(1)
    started = time.process_time()
    for seed in range(10_000 + process * count, 10_000 + (process + 1) * count):
        if films:
            make_films(seed, SIDE, SIDE, films)
        else:
            make_commercial(seed, SIDE, SIDE)
    return time.process_time() - started


def _row(what: str, value: float) -> dict[str, Any]:
    return {"what": f"{what}, 64 px, 17 frames", "ours": value, "peer": None, "ratio": None, "unit": "clips/s",
            "goal": f">= {GOAL:.0f} on two cores", "met": value >= GOAL}  # fmt: skip
