"""Commercials without end: several shots of one product, cut or dissolved, with overlays, a voice, and exact truth.

    film = make_commercial(seed=7, height=64, width=64)            # 17 frames
    plan = plan_commercial(seed=7, aspect=9 / 16); film_commercial(plan, 256, 144, frames=49)

A plan is the commercial independent of size and frame count; filming it gives frames and truth. Same plan, same bytes.
Legend: T frames, H x W pixels, N overlays; boxes (x0, y0, x1, y1) in pixels, the last ones outside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datapipe.worlds.identities import Identity, sample_identity
from datapipe.worlds.motion import FOCAL, KEYS, Motion, vary
from datapipe.worlds.overlays import Overlay, lay_over, sample_overlays
from datapipe.worlds.scripts import describe
from datapipe.worlds.shoot import Take, shoot
from datapipe.worlds.staging import Stage, sample_look, sample_presenter, stage
from datapipe.worlds.voices import Voice, envelope, sample_voice

_STREAM = 4100  # keeps these seeds' random streams apart from those of single scenes
IDENTITIES = 2**31
SHORTEST = 4  # frames of a shot

STORIES: tuple[tuple[str, ...], ...] = (
    ("wide", "close", "pack"), ("close", "wide", "pack"), ("talk", "close", "pack"), ("wide", "talk", "pack"),
    ("wide", "medium", "close", "pack"), ("medium", "close", "pack"), ("talk", "pack"), ("close", "pack"),
    ("wide", "pack"), ("wide", "close"), ("talk", "close"), ("medium",), ("pack",), ("talk",),
)  # fmt: skip
# The camera moves and subject motions that suit a shot.
MOVES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "wide": (("pan-left", "pan-right", "dolly-in", "orbit-left", "orbit-right", "tilt-up", "dolly-out"),
             ("still", "float", "turn")),
    "medium": (("static", "dolly-in", "dolly-out", "orbit-left", "orbit-right", "tilt-down", "roll-left",
                "roll-right"), ("still", "float", "turn", "light-sweep")),
    "close": (("static", "pan-left", "pan-right", "tilt-up", "tilt-down", "dolly-in"),
              ("still", "turn", "light-sweep", "light-sweep")),
    "pack": (("static", "static", "dolly-in", "dolly-out"), ("still", "float", "turn", "light-sweep")),
    "talk": (("static", "static", "dolly-in", "pan-left", "pan-right"), ("still",)),
}  # fmt: skip


@dataclass(frozen=True)
class Shot:
    """One shot: its part of the story, its stage, its motion, and what it shows in words."""

    role: str  # wide | medium | close | pack | talk
    stage: Stage
    motion: Motion
    caption: str


@dataclass(frozen=True)
class Join:
    """Between two shots: where it is, as a share of the film, and how: `length` is a dissolve's share, 0 for a cut."""

    kind: str  # cut | dissolve
    at: float
    length: float


@dataclass(frozen=True)
class Plan:
    """A commercial before it is filmed."""

    seed: int
    aspect: float
    identity: Identity
    shots: tuple[Shot, ...]
    joins: tuple[Join, ...]
    overlays: tuple[Overlay, ...]
    voice: Voice

    @property
    def seconds(self) -> float:
        return self.voice.seconds

    @property
    def caption(self) -> str:
        """The whole film in words."""
        text = self.shots[0].caption
        for join, shot in zip(self.joins, self.shots[1:], strict=True):
            text += f" {'Cut' if join.kind == 'cut' else 'Dissolve'} to {shot.caption[0].lower()}{shot.caption[1:]}"
        return text


@dataclass(frozen=True)
class Cut:
    """A join in frames: `frame` is the first that shows more of the new shot; frames start..stop-1 show both."""

    kind: str
    frame: int
    start: int
    stop: int


