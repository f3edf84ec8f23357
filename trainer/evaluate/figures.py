"""Scores of many films -> the figures of the report, each with its baselines, and with an interval where it has one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from trainer.evaluate import rows
from trainer.evaluate.cases import BASELINES, KINDS, OURS, Case
from trainer.evaluate.flow_loss import seed_interval
from trainer.evaluate.memory import Nearest, memorised
from trainer.evaluate.motion import score_motion
from trainer.evaluate.pictures import psnr, revealed_pixels
from trainer.evaluate.quality import Quality, identity_margins, product_features, score_film
from trainer.evaluate.work import ClipScores

EXACT: Final = "exact film"
DRAWS = 200  # of the bootstrap
Better = Literal["higher", "lower", "near 1"]
Rival = Literal["baselines", "exact film"]


@dataclass
class CaseScores:
    """What the films of one scene scored, by kind. `photo`: features of the product in the photo."""

    motion: ClipScores
    quality: dict[str, Quality]
    photo: np.ndarray | None


@dataclass(frozen=True)
class Figure:
    """One line of the report. `values` by kind; `low`, `high`: the 95 % interval of ours; None: not measured."""

    name: str
    unit: str
    better: Better
    about: str
    values: dict[str, float | None]
    low: float | None = None
    high: float | None = None
    scenes: int = 0
    rival: Rival = "baselines"  # what ours has to be held against

    @property
    def ours(self) -> float | None:
        return self.values.get(OURS)

    @property
    def best_baseline(self) -> tuple[str, float] | None:
        """The baseline that does best, and its value."""
        known = {kind: value for kind in BASELINES if (value := self.values.get(kind)) is not None}
        if not known:
            return None
        ranked = {"higher": lambda v: -v, "lower": lambda v: v, "near 1": lambda v: abs(np.log(max(v, 1e-6)))}
        kind = min(known, key=lambda name: ranked[self.better](known[name]))
        return kind, known[kind]


def score_case(case: Case, films: dict[str, np.ndarray]) -> CaseScores:
    """Score every film of a scene."""
    motion = ClipScores(case.clip)
    revealed = revealed_pixels(case.world, case.answers)
    for kind, film in films.items():
        motion.motion[kind] = score_motion(case.answers, list(film[::2]))
        if revealed is not None:
            motion.revealed[kind] = psnr(film[-1], revealed[1], revealed[0])
    quality = {kind: score_film(film, case.exact, case.mask) for kind, film in films.items()}
    return CaseScores(motion, quality, product_features(case.photo, case.mask))


def film_figures(scores: list[CaseScores]) -> list[Figure]:
    """The figures that films alone decide."""

    def clips(some: list[CaseScores]) -> list[ClipScores]:
        return [one.motion for one in some]

    def mean_of(name: str) -> Callable[[list[CaseScores], str], float | None]:
        def mean(some: list[CaseScores], kind: str) -> float | None:
            found = [getattr(one.quality[kind], name) for one in some if kind in one.quality]
            known = [value for value in found if value is not None]
            return float(np.mean(known)) if known else None

        return mean

    def median_sharpness(some: list[CaseScores], kind: str) -> float | None:
        found = [one.quality[kind].sharpness for one in some if kind in one.quality]
        return float(np.median(found)) if found else None

    make = _Maker(scores)
    return [
        make(
            "Camera goes the asked way", "% of films", "higher",
            "Films of an asked camera move that go that way by a tenth of the exact travel at least, read from pixels.",
            lambda some, kind: rows.sign_share(clips(some), kind),
        ),
        make(
            "Asked against measured strength", "Spearman", "higher",
            "Do stronger wishes make stronger moves? Rank correlation over all moving films.",
            lambda some, kind: rows.strength_rank(clips(some), kind),
        ),
        make(
            "End-point error", "x best homography", "lower",
            "Flow of the last frame against the exact one, on scenes with parallax, over the best homography's error.",
            lambda some, kind: rows.error_to_homography(clips(some), kind),
        ),
        make(
            "Revealed region", "dB PSNR", "higher",
            "Where the last frame must show what the product hid in the photo, against the exact rendering.",
            lambda some, kind: rows.revealed_psnr(clips(some), kind),
        ),
        make(
            "Nearness to the exact film", "dB PSNR", "higher",
            "Mean over the frames after the first, of films that should move.", mean_of("fidelity"),
        ),
        make(
            "Identity of the product", "% of films", "higher",
            "Films whose last frame shows the photo's own product rather than any other product of this run.",
            _identity, EXACT,
        ),
        make(
            "Colour drift", "CIE76", "lower",
            "The product's mean colour, last frame against the photo. Below 2 is hardly seen.", mean_of("colour_drift"),
            EXACT,
        ),
        make(
            "Sharpness", "x exact film", "near 1",
            "Detail (variance of the Laplacian) of the last frame over that of the exact last frame, median.",
            median_sharpness, EXACT,
        ),
        make(
            "Flicker", "of 255", "lower",
            "Distance of a frame from the mean of its neighbours. A still film has none: read it beside the motion.",
            mean_of("flicker"), EXACT,
        ),
        make(
            "Warp error", "of 255", "lower",
            "Difference of frames after the next is warped back by its flow. A still film has none either.",
            mean_of("warp_error"), EXACT,
        ),
    ]  # fmt: skip


def flow_figure(losses: dict[str, np.ndarray], clips: int) -> Figure:
    """The held-out flow loss of all kinds, with the interval over seeds of ours."""
    found = {kind: seed_interval(values) for kind, values in losses.items()}
    seeds = len(losses[OURS])
    return Figure(
        "Held-out flow loss",
        "mean square",
        "lower",
        f"Error of the velocity on {clips} unseen clips at five fixed times, {seeds} draws of fixed noise; the "
        f"interval is over the draws.",
        {kind: mean for kind, (mean, _, _) in found.items()},
        found[OURS][1],
        found[OURS][2],
        clips,
    )


def memory_figure(found: dict[str, list[Nearest]], searched: int, of: int) -> Figure:
    """Distance to the nearest training clip, over that of unseen clips of the same scenes."""
    unseen = found[EXACT]
    values: dict[str, float | None] = {kind: memorised(some, unseen) for kind, some in found.items()}
    return Figure(
        "Distance to the nearest training clip",
        "x unseen clips'",
        "higher",
        f"Near 0: a copy of a training clip. About 1: as far from them as a new clip is. Searched {searched} of {of} "
        f"training scenes.",
        values,
        scenes=len(unseen),
        rival=EXACT,
    )


def _identity(some: list[CaseScores], kind: str) -> float | None:
    photos = [one.photo for one in some]
    if len(some) < 2 or all(photo is None for photo in photos) or any(kind not in one.quality for one in some):
        return None
    margins = identity_margins([one.quality[kind].features for one in some], photos)
    return 100 * float(np.mean([margin > 0 for margin in margins]))


class _Maker:
    """Makes the figures of one run."""

    def __init__(self, scores: list[CaseScores]) -> None:
        self.scores = scores

    def __call__(
        self,
        name: str,
        unit: str,
        better: Better,
        about: str,
        figure: Callable[[list[CaseScores], str], float | None],
        rival: Rival = "baselines",
    ) -> Figure:
        scores, rng = self.scores, np.random.default_rng(0)
        values = {kind: figure(scores, kind) for kind in KINDS}
        draws = [figure([scores[i] for i in rng.integers(0, len(scores), len(scores))], OURS) for _ in range(DRAWS)]
        known = [value for value in draws if value is not None]
        has_interval = values[OURS] is not None and len(scores) > 2 and name != "Identity of the product"
        low, high = np.percentile(known, [2.5, 97.5]) if has_interval and known else (None, None)
        ranked = [one for one in scores if one.motion.motion[OURS].strength is not None]  # one film has no rank
        counted = len(ranked) if unit == "Spearman" else sum(figure([one], OURS) is not None for one in scores)
        return Figure(
            name, unit, better, about, values,
            None if low is None else float(low), None if high is None else float(high),
            len(scores) if "Identity" in name else counted, rival,
        )  # fmt: skip
