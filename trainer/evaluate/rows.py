"""Scores of many clips -> rows of the table. One function a figure; its docstring is the figure's definition."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from trainer.evaluate.motion import LEAST
from trainer.evaluate.work import EXACT, HOMOGRAPHY, OURS, RANDOM, STILL, ClipScores

KINDS = (OURS, HOMOGRAPHY, STILL, RANDOM, EXACT)
BASELINES = (HOMOGRAPHY, STILL, RANDOM, EXACT)
Figure = Callable[[list[ClipScores], str], float | None]


@dataclass(frozen=True)
class Goal:
    """What a figure has to reach: at least `low`, at most `high`; with neither, it only has to be told."""

    low: float | None = None
    high: float | None = None

    def met(self, value: float | None) -> bool:
        if value is None or not np.isfinite(value):
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        if self.low is None and self.high is None:
            return "told"
        if self.low is not None and self.high is not None:
            return f"{self.low:g}–{self.high:g}"
        return f">= {self.low:g}" if self.low is not None else f"<= {self.high:g}"


@dataclass(frozen=True)
class Row:
    """One line of the table. `baselines`: the same figure of other films; `peer` is the one to compare with."""

    what: str
    unit: str
    goal: Goal
    ours: float | None
    peer_name: str = ""
    baselines: dict[str, float | None] = field(default_factory=dict)
    scenes: int = 0
    detail: dict[str, Any] = field(default_factory=dict)
    is_motion: bool = False  # random weights have to miss the goal

    @property
    def met(self) -> bool:
        return self.goal.met(self.ours)

    @property
    def peer(self) -> float | None:
        return self.baselines.get(self.peer_name)

    @property
    def ratio(self) -> float | None:
        return None if self.ours is None or not self.peer else self.ours / self.peer


def sign_share(clips: list[ClipScores], kind: str) -> float | None:
    """Share (%) of films of an asked camera move that go the asked way, by at least a tenth of the exact travel.

    Pan, tilt, log-scale and roll of a similarity fitted to the scene's flow (to the product's where the scene has no
    texture); for orbit the product's travel beyond the scene's. Turning products are left out of orbit.
    """
    travel = _values(clips, kind, "travel")
    return 100 * float(np.mean([value > LEAST for value in travel])) if travel else None


def strength_rank(clips: list[ClipScores], kind: str) -> float | None:
    """Spearman's rank correlation of asked strength and measured travel, as a share of the exact full move's travel."""
    pairs = [
        (score.clip.camera_strength, made)
        for score in clips
        if kind in score.motion and (made := score.motion[kind].strength) is not None
    ]
    return _spearman(pairs)


def error_to_homography(clips: list[ClipScores], kind: str) -> float | None:
    """Mean end-point error of the last frame's flow, over that of the photo moved by the best homography.

    On scenes where no homography explains the exact flow within 0.4 % of the width.
    """
    pairs = [
        (score.motion[kind].endpoint_error, peer.endpoint_error)
        for score in clips
        if kind in score.motion and (peer := score.motion.get(HOMOGRAPHY)) and peer.endpoint_error is not None
    ]
    return float(np.sum([ours for ours, _ in pairs]) / np.sum([peer for _, peer in pairs])) if pairs else None


def revealed_psnr(clips: list[ClipScores], kind: str) -> float | None:
    """Mean PSNR (dB) of the last frame, against the exact rendering, where it must show what the product hid."""
    values = [score.revealed[kind] for score in clips if kind in score.revealed]
    return float(np.mean(values)) if values else None


def bend_median(clips: list[ClipScores], kind: str) -> float | None:
    """Flow inside the exact mask off its own best homography, % of the width, median; still/float under
    static, pan, tilt, dolly and roll, at a quarter, half, three quarters and the end."""
    return _pooled(clips, kind, "bend", 50)


def bend_p95(clips: list[ClipScores], kind: str) -> float | None:
    """As `bend_median`, the 95th percentile."""
    return _pooled(clips, kind, "bend", 95)


def inside_error(clips: list[ClipScores], kind: str) -> float | None:
    """Turn and orbit: the last frame's flow against the exact one inside the mask, % of the width, median."""
    return _pooled(clips, kind, "inside_error", 50)


def light_share(clips: list[ClipScores], kind: str) -> float | None:
    """Light sweeps whose light is the exact one's by a quarter at least (`MotionScores.light`), %."""
    values = _values(clips, kind, "light")
    return 100 * float(np.mean([value > 0.25 for value in values])) if values else None


def parallax_share(clips: list[ClipScores], kind: str) -> float | None:
    """Orbits whose parallax is at least a quarter of the exact one, %: they are not frozen."""
    values = _values([score for score in clips if score.clip.camera.startswith("orbit")], kind, "travel")
    return 100 * float(np.mean([value > 0.25 for value in values])) if values else None


def obedience(clips: list[ClipScores], kind: str, which: str) -> float | None:
    """Films that show what the sentence says (`contradicted`: what the control says) and whose settings say so, %."""
    asked = [found for score in clips if (found := score.prompts.get(kind)) and found.kind == which]
    return 100 * float(np.mean([found.obeyed for found in asked])) if asked else None


