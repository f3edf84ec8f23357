"""Sentences a marketer might type for a motion: templates over a closed vocabulary, sampled by seed."""

from __future__ import annotations

import numpy as np

from datapipe.worlds.motion import Motion

CAMERA_PHRASES: dict[str, tuple[str, ...]] = {
    "static": (
        "static camera",
        "the camera does not move",
        "locked off shot",
        "fixed camera on a tripod",
        "camera stays still",
        "hold the shot",
    ),
    "pan-left": (
        "pan left",
        "the camera pans left",
        "camera pans to the left",
        "a pan to the left",
        "sweep left",
        "look left",
    ),
    "pan-right": (
        "pan right",
        "the camera pans right",
        "camera pans to the right",
        "a pan to the right",
        "sweep right",
        "look right",
    ),
    "tilt-up": ("tilt up", "the camera tilts up", "camera tilts upwards", "a tilt up", "look up", "the view rises"),
    "tilt-down": (
        "tilt down",
        "the camera tilts down",
        "camera tilts downwards",
        "a tilt down",
        "look down",
        "the view sinks",
    ),
    "dolly-in": (
        "dolly in",
        "the camera moves in",
        "push in",
        "zoom in on the product",
        "move closer",
        "the camera approaches",
        "come closer to it",
    ),
    "dolly-out": (
        "dolly out",
        "the camera moves out",
        "pull back",
        "zoom out",
        "move away",
        "the camera backs off",
        "reveal the scene by pulling out",
    ),
    "orbit-left": (
        "orbit left",
        "the camera orbits to the left",
        "circle around the product to the left",
        "arc left",
        "walk around it to the left",
    ),
    "orbit-right": (
        "orbit right",
        "the camera orbits to the right",
        "circle around the product to the right",
        "arc right",
        "walk around it to the right",
    ),
    "roll-left": (
        "roll left",
        "the camera rolls left",
        "lean to the left",
        "dutch angle to the left",
        "rotate the camera left",
    ),
    "roll-right": (
        "roll right",
        "the camera rolls right",
        "lean to the right",
        "dutch angle to the right",
        "rotate the camera right",
    ),
}
SUBJECT_PHRASES: dict[str, tuple[str, ...]] = {
    "still": ("the product stays still", "nothing else moves", "the {noun} rests", "keep the {noun} still"),
    "float": (
        "the {noun} floats",
        "the product hovers",
        "a floating {noun}",
        "the {noun} bobs up and down",
        "it levitates",
        "the product floats in the air",
    ),
    "turn": (
        "the {noun} turns",
        "the product rotates",
        "a turning {noun}",
        "spin the {noun}",
        "the {noun} revolves",
        "it rotates",
    ),
    "light-sweep": (
        "a light sweeps over the {noun}",
        "light sweep",
        "a highlight glides across the product",
        "a shine passes over the {noun}",
        "a glint runs over it",
        "light moves across the {noun}",
    ),
}
WEAK, USUAL, FORCEFUL = 0.35, 0.6, 0.8  # strengths below and above are put into words
GENTLE = ("slowly", "gently", "softly", "slightly", "subtly")
STRONG = ("strongly", "quickly", "boldly", "far", "dramatically")
OPENINGS = ("", "", "", "make ", "please ", "a video where ", "commercial: ", "ad shot, ", "cinematic: ", "show ")
JOINTS = (", ", " and ", ". ", " while ", "; ", ", then ")
SCENES = (
    "{colour} {product}",
    "a {colour} {product}",
    "{product} and {place}",
    "{style} shot of a {product}",
    "our new {product}",
    "product video of a {colour} {product}",
    "premium look",
    "soft light",
    "for summer sale",
)
WHOLE_SCENES = (
    "a {colour} {product}, {style}, {place}",
    "{style} shot of a {colour} {product}, {place}",
    "a {colour} {product} before a {place}",
    "{colour} {product} and {place}",
    "our new {colour} {product} in a {style} with {place}",
)
BACKDROPS = (
    "on {tone}",
    "a {tone} background",
    "before a {tone} backdrop",
    "set against {tone}",
    "{tone} behind it",
)


def adverb(strength: float, rng: np.random.Generator) -> str:
    """A word for a strength that is clearly small or large, otherwise mostly none."""
    if strength < WEAK:
        return str(rng.choice(GENTLE))
    if strength > FORCEFUL:
        return str(rng.choice(STRONG))
    return ""


def said_strength(strength: float) -> float:
    """The strength that a sentence tells of a motion: its own where an adverb says so, else the usual one."""
    return strength if strength < WEAK or strength > FORCEFUL else USUAL


def said_force(motion: str, strength: float) -> str:
    """How forceful a sentence makes a motion: weak, usual or strong; what rests is always usual."""
    if motion in ("static", "still") or WEAK <= strength <= FORCEFUL:
        return "usual"
    return "weak" if strength < WEAK else "strong"


def camera_phrase(motion: Motion, rng: np.random.Generator) -> str:
    """The camera move in words, with its strength where that is clear."""
    phrase = str(rng.choice(CAMERA_PHRASES[motion.camera]))
    word = adverb(motion.camera_strength, rng) if motion.camera != "static" else ""
    return _with_adverb(phrase, word, rng)


def subject_phrase(motion: Motion, noun: str, rng: np.random.Generator) -> str:
    """The subject's motion in words."""
    phrase = str(rng.choice(SUBJECT_PHRASES[motion.subject])).format(noun=noun)
    word = adverb(motion.subject_strength, rng) if motion.subject not in ("still",) else ""
    return _with_adverb(phrase, word, rng)


def compose(parts: list[str], rng: np.random.Generator) -> str:
    """One prompt of several phrases in random order, case and punctuation."""
    parts = [parts[i] for i in rng.permutation(len(parts))]
    text = str(rng.choice(OPENINGS))
    for i, part in enumerate(parts):
        text += part if i == 0 else str(rng.choice(JOINTS)) + part
    if rng.random() < 0.3:
        text = text[:1].upper() + text[1:]
    return text + ("." if rng.random() < 0.3 else "")


def scene_phrase(words: dict[str, str], rng: np.random.Generator) -> str:
    """The scene in words: `words` as in `Scene.words`."""
    return str(rng.choice(SCENES)).format(**words)


def whole_scene_phrase(words: dict[str, str], rng: np.random.Generator) -> str:
    """All that the words say of the scene: for models that have to paint it."""
    return str(rng.choice(WHOLE_SCENES)).format(**words)


def backdrop_phrase(tone: str, rng: np.random.Generator) -> str:
    """What is behind, as `tones.backdrop_tone` says it, in words."""
    return str(rng.choice(BACKDROPS)).format(tone=tone)


def _with_adverb(phrase: str, word: str, rng: np.random.Generator) -> str:
    if not word:
        return phrase
    return f"{word} {phrase}" if rng.random() < 0.5 else f"{phrase} {word}"
