"""Prompts as marketers type them, with what each says of camera and product: drawn by seed from `wording.py`.

Wider than `captions.py`, whose sentences tell what a clip shows: here a move has hundreds of wordings, most of a prompt
may speak of neither camera nor product, and it may deny what it names. Where no side is said, an orbit goes to the
left, a pan and a roll to the right.
"""

from __future__ import annotations

import re

import numpy as np

from datapipe.worlds import wording
from datapipe.worlds.captions import FORCEFUL, USUAL, WEAK
from datapipe.worlds.clip import Controls
from datapipe.worlds.motion import CAMERA_MOVES, SUBJECT_MOTIONS

_SAYS_CAMERA, _SAYS_SUBJECT = 0.68, 0.5  # of prompts
_LEAST_STRENGTH, _MOST_STRENGTH = 0.1, 1.0
_WITHOUT_SIDE = 0.3  # of the sides that are taken for said where none is
_DENIES, _TYPO, _UNKNOWN, _OTHER_WORD = 0.12, 0.04, 0.2, 0.35
_IN_ONE = 0.4  # of the prompts that could name the product by what it does
_WEAK_ADVERBS = (
    "slowly slowly slowly gently softly slightly subtly gradually delicately calmly;very slowly;ever so slightly;a "
    "little;a bit;just a touch;a tiny bit;leisurely;super slowly;very gently;lazily"
)
_STRONG_ADVERBS = (
    "quickly fast rapidly strongly boldly dramatically far swiftly sharply energetically aggressively;very fast;a lot;"
    "all the way;really fast;with force;at high speed"
)
_USUAL_ADVERBS = "smoothly smoothly steadily elegantly gracefully evenly continuously cinematically fluidly seamlessly"
_WEAK_ADJECTIVES = (
    "slow slow slow gentle soft slight subtle small tiny delicate gradual leisurely calm light;very slow;very subtle;"
    "super slow;slow-motion"
)
_STRONG_ADJECTIVES = (
    "fast quick rapid bold dramatic big strong huge dynamic extreme aggressive swift powerful energetic;very fast"
)
_USUAL_ADJECTIVES = "smooth smooth steady cinematic elegant graceful continuous fluid seamless nice"
_WHO = (
    "[the camera|the camera|camera|camera|cam|the cam|the lens|the shot|the view|the frame|we|drone|"
    "the camera operator]"
)
_JOINTS = (
    ", ", ", ", ", ", " and ", ". ", ". ", " while ", "; ", ", then ", " as ", " with ", " - ", " — ", ". Then ", "\n",
)  # fmt: skip
_OPENINGS = (
    *("",) * 14,
    "make ", "please ", "show ", "a video where ", "create a video where ", "i want ", "i'd like ", "commercial: ",
    "ad, ", "cinematic: ", "product shot of {o}, ", "{o}, ", "video of {o}: ", "a {a} {q}, ", "hero shot of {o}. ",
    "can you ", "generate a clip of {o}, ", "close-up of {o}, ", "macro shot of {p}, ", "{q} ad: ",
    "luxury {q} commercial, ",
)  # fmt: skip
_SIDES = {"left": ("left", "right"), "right": ("right", "left")}
_ROUND = {  # seen from above for an orbit, in the picture for a roll
    "orbit-left": "clockwise", "orbit-right": "[counterclockwise|counter-clockwise|anticlockwise|anti-clockwise]",
    "roll-left": "[counterclockwise|counter-clockwise|anticlockwise|anti-clockwise]", "roll-right": "clockwise",
}  # fmt: skip
_PRODUCT = (
    "[the product|the product|it|the {q}|the {q}|the {q}|the {q}|our {q}|a {q}|the {a} {q}|the {a} {q}|my {q}|this {q}|"
    "{q}]"
)
_SYLLABLES = "ka zo ri lum ne va tro mi sol ber qui ex nor dy fa pel xu gra bo ten".split()  # noqa: SIM905


def sample_prompt(rng: np.random.Generator) -> Controls:
    """A prompt with all controls left to it, and what it says: `said_camera` and `said_subject`, "auto" for nothing.

    Some have slips of typing and words that nobody knows.
    """
    said: dict[str, str | float] = {}
    parts: list[str] = []
    if rng.random() < _SAYS_CAMERA:
        camera = _pick(rng, CAMERA_MOVES)
        text, strength = camera_clause(camera, _strength(rng), rng)
        parts.append(text)
        said |= {"said_camera": camera, "said_camera_strength": strength}
    if rng.random() < _SAYS_SUBJECT:
        subject = _pick(rng, SUBJECT_MOTIONS)
        moving = wording.MOVING.get(subject)
        if parts and moving and "{o}" in parts[0] and rng.random() < _IN_ONE:  # "orbit around the spinning can"
            parts[0] = parts[0].replace("{o}", f"[the|a|our|the|] {moving} [{{q}}|{{q}}|product]", 1)
            strength = USUAL
        else:
            text, strength = subject_clause(subject, _strength(rng), rng)
            parts.append(text)
        said |= {"said_subject": subject, "said_subject_strength": strength}
    parts += [_pick(rng, wording.OTHERS) for _ in range(int(rng.choice(4, p=[0.45, 0.3, 0.17, 0.08])))]
    if rng.random() < _DENIES:
        parts.append(_pick(rng, wording.NEGATIONS))
    if rng.random() < 0.25 or not parts:
        parts.append("[{o}|a {a} {q}|{o} [on|in|at|by] {s}|{o} on a {a} {q}|{a}, {a}|[on|in] {s}]")
    text = _pick(rng, _OPENINGS)
    for i, n in enumerate(rng.permutation(len(parts))):
        text += (_pick(rng, _JOINTS) if i else "") + parts[n]
    return Controls("auto", 0.0, "auto", 0.0, _typed(_filled(text, rng), rng), **said)  # type: ignore[arg-type]


