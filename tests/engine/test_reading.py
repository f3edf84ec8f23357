"""What is read of a prompt: who says nothing of camera and subject is taken at that, and who does at what is said."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from datapipe.worlds import captions
from datapipe.worlds.motion import CAMERA_MOVES, SUBJECT_MOTIONS, Motion
from datapipe.worlds.scene import sample_scene
from engine import options
from engine.bundles import SHIPPED, read_bundle
from engine.denoise import Denoiser
from engine.reading import reading
from tests.benchmarks.typed_prompts import shares

FIRST_SEED = 906_500_000  # held out: see tests/benchmarks/prompts.py
Understands = Callable[[str], dict[str, str]]

NOTHING = (
    "Create an eye-catching ad for our summer sale",
    "cinematic product shot",
    "luxury perfume commercial, dramatic lighting",
    "steam rises from the coffee",
    "water splashes around the bottle",
    "handmade ceramic mug from Portugal, dishwasher safe",
    "20 % off until Sunday, shop now",
    "our best seller is back in stock",
    "make it look premium and warm",
    "a cosy kitchen on a winter morning",
    "the perfect gift for coffee lovers",
    "fresh, natural, sustainable",
    "elegant packaging with gold foil",
    "golden hour at the harbour, shallow depth of field",
    "bokeh background, 4k, photorealistic",
    "Introducing the new collection for autumn",
    "a cat with green eyes looks at us",
    "the motorcycle is parked in a garage",
    "stars and galaxies in deep space",
    "an astronaut in an orange suit smiles",
    "white box on a white table",
    "vegan skincare for sensitive skin",
    "video for Instagram, young audience, upbeat",
    "use our brand colours, blue and yellow",
    "a bottle of olive oil beside a bowl of figs",
    "free shipping on orders above 50 dollars",
    "feels like a holiday by the sea",
    "minimalist scandinavian interior, plenty of daylight",
    "photographed in studio with softboxes",
    "made of recycled glass",
    "le produit parfait pour l'été",
    "une tasse blanche sur une table en bois",
    "Sommerangebot: jetzt 20 % sparen",
    "handgemachte Tasse aus Portugal",
    "oferta de verano, compra ahora",
    "nuova collezione autunno inverno",
    "no light sweep please",
    "no zoom",
    "without any effects",
    "handheld camera shake",
)
SAID = {
    "the camera pulls back slowly": {"camera": "dolly-out"},
    "zoom in, no light sweep": {"camera": "dolly-in"},
    "zoom in very slowly": {"camera": "dolly-in"},
    "dolly in a little": {"camera": "dolly-in"},
    "the mug floats gently in the air": {"subject": "float"},
    "the bottle spins slowly": {"subject": "turn"},
    "Camera slowly zooms in on the bottle": {"camera": "dolly-in"},
    "orbit around the motorcycle to the left": {"camera": "orbit-left"},
    "light glides over the label": {"subject": "light-sweep"},
    "do not move the camera": {"camera": "static"},
    "don\u2019t move the camera": {"camera": "static"},
    "tilt up from the base to the cap": {"camera": "tilt-up"},
    "slow dolly in, bokeh background, 4k": {"camera": "dolly-in"},
    "Our handmade ceramic mug from Portugal, dishwasher safe. The camera pans left.": {"camera": "pan-left"},
    "Kamera f\u00e4hrt langsam heran": {},
    "la cam\u00e9ra avance lentement": {},
    "": {},
    "!!!": {},
}


@pytest.fixture(scope="module")
def understood() -> Understands:
    return Denoiser(read_bundle(SHIPPED)).understood


def test_sentences_that_say_nothing_of_either_are_taken_for_nothing(understood: Understands) -> None:
    assert len(NOTHING) == 40
    assert [prompt for prompt in NOTHING if understood(prompt)] == []


@pytest.mark.parametrize(("name", "least"), [("tried", 0.8), ("unseen", 0.75)])
def test_prompts_as_people_type_them_are_understood(understood: Understands, name: str, least: float) -> None:
    found, _ = shares(understood, name)
    assert found["whole"] > least
    nothing, _ = shares(lambda prompt: {}, name)
    assert nothing["whole"] < 0.2 < 0.95 < nothing["camera not asked"]  # the control


@pytest.mark.parametrize("prompt", SAID)
def test_what_is_said_is_understood_and_nothing_beside_it(understood: Understands, prompt: str) -> None:
    assert understood(prompt) == SAID[prompt]


def test_the_sentences_that_the_encoder_was_taught_stay_understood(understood: Understands) -> None:
    right = []
    for n in range(220):
        rng, strength = np.random.default_rng(FIRST_SEED + n), (0.6, 0.2, 0.95)[n % 3]
        words = sample_scene(rng, 1.0).words
        asked = Motion(CAMERA_MOVES[n % 11], strength, SUBJECT_MOTIONS[n // 11 % 4], strength)
        said = {
            "camera": captions.camera_phrase(asked, rng),
            "subject": captions.subject_phrase(asked, words["product"], rng),
        }
        named = (("camera", "subject"), ("camera",), ("subject",))[n // 3 % 3]
        parts = [*(said[name] for name in named), captions.scene_phrase(words, rng)]
        right.append(understood(captions.compose(parts, rng)) == {name: getattr(asked, name) for name in named})
    assert np.mean(right) >= 0.98


def test_what_it_was_not_taught_moves_nothing() -> None:
    denoiser = Denoiser(read_bundle(SHIPPED))
    features, _ = denoiser._features("Sommerangebot")
    assert np.array_equal(features, denoiser._features("")[0])
    features, _ = denoiser._features("zoom in on the Zorbaflux")
    assert np.array_equal(features, denoiser._features("zoom in on the")[0])
    assert not denoiser.is_cut("zorbaflux " * 300) and denoiser.is_cut("the camera pans left " * 300)


@pytest.mark.parametrize(
    ("prompt", "read"),
    [
        ("Pan left", "pan left"),
        ("Steam. Pan LEFT; coffee and the cup turns", ". pan left; the cup turns"),
        ("the cup turns, pan left", "the cup turns, pan left"),
        ("DON'T pan-left", "do not pan-left"),
        ("the cup pans in the cups", "the cup pan in the cup"),
        ("pan in \n slowly", "pan in slowly"),
        ("  ", ""),
    ],
)
def test_words_that_it_knows_are_read(prompt: str, read: str) -> None:
    known = {"pan", "left", "in", "cup", "turns", "the", "slowly", "nothing", "do", "not"}
    assert reading(prompt, known.__contains__) == read


@pytest.mark.parametrize(
    ("prompt", "by", "understood", "line"),
    [
        ("w", "prompt model", {"camera": "pan-left"}, "Understood from the prompt: camera pan-left."),
        (
            "w",
            "prompt prompt",
            {"camera": "pan-left", "subject": "float"},
            "Understood from the prompt: camera pan-left, subject float.",
        ),
        ("w", "model model", {}, "Understood from the prompt: nothing of camera or subject."),
        ("w", "control model", {}, "Understood from the prompt: nothing of subject."),
        ("w", "control control", {}, None),
        (" ", "model model", {}, None),
    ],
)
def test_a_line_says_what_was_understood(prompt: str, by: str, understood: dict[str, str], line: str | None) -> None:
    decided_by = dict(zip(("camera", "subject"), by.split(), strict=True))
    settings = {"prompt": prompt, "decided_by": decided_by, "understood": understood}
    assert options.understood_of(settings) == line
    assert options.understood_of({"prompt": prompt}) is None, "of a bundle that reads no such meaning"
