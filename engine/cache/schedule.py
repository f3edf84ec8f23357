"""The search for schedules: which steps compute what, and with which weights the others are forecast.

Legend: N steps, K = 2 N recorded velocities (asked, then unasked), in whose terms everything is written here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from engine.cache.budget import written
from engine.cache.policies import ALL, Choice, Compute

BEAM = 4  # schedules kept at each amount of work
RIDGE = 1e-7  # of the fits, as a share of their scale: velocities of neighbouring steps are nearly the same
PULL = 0.5  # of the error that is already there, what a forecast is fitted to take back
LADDER = 1.2  # of what is found, only what differs in error by this factor is worth a measurement
SAVED = {Compute.ALL: 0, Compute.ASKED: 1, Compute.NONE: 2}  # half calls

Kinds = tuple[Compute, ...]
Pair = tuple[np.ndarray, np.ndarray]  # asked and unasked velocity [K]


@dataclass(frozen=True)
class Found:
    """The first steps of a schedule: what is held of them (newest first), and what they add to the final latents'
    error [K].
    """

    choices: tuple[Choice, ...]
    known: tuple[Pair, ...]
    error_K: np.ndarray


class Search:
    """The errors of schedules at one grid of times, from the mean inner products of what was recorded."""

    def __init__(self, gram_KK: np.ndarray, times: Sequence[float], guidance: float) -> None:
        self.gram, self.guidance = gram_KK, guidance
        self.spans = [then - now for now, then in pairwise(times)]
        asked, unasked = np.split(np.eye(len(gram_KK)), 2)
        self.exact = list(zip(asked, unasked, strict=True))
        self.found: dict[Kinds, Found] = {(): Found((), (), np.zeros(len(gram_KK)))}

    def error(self, kinds: Kinds) -> float:
        """The predicted error of a whole schedule, relative to the final latents."""
        error_K = self.after(kinds).error_K
        return float(np.sqrt(max(error_K @ self.gram @ error_K, 0.0)))

    def after(self, kinds: Kinds) -> Found:
        """The forecasts of such a beginning, fitted one after another; beginnings are shared by many schedules."""
        if kinds not in self.found:
            before, step = self.after(kinds[:-1]), len(kinds) - 1
            drift_K = PULL / self.spans[step] * before.error_K
            made, choice = self._step(kinds[-1], self.exact[step], before.known, drift_K)
            left = self._guided(made) - self._guided(self.exact[step])
            known = before.known if kinds[-1] is Compute.NONE else (made, *before.known[:1])
            self.found[kinds] = Found((*before.choices, choice), known, before.error_K + self.spans[step] * left)
        return self.found[kinds]

    def _step(self, kind: Compute, exact: Pair, known: Sequence[Pair], drift_K: np.ndarray) -> tuple[Pair, Choice]:
        if kind is Compute.ALL:
            return exact, ALL
        if kind is Compute.NONE:
            weights = self._fit([self._guided(pair) for pair in known], self._guided(exact) - drift_K)
            asked, unasked = (weights @ np.stack(half) for half in zip(*known, strict=True))
            return (asked, unasked), Choice(kind, tuple(weights.tolist()))
        basis = [exact[0], *(x for pair in known for x in reversed(pair))]
        weights = self._fit(basis, exact[1] - drift_K / (1 - self.guidance))
        return (exact[0], weights @ np.stack(basis)), Choice(kind, tuple(weights.tolist()))

    def _fit(self, basis: Sequence[np.ndarray], target_K: np.ndarray) -> np.ndarray:
        """Least squares over all requests."""
        basis_nK = np.stack(basis)
        seen = basis_nK @ self.gram
        products = seen @ basis_nK.T
        products[np.diag_indices(len(basis))] += RIDGE * products.trace() / len(basis)
        return np.linalg.solve(products, seen @ target_K)

    def _guided(self, pair: Pair) -> np.ndarray:
        asked, unasked = pair
        return unasked + self.guidance * (asked - unasked)


def find_schedules(gram_KK: np.ndarray, times: Sequence[float], guidance: float, kinds: Kinds) -> list[list[str]]:
    """Schedules from the dearest to the cheapest, each the best found at its work: a beam search that takes work away.

    `times` are those of the sampler, steps + 1. Step 0 is always computed; any other may become one of `kinds` (not
    ASKED where `guidance` is 1: there the unasked half counts for nothing), but step 1 never NONE: in it the guard
    looks at the request.
    """
    search, steps = Search(gram_KK, times, guidance), len(times) - 1
    beams: list[set[Kinds]] = [set() for _ in range(2 * steps - 1)]
    beams[0].add((Compute.ALL,) * steps)
    best: list[Kinds] = []
    for beam in beams:
        kept = sorted(beam, key=search.error)[:BEAM]
        for schedule in kept:
            for less in _with_less(schedule, kinds):
                beams[sum(SAVED[kind] for kind in less)].add(less)
        best += [s for s in kept[:1] if not best or search.error(s) >= LADDER * search.error(best[-1])]
    return [[written(choice) for choice in search.after(schedule).choices] for schedule in best[1:]]


def _with_less(now: Kinds, kinds: Kinds) -> list[Kinds]:
    """Every schedule in which one step computes less."""
    return [
        (*now[:i], kind, *now[i + 1 :])
        for i in range(1, len(now))
        for kind in kinds
        if SAVED[kind] > SAVED[now[i]] and (i > 1 or kind is not Compute.NONE)
    ]