def camera_clause(camera: str, strength: float, rng: np.random.Generator) -> tuple[str, float]:
    """What the camera does, alternatives and slots still open; and its strength where the words tell it, else the usual
    one. ValueError for a move that nobody has worded.
    """
    kind, _, side = camera.partition("-")
    move = camera if camera in wording.VERBS else kind
    if move not in wording.VERBS or move not in wording.NOUNS:
        raise ValueError(
            f"The camera's {camera} has no words yet: add it to VERBS and NOUNS of datapipe/worlds/wording.py."
        )
    if side == "right" and move in wording.WITHOUT_SIDE and rng.random() < _WITHOUT_SIDE * 0.4:
        return _pick(rng, wording.WITHOUT_SIDE[move]), USUAL
    if kind == "orbit" and side == "left" and rng.random() < _WITHOUT_SIDE:
        move = "orbit-any"
    clauses = wording.CLAUSES.get(move, ())
    if clauses and rng.random() < (0.5 if move == "static" else 0.15):
        text, said = _pick(rng, clauses), USUAL
    elif rng.random() < 0.4:
        text, said = _noun_clause(_pick(rng, wording.NOUNS[move]), camera, strength, rng)
    else:
        text, said = _verb_clause(_chosen(_pick(rng, wording.VERBS[move]), rng), _WHO, camera, strength, rng)
    there, back = _SIDES.get(side, ("", ""))
    return text.replace("{d}", there).replace("{e}", back).replace("{c}", _ROUND.get(camera, "")), said


def subject_clause(subject: str, strength: float, rng: np.random.Generator) -> tuple[str, float]:
    """The same of what the product does."""
    draw, verbs = rng.random(), wording.SUBJECT_VERBS.get(subject)
    if verbs and draw < 0.5:
        return _verb_clause(_chosen(_pick(rng, verbs), rng), "{o}", subject, strength, rng)
    if draw < 0.75:
        return _noun_clause(_pick(rng, wording.SUBJECT_NOUNS[subject]), subject, strength, rng)
    text, (word, said) = _pick(rng, wording.SUBJECT_CLAUSES[subject]), _adverb(subject, strength, rng)
    if not word:
        return text, said
    return (f"{word} {text}" if rng.random() < 0.3 else f"{text} {word}"), said


def _verb_clause(verb: str, who: str, motion: str, strength: float, rng: np.random.Generator) -> tuple[str, float]:
    first, _, rest = verb.partition(" ")
    if first == "not":
        return f"{who} [does not|doesn't|should not|must not|will not|can not] {rest}", USUAL
    if first == "be":
        return f"{who} [is|should be|has to be|being] {rest}", USUAL
    word, said = _adverb(motion, strength, rng)
    before, after = (f"{word} ", "") if rng.random() < 0.5 else ("", f" {word}")
    before, after = before if word else "", after if word else ""
    base = f"{before}{verb}{after}"
    third, gerund = f"{before}{_third(first)} {rest}{after}", f"{before}{_gerund(first)} {rest}{after}"
    imperative = (base, base) if who != "{o}" else (f"make {who} {base}", f"let {who} {base}")
    return _pick(rng, (
        f"{who} {third}", f"{who} {third}", f"{who} {gerund}", f"{who} {gerund}", *imperative, f"{gerund}",
        f"[have|let|make] {who} {base}", f"[i want|i need|we want] {who} to {base}", f"[as|while] {who} {third}",
        f"{who} [should|will|must|can] {base}",
    )), said  # fmt: skip


def _noun_clause(noun: str, motion: str, strength: float, rng: np.random.Generator) -> tuple[str, float]:
    word, said = _word(motion, strength, rng, _WEAK_ADJECTIVES, _STRONG_ADJECTIVES, _USUAL_ADJECTIVES)
    return f"[|||a|with a|use a|do a|one|in a|add a|with] {word + ' ' if word else ''}{noun}", said


def _adverb(motion: str, strength: float, rng: np.random.Generator) -> tuple[str, float]:
    return _word(motion, strength, rng, _WEAK_ADVERBS, _STRONG_ADVERBS, _USUAL_ADVERBS)