@dataclass(frozen=True)
class Commercial:
    """A filmed plan. Truth of a frame is that of the shot that shows most; `share` tells how much of it shows.

    Flow is backward to the first frame of that shot (`first`), in shares of the frame: `frame[t](p)` shows what
    `frame[first[t]](p + flow)` does, where `seen` holds, no overlay covers it and the share of both frames is 1.
    Layers count from 0, the backdrop, to the product; `depths` holds theirs, shot by shot (of a floor: its far edge),
    in product depths.
    """

    plan: Plan
    frames: np.ndarray  # [T, H, W, 3] uint8
    shot: np.ndarray  # [T] uint8
    share: np.ndarray  # [T] float32, above 0.5
    first: np.ndarray  # [T] int32
    cuts: tuple[Cut, ...]
    camera: np.ndarray  # [T, 3, 4] float32, world to camera since the shot's first frame; unit: the product's depth
    flow: np.ndarray  # [T, H, W, 2] float32
    seen: np.ndarray  # [T, H, W] bool
    layer: np.ndarray  # [T, H, W] uint8
    mask: np.ndarray  # [T, H, W] uint8, the product's coverage
    light: np.ndarray  # [T, H, W] float32, of a light sweep
    overlay: np.ndarray  # [T, H, W] uint8, coverage by overlays
    boxes: np.ndarray  # [N, T, 4] int32, of each overlay's ink and panel; -1 where it does not show
    loudness: np.ndarray  # [T] float32, the voice's envelope: how far a presenter's mouth is open
    face: np.ndarray  # [T, 4] float32, -1 where no presenter shows
    label: np.ndarray  # [T, 4] float32, of `plan.identity.label` on the product, -1 where it has none

    focal = FOCAL  # of a frame that spans 2 sqrt(aspect) x 2 / sqrt(aspect)

    @property
    def depths(self) -> tuple[tuple[tuple[str, float], ...], ...]:
        """Of each shot its layers from far to near, as (kind, depth)."""
        return tuple(
            (*((plane.kind, plane.depth) for plane in shot.stage.scene.planes), ("product", 1.0))
            for shot in self.plan.shots
        )


def make_commercial(seed: int, height: int, width: int, frames: int = KEYS, identity: int | None = None) -> Commercial:
    """A commercial by seed; `identity`: the number of the product it is for, otherwise by seed too."""
    return film_commercial(plan_commercial(seed, width / height, identity), height, width, frames)


def plan_commercial(seed: int, aspect: float, identity: int | None = None) -> Plan:
    """What happens in a commercial. ValueError: an aspect outside 0.25..4, a negative seed or identity."""
    if not 0.25 <= aspect <= 4:
        raise ValueError("The aspect of a frame lies between 0.25 and 4.")
    if seed < 0:
        raise ValueError("The seed of a commercial is 0 or more.")
    rng = np.random.default_rng([_STREAM, seed])
    number = int(rng.integers(IDENTITIES))
    product = sample_identity(number if identity is None else identity)
    roles = STORIES[int(rng.integers(len(STORIES)))]
    look = sample_look(rng, product, aspect)
    presenter = sample_presenter(rng, look.light)
    voice = sample_voice(rng, float(rng.uniform(0.65, 0.95)) * (1 + len(roles)))
    stages = [stage(rng, product, look, role, aspect, presenter if role == "talk" else None) for role in roles]
    overlays = sample_overlays(rng, product, roles, tuple(made.grounds for made in stages))
    shots = []
    for index, (role, made) in enumerate(zip(roles, stages, strict=True)):
        motion = _motion(rng, role)
        laid = [overlay for overlay in overlays if overlay.first <= index <= overlay.last]
        shots.append(Shot(role, made, motion, describe(rng, role, product, made, motion, laid)))
    return Plan(seed, aspect, product, tuple(shots), _joins(rng, len(roles)), overlays, voice)


def film_commercial(plan: Plan, height: int, width: int, frames: int = KEYS, overlays: bool = True) -> Commercial:
    """Frames and truth of a plan. ValueError: too few frames for its shots, a size of another aspect."""
    if frames < SHORTEST * len(plan.shots):
        raise ValueError(f"{len(plan.shots)} shots take {SHORTEST * len(plan.shots)} frames or more.")
    if abs(width / height / plan.aspect - 1) > 0.05:
        raise ValueError(f"This commercial was planned for an aspect of {plan.aspect:.3f}, not {width}x{height}.")
    cuts = _cuts(plan, frames)
    loudness = envelope(plan.voice, np.arange(frames) / frames * plan.seconds)
    takes = []
    for shot, start, stop in zip(plan.shots, *_spans(cuts, frames, whole=True), strict=True):
        takes.append((start, shoot(shot.stage, shot.motion, height, width, loudness[start:stop])))
    made = _edited(plan, takes, cuts, frames, height, width)
    cover, boxes = np.zeros((frames, height, width), np.uint8), np.full((len(plan.overlays), frames, 4), -1, np.int32)
    spans = tuple(zip(*_spans(cuts, frames, whole=False), strict=True))
    for index, overlay in enumerate(plan.overlays if overlays else ()):
        laid, boxes[index] = lay_over(made["frames"], overlay, spans)
        np.maximum(cover, laid, out=cover)
    return Commercial(plan=plan, cuts=cuts, overlay=cover, boxes=boxes, loudness=loudness, **made)


