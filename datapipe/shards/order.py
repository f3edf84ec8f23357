"""The shuffle: which record comes when, as a function of (seed, epoch, position) and of nothing else.

No state has to be kept and no table made: any number of ranks that read any parts of it follow one order, and a run
goes on in it from a number. The permutation is a Feistel network of keyed mixing (Black and Rogaway 2002, "Ciphers with
arbitrary finite domains": cycle walking), so that it does not depend on a library's random generator either.
"""

from __future__ import annotations

import numpy as np

ROUNDS = 6
_M1, _M2, _STEP = (np.uint64(n) for n in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0x9E3779B97F4A7C15))


def draw(seed: int, size: int, positions: np.ndarray) -> np.ndarray:
    """The records, of `size`, at positions of the endless order: epoch after epoch, each a permutation of all records.

    Position p is place p % size of epoch p // size: what a batch does not take of an epoch, the next begins with.
    """
    positions = np.asarray(positions, np.int64)
    found = np.empty(len(positions), np.int64)
    for epoch in np.unique(positions // size):
        inside = positions // size == epoch
        found[inside] = shuffled(seed, int(epoch), size, positions[inside] % size)
    return found


def shuffled(seed: int, epoch: int, size: int, places: np.ndarray) -> np.ndarray:
    """The records at these places of one epoch."""
    half = max(1, (max(1, size - 1).bit_length() + 1) // 2)  # bits of each half: the domain is at most 4 x size
    mask, shift = np.uint64((1 << half) - 1), np.uint64(half)
    keys = _keys(seed, epoch)
    found = np.asarray(places, np.uint64).copy()
    left = np.ones(len(found), bool)
    while left.any():
        found[left] = _turned(found[left], keys, mask, shift)
        left = found >= size
    return found.astype(np.int64)


def _turned(values: np.ndarray, keys: np.ndarray, mask: np.uint64, shift: np.uint64) -> np.ndarray:
    high, low = values >> shift, values & mask
    for key in keys:
        high, low = low, high ^ (_mixed(low ^ key) & mask)
    return (high << shift) | low


def _keys(seed: int, epoch: int) -> np.ndarray:
    first = _mixed(np.array([seed % (1 << 64)], np.uint64)) ^ np.uint64(epoch)
    with np.errstate(over="ignore"):
        return _mixed(_mixed(first) + np.arange(1, ROUNDS + 1, dtype=np.uint64) * _STEP)


def _mixed(values: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        values = values + _STEP
        values = (values ^ (values >> np.uint64(30))) * _M1
        values = (values ^ (values >> np.uint64(27))) * _M2
    return values ^ (values >> np.uint64(31))