def motion_rows(clips: list[ClipScores]) -> list[Row]:
    """Every row on motion, with its baselines."""
    rows = [
        _row("camera goes the asked way", "% of films", Goal(low=95), sign_share, clips),
        _row("asked against measured strength", "Spearman", Goal(low=0.9), strength_rank, clips),
        _row(
            "end-point error over the best homography's, parallax scenes",
            "x",
            Goal(high=0.6),
            error_to_homography,
            clips,
        ),
        _revealed_row(clips),
        _row("bend inside the product, median", "% of width", Goal(high=0.5), bend_median, clips),
        _row("bend inside the product, p95", "% of width", Goal(high=1.5), bend_p95, clips),
        _row("turn and orbit: error inside the product, median", "% of width", Goal(high=1.0), inside_error, clips),
        _row("light sweeps that light the product", "% of films", Goal(low=80), light_share, clips),
        _row("orbits with parallax", "% of films", Goal(low=80), parallax_share, clips),
    ]
    return [row for row in rows if row.scenes]


def prompt_rows(clips: list[ClipScores]) -> list[Row]:
    """Prompt alone, and explicit controls against the prompt; what the exact fields miss is the judge's own error."""
    names = {
        "camera": "prompt alone: camera move obeyed",
        "subject": "prompt alone: subject motion obeyed",
        "contradicted": "explicit control wins over the prompt",
    }
    rows = []
    for which, what in names.items():
        count = sum(1 for score in clips if (found := score.prompts.get(OURS)) and found.kind == which)
        values = {kind: obedience(clips, kind, which) for kind in (OURS, RANDOM, EXACT)}
        baselines = {kind: values[kind] for kind in (RANDOM, EXACT)}
        rows.append(Row(what, "% of films", Goal(low=80), values[OURS], RANDOM, baselines, count, is_motion=True))
    return [row for row in rows if row.scenes]


def picture_rows(clips: list[ClipScores]) -> list[Row]:
    """Sharpness, halo, first frame, flicker, seeds."""
    sharp, halos, first = (_known(score, clips) for score in ("sharpness", "halo", "first_frame"))
    flicker = [
        score.changes[OURS] for score in clips if score.clip.camera == "static" and score.clip.subject == "still"
    ]
    seeds, same = _known("other_seed", clips), _known("same_seed", clips)
    seed_goal = Goal(low=2)
    rows = [
        plain_row("sharpness of the last frame over a Lanczos warp, median", "x", Goal(0.85, 1.15), np.median, sharp),
        *halo_rows("halo at the product's edge", halos),
        plain_row("first frame against the reframed photo, least", "dB", Goal(low=45), np.min, first),
        plain_row("flicker of static + still, mean", "/255", Goal(high=0.5), np.mean, flicker),
        plain_row("another seed moves otherwise, median", "px at 1080", seed_goal, np.median, seeds, same),
    ]
    return [row for row in rows if row.scenes]


def halo_rows(what: str, halos: list[float]) -> list[Row]:
    """The usual film, and the worst ones: a halo in one film of ten is seen."""
    return [
        plain_row(f"{what}, median", "px at 1080", Goal(high=4), np.median, halos),
        plain_row(f"{what}, p90", "px at 1080", Goal(high=6), partial(np.percentile, q=90), halos),
    ]


def _row(what: str, unit: str, goal: Goal, figure: Figure, clips: list[ClipScores]) -> Row:
    values = {kind: figure(clips, kind) for kind in KINDS}
    count = (
        sum(1 for score in clips if figure([score], OURS) is not None)
        if figure is not strength_rank
        else len(_values(clips, OURS, "strength"))
    )
    baselines = {kind: values[kind] for kind in BASELINES}
    return Row(what, unit, goal, values[OURS], HOMOGRAPHY, baselines, count, is_motion=True)


def plain_row(
    what: str,
    unit: str,
    goal: Goal,
    figure: Callable[..., Any],
    ours: list[float],
    same_seed: list[float] | None = None,
) -> Row:
    """A figure of single clips; the peer is the same request with the same seed, where there is one."""
    baselines: dict[str, float | None] = {"same seed": float(figure(same_seed))} if same_seed else {}
    value = float(figure(ours)) if ours else None
    return Row(what, unit, goal, value, "same seed" if same_seed else "", baselines, len(ours), _spread(ours))


def _revealed_row(clips: list[ClipScores]) -> Row:
    """The goal is the better of the two pixel baselines on the same scenes."""
    values = {kind: revealed_psnr(clips, kind) for kind in KINDS}
    peer = max((STILL, HOMOGRAPHY), key=lambda kind: values[kind] or 0.0)
    count = sum(1 for score in clips if OURS in score.revealed)
    baselines = {kind: values[kind] for kind in BASELINES}
    return Row(
        "PSNR in revealed pixels",
        "dB",
        Goal(low=values[peer] or 0.0),
        values[OURS],
        peer,
        baselines,
        count,
        is_motion=True,
    )


def _values(clips: Iterable[ClipScores], kind: str, name: str) -> list[float]:
    found = [getattr(score.motion[kind], name) for score in clips if kind in score.motion]
    return [value for value in found if value is not None]


def _known(name: str, clips: Iterable[ClipScores]) -> list[float]:
    return [value for score in clips if (value := getattr(score, name)) is not None]


def _pooled(clips: Iterable[ClipScores], kind: str, name: str, percent: float) -> float | None:
    values = [value for score in clips if kind in score.motion for value in getattr(score.motion[kind], name)]
    return 100 * float(np.percentile(values, percent)) if values else None


def _spearman(pairs: list[tuple[float, float]]) -> float | None:
    if len(pairs) < 3:
        return None
    asked, made = zip(*pairs, strict=True)
    return float(spearmanr(asked, made).statistic) if np.ptp(made) > 1e-6 else 0.0


def _spread(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    names = {"p5": 5, "median": 50, "p95": 95}
    return {name: round(float(np.percentile(values, percent)), 4) for name, percent in names.items()}