def _motion(rng: np.random.Generator, role: str) -> Motion:
    cameras, subjects = MOVES[role]
    strength, subject_strength = (float(s) for s in rng.uniform(0.25, 1.0, 2))
    camera = cameras[int(rng.integers(len(cameras)))]
    subject = subjects[int(rng.integers(len(subjects)))]
    return vary(Motion(camera, strength * (0.6 if role == "talk" else 1.0), subject, subject_strength), rng)


def _joins(rng: np.random.Generator, shots: int) -> tuple[Join, ...]:
    lengths = rng.uniform(0.85, 1.2, shots)
    ends = np.cumsum(lengths / lengths.sum())[:-1]
    kinds = rng.random(shots - 1) < 0.3
    return tuple(
        Join("dissolve" if slow else "cut", float(end), float(rng.uniform(0.1, 0.22)) if slow else 0.0)
        for end, slow in zip(ends, kinds, strict=True)
    )


def _cuts(plan: Plan, frames: int) -> tuple[Cut, ...]:
    """Joins in frames: every shot has its shortest length, and a dissolve leaves its shots a frame of their own."""
    at = [round(join.at * frames) for join in plan.joins]
    for i in range(len(at)):
        at[i] = max(at[i], (at[i - 1] if i else 0) + SHORTEST)
    for i in reversed(range(len(at))):
        at[i] = min(at[i], (at[i + 1] if i + 1 < len(at) else frames) - SHORTEST)
    edges = [0, *at, frames]
    cuts = []
    for i, join in enumerate(plan.joins):
        room = (min(edges[i + 1] - edges[i], edges[i + 2] - edges[i + 1]) - 1) // 2
        half = max(1, min(room, round(join.length * frames / 2))) if join.kind == "dissolve" else 0
        cuts.append(Cut(join.kind, at[i], at[i] - half, at[i] + half))
    return tuple(cuts)


def _spans(cuts: tuple[Cut, ...], frames: int, whole: bool) -> tuple[list[int], list[int]]:
    """First frames, and those after the last, of all shots: of what they are filmed for, or of where they show most."""
    starts = [0, *(cut.start if whole else cut.frame for cut in cuts)]
    stops = [*(cut.stop if whole else cut.frame for cut in cuts), frames]
    return starts, stops


def _edited(
    plan: Plan, takes: list[tuple[int, Take]], cuts: tuple[Cut, ...], frames: int, height: int, width: int
) -> dict[str, np.ndarray]:
    """The takes as one film: truth of the one that shows most, pixels of both in a dissolve."""
    shown = list(zip(*_spans(cuts, frames, whole=False), strict=True))
    made = {
        name: np.concatenate(
            [getattr(take, name)[a - at : b - at] for (at, take), (a, b) in zip(takes, shown, strict=True)]
        )
        for name in ("frames", "layer", "flow", "seen", "mask", "light", "camera", "face", "label")
    }
    made["shot"] = np.repeat(np.arange(len(takes)), [b - a for a, b in shown]).astype(np.uint8)
    made["first"] = np.array([takes[i][0] for i in made["shot"]], np.int32)
    made["share"] = np.ones(frames, np.float32)
    for i, cut in enumerate(cuts):
        (at_old, old), (at_new, new) = takes[i], takes[i + 1]
        for t in range(cut.start, cut.stop):
            share = (t - cut.start + 1) / (cut.stop - cut.start + 1)
            made["frames"][t] = old.frames[t - at_old] * (1 - share) + new.frames[t - at_new] * share
            made["share"][t] = max(share, 1 - share)
    made["frames"] = np.round(made["frames"]).astype(np.uint8)
    return made