def _word(
    motion: str, strength: float, rng: np.random.Generator, weak: str, strong: str, usual: str
) -> tuple[str, float]:
    """A word for a strength, and the strength that it tells."""
    if motion in ("static", "still"):
        return "", USUAL
    if WEAK <= strength <= FORCEFUL:
        return _pick(rng, _words(usual)) if rng.random() < 0.25 else "", USUAL
    return _pick(rng, _words(weak if strength < WEAK else strong)), strength


def _words(text: str) -> list[str]:
    single, *whole = text.split(";")
    return [*single.split(), *whole]


def _strength(rng: np.random.Generator) -> float:
    return float(rng.uniform(_LEAST_STRENGTH, _MOST_STRENGTH))


def _pick(rng: np.random.Generator, choices: object) -> str:
    some = list(choices)  # type: ignore[call-overload]
    return str(some[int(rng.integers(len(some)))])


# --- from alternatives and slots to text ---

_INNERMOST = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+)\}")


def _chosen(text: str, rng: np.random.Generator) -> str:
    while found := _INNERMOST.search(text):
        text = text[: found.start()] + _pick(rng, found[1].split("|")) + text[found.end() :]
    return text


def _filled(text: str, rng: np.random.Generator) -> str:
    text = _chosen(text, rng)
    while found := _SLOT.search(text):
        text = text[: found.start()] + _chosen(_slot(found[1], rng), rng) + text[found.end() :]
    return re.sub(r"\s+([,.;:])", r"\1", re.sub(r"[ \t]+", " ", text)).strip(" ")


def _slot(name: str, rng: np.random.Generator) -> str:
    if name == "w" or (name in "aq" and rng.random() < _OTHER_WORD):
        return _pick(rng, wording.MORE)
    if name in "aq":
        return _pick(rng, wording.ADJECTIVES if name == "a" else wording.PRODUCTS)
    if name == "p":
        return f"[the|the|its] [||{_pick(rng, wording.ADJECTIVES)}] {_pick(rng, wording.PARTS)}"
    if name == "s2":
        return _pick(rng, wording.PLACES)
    if name == "s":
        return f"[the|the|the|a|our|] [||{_pick(rng, wording.ADJECTIVES)}] {_pick(rng, wording.PLACES)}"
    brand = "".join(_pick(rng, _SYLLABLES) for _ in range(int(rng.integers(2, 4))))
    if rng.random() < _UNKNOWN:
        return _pick(rng, (brand, f"the {brand} {_pick(rng, wording.PRODUCTS)}", f"our {brand}"))
    return _PRODUCT


def _typed(text: str, rng: np.random.Generator) -> str:
    """With the case, the full stop and the slips of people who type."""
    if rng.random() < 0.3:
        text = text[:1].upper() + text[1:]
    if rng.random() < _TYPO and len(text) > 8:
        at = int(rng.integers(1, len(text) - 2))
        text = text[:at] + _pick(rng, (text[at + 1] + text[at] + text[at + 2 :], text[at + 1 :], text[at] + text[at:]))
    return text + _pick(rng, ("", "", "", ".", "!"))


def _third(verb: str) -> str:
    if re.search(r"(s|sh|ch|x|z|o)$", verb):
        return verb + "es"
    return verb[:-1] + "ies" if re.search(r"[^aeiou]y$", verb) else verb + "s"


def _gerund(verb: str) -> str:
    if verb == "lie":
        return "lying"
    if re.search(r"[^e]e$", verb):
        return verb[:-1] + "ing"
    return verb + verb[-1] + "ing" if verb in wording.DOUBLED else verb + "ing"


def words() -> list[str]:
    """Every word that a prompt may hold but those that nobody knows."""
    told = [part for name, value in vars(wording).items() if not name.startswith("__") for part in _texts(value)]
    told += [*_words(_WEAK_ADVERBS), *_words(_STRONG_ADVERBS), *_words(_USUAL_ADVERBS), *_OPENINGS, *_JOINTS]
    told += [*_words(_WEAK_ADJECTIVES), *_words(_STRONG_ADJECTIVES), *_words(_USUAL_ADJECTIVES), *_ROUND.values()]
    found = set(re.findall(r"[a-z0-9]+", _SLOT.sub(" ", " ".join(told)).lower())) | {
        "left",
        "right",
        "leftward",
        "rightward",
    }
    return sorted(found | {bend(word) for word in found for bend in (_third, _gerund) if word in _BENT})


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    some = value.values() if isinstance(value, dict) else value if isinstance(value, tuple | list) else ()
    return [text for one in some for text in _texts(one)]


_BENT = {  # the first words of verbs
    word
    for text in [one for verbs in (wording.VERBS, wording.SUBJECT_VERBS) for some in verbs.values() for one in some]
    for word in [
        choice.split()[0]
        for choice in (text[1:].partition("]")[0].split("|") if text.startswith("[") else [text])
        if choice.split()
    ]
}
