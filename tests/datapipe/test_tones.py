"""What captions say of the backdrop."""

import numpy as np
import pytest

from datapipe.worlds.film import caption, make_films, shown_words
from datapipe.worlds.tones import HUES, LIGHTNESS, backdrop_tone


@pytest.mark.parametrize(
    ("rgb", "said"),
    [
        ((250, 250, 250), "pale grey"),
        ((10, 12, 11), "deep grey"),
        ((200, 30, 30), "mid red"),
        ((190, 215, 250), "pale blue"),
        ((20, 90, 30), "deep emerald"),
        ((250, 30, 60), "mid red"),  # hues go around: 352 degrees
    ],
)
def test_a_plain_backdrop_is_named_and_what_stands_before_it_is_not(rgb, said):
    photo = np.full((64, 48, 3), rgb, np.uint8)
    photo[20:, 12:36] = (255, 0, 255)
    assert backdrop_tone(photo) == said


def test_captions_of_films_mostly_say_the_backdrop_and_others_never():
    scene, [(motion, made)] = make_films(11, 48, 48, 1)
    words = shown_words(scene, made[0])
    assert words["backdrop"] in {f"{light} {hue}" for _, light in LIGHTNESS for hue in (*HUES, "grey")}
    said = [caption(motion, words, np.random.default_rng(seed)) for seed in range(200)]
    assert 0.6 < np.mean(["backdrop" in facts for _, facts in said]) < 0.8
    assert all((words["backdrop"] in prompt.lower()) == ("backdrop" in facts) for prompt, facts in said)
    plain = [caption(motion, scene.words, np.random.default_rng(seed))[1] for seed in range(200)]
    assert not any("backdrop" in facts for facts in plain)
