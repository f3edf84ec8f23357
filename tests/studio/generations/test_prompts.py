"""A prompt that is too long for the model is told while it is written, as the engine tells it with the video."""

from pathlib import Path

import pytest

import engine
from engine.bundles import read_bundle
from engine.events import PROMPT_CUT
from engine.models.ernie import PromptTokenizer
from engine.reading import reading
from studio.generations.prompts import is_cut
from tests.studio.rest import Api, jpeg

NANO = Path(engine.__file__).parent / "bundled" / "aquarius-nano"
LONG = "the camera moves slowly around the bottle while the light sweeps over it and " * 8  # words that are read
PROMPTS = ["", "slow orbit", "é" * 30, "字" * 40, LONG, *(LONG[:length] for length in range(300, 500, 10))]


@pytest.mark.parametrize("prompt", PROMPTS, ids=len)
def test_it_is_the_engines_own_word(prompt: str) -> None:
    bundle, tokenizer = read_bundle(NANO, verify=False), PromptTokenizer.load(NANO / "tokenizer.json", 64)
    assert is_cut(bundle, prompt) == tokenizer.is_cut(reading(prompt, tokenizer.knows))


@pytest.mark.django_db
@pytest.mark.usefixtures("media_dir")
def test_the_framing_tells_it(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    nano = read_bundle(NANO, verify=False)
    monkeypatch.setattr("studio.generations.views.default_model", lambda: nano)
    photo = api.upload(jpeg()).json()["id"]

    def told(prompt: str) -> list[dict[str, str]]:
        settings = {"camera": {"move": "static"}, "format": "4:5", "prompt": prompt}
        notices: list[dict[str, str]] = api.post("/framings", {"asset_id": photo, "settings": settings}).json()[
            "notices"
        ]
        return [notice for notice in notices if notice["code"] == PROMPT_CUT.code]

    assert told("slow orbit") == []
    assert told(LONG) == [{"code": "prompt_cut", "message": PROMPT_CUT.message}]
