"""Prompts as marketers type them: whole, by seed, of every meaning, and none of them twice."""

import re
from collections import Counter

import numpy as np
import pytest

from datapipe.worlds import prompts
from datapipe.worlds.captions import USUAL
from datapipe.worlds.motion import CAMERA_MOVES, SUBJECT_MOTIONS
from datapipe.worlds.prompts import camera_clause, sample_prompt, subject_clause


def drawn(count: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    return [sample_prompt(rng) for _ in range(count)]


def test_the_same_seed_gives_the_same_prompts_and_another_others() -> None:
    assert drawn(50) == drawn(50)
    assert drawn(50) != drawn(50, seed=1)


def test_nothing_of_the_notation_is_left_in_a_prompt() -> None:
    for row in drawn(3000):
        assert row.prompt and not re.search(r"[\[\]{}|]", row.prompt), row.prompt


def test_every_meaning_is_said_about_as_often_and_nothing_too() -> None:
    rows = drawn(6000)
    cameras, subjects = Counter(row.said_camera for row in rows), Counter(row.said_subject for row in rows)
    for said, kinds, open_ in ((cameras, CAMERA_MOVES, 0.32), (subjects, SUBJECT_MOTIONS, 0.5)):
        each = (len(rows) - said["auto"]) / len(kinds)
        assert set(said) == {*kinds, "auto"}
        assert all(0.8 * each < said[kind] < 1.2 * each for kind in kinds)
        assert said["auto"] / len(rows) == pytest.approx(open_, abs=0.03)
    assert sum(row.said_camera == row.said_subject == "auto" for row in rows) > 0.1 * len(rows)


def test_hardly_one_is_said_twice() -> None:
    rows = drawn(5000)
    assert len({row.prompt.lower() for row in rows}) > 0.98 * len(rows)


@pytest.mark.parametrize("camera", CAMERA_MOVES)
def test_a_side_is_never_said_as_the_other(camera: str) -> None:
    rng, (_, _, side) = np.random.default_rng(2), camera.partition("-")
    other = {"left": "right", "right": "left", "up": "down", "down": "up", "in": "out", "out": "in"}.get(side)
    for _ in range(400):
        text = prompts._filled(camera_clause(camera, 0.6, rng)[0].replace("{o}", "it").replace("{p}", "it"), rng)
        said = re.sub(r"from (the )?(left|right)|(left|right) to (left|right)|(left|right)-to-", "", text.lower())
        if other and camera.startswith(("pan", "orbit", "roll")):
            assert not re.search(rf"\b{other}(ward|wards)?\b", said), text
        if camera in ("tilt-up", "tilt-down"):
            said = re.sub(r"bottom|from (the )?\w+|top-to-bottom|look|start.*", "", said)
            assert not re.search(rf"\b{other}(ward|wards)?\b", said), text


@pytest.mark.parametrize("subject", SUBJECT_MOTIONS)
def test_what_a_product_does_is_told_of_a_product_and_not_of_the_camera(subject: str) -> None:
    rng = np.random.default_rng(3)
    said = [prompts._filled(subject_clause(subject, 0.6, rng)[0], rng) for _ in range(300)]
    assert not any("camera" in text for text in said)
    assert len(set(said)) > 150


@pytest.mark.parametrize(("strength", "weak", "strong"), [(0.2, True, False), (0.95, False, True), (0.6, False, False)])
def test_a_strength_is_told_by_a_word_or_is_the_usual_one(strength: float, weak: bool, strong: bool) -> None:
    rng = np.random.default_rng(4)
    words = {
        True: set(prompts._words(prompts._WEAK_ADVERBS) + prompts._words(prompts._WEAK_ADJECTIVES)),
        False: set(prompts._words(prompts._STRONG_ADVERBS) + prompts._words(prompts._STRONG_ADJECTIVES)),
    }
    told = Counter[bool]()
    for n in range(600):
        clause, kinds = (camera_clause, CAMERA_MOVES) if n % 2 else (subject_clause, SUBJECT_MOTIONS)
        text, said = clause(kinds[n // 2 % len(kinds)], strength, rng)
        told[said == strength] += 1
        if said != USUAL:
            assert any(word in text for word in words[weak]), text
        else:
            assert not re.search(r"\b(slowly|gently|quickly|rapidly|dramatically)\b", text), text
    assert told[True] > 200 and (strength == USUAL or told[False] > 100)


def test_a_move_without_words_is_refused() -> None:
    with pytest.raises(ValueError, match="has no words yet"):
        camera_clause("crash-zoom", 0.6, np.random.default_rng(0))


def test_verbs_are_bent_as_they_are_spelt() -> None:
    gerunds = {"push": "pushing", "pan": "panning", "whip": "whipping", "jib": "jibbing", "glide": "gliding"}
    assert {verb: prompts._gerund(verb) for verb in gerunds} == gerunds
    assert [prompts._third(verb) for verb in ("push", "dolly", "sway", "go")] == ["pushes", "dollies", "sways", "goes"]
    assert not {"iting", "thes", "mes", "alling", "whiping"} & set(prompts.words())


def test_every_word_is_in_the_list_but_slips_and_names() -> None:
    known = set(prompts.words())
    heard = Counter(word for row in drawn(2000) for word in re.findall(r"[a-z0-9]+", row.prompt.lower()))
    unknown = sum(count for word, count in heard.items() if word not in known)
    assert unknown < 0.05 * sum(heard.values())
    assert {"push", "pushing", "orbits", "levitates", "counterclockwise"} <= known
