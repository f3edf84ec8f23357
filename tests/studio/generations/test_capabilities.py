"""A form shows, and a request gets, no more than the installed bundle can do."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.bundles import SHIPPED, write_bundle
from engine.requests import ImageToVideo
from studio.generations.settings import form_of
from tests.studio.generations.test_image_to_video import ask
from tests.studio.rest import Api

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_dir")]


def schema_of_a_small_model() -> dict[str, Any]:
    """Of a bundle that was made for shorter and smaller videos."""
    schema = ImageToVideo.model_json_schema()
    schema["properties"]["seconds"] |= {"minimum": 3, "maximum": 4}
    schema["properties"]["short_side"]["enum"] = [540]
    return schema


CAN = {
    "camera_moves": ["static", "pan-left", "a move of tomorrow"],
    "subject_motions": ["still"],
    "formats": ["1:1", "16:9"],
    "schema": schema_of_a_small_model(),
    "defaults": {"seconds": 3.5, "camera": {"move": "pan-left"}, "steps": 8, "colour": "red"},
}


@pytest.fixture
def small(bundle: Path) -> None:
    """The installed bundle can do little."""
    kinds = ("image_to_video",)
    can = {"image_to_video": CAN}
    write_bundle(bundle, name="small", version="1", kinds=kinds, capabilities=can, provenance={})


def form(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = api.get("/models").json()["results"][0]["kinds"]["image_to_video"]
    return found


def test_the_form_shows_what_the_bundle_can_do(api: Api, small: None) -> None:
    schema = form(api)["schema"]
    fields, kinds = schema["properties"], schema["$defs"]
    assert fields["format"]["enum"] == ["1:1", "16:9"]
    assert kinds["Camera"]["properties"]["move"]["enum"] == ["static", "pan-left"]
    assert kinds["Subject"]["properties"]["motion"]["enum"] == ["still"]
    assert (fields["seconds"]["minimum"], fields["seconds"]["maximum"]) == (3, 4)
    assert fields["short_side"]["enum"] == [540]
    assert not {"kind", "mask"} & fields.keys()


def test_defaults_are_the_bundles_and_always_possible(api: Api, small: None) -> None:
    defaults = form(api)["defaults"]
    assert defaults == {
        "format": "1:1",
        "seconds": 3.5,
        "fps": 24,
        "short_side": 540,
        "camera": {"move": "pan-left", "strength": 0.6},
        "subject": {"motion": "still", "strength": 0.6},
        "prompt": "",
        "seed": None,
        "steps": 8,
    }
    photo = api.photo()["id"]
    settings = ask(api, photo)["settings"]
    assert settings == defaults | {"asset_id": photo, "mask": "auto"}
    assert ask(api, photo, camera={"strength": 0.3})["settings"]["camera"] == {"move": "pan-left", "strength": 0.3}


@pytest.mark.parametrize(
    ("given", "field", "code", "sentence"),
    [
        ({"format": "9:16"}, "format", "literal_error", "Choose one of '1:1', '16:9'."),
        ({"camera": {"move": "roll-left"}}, "camera.move", "literal_error", "Choose one of 'static', 'pan-left'."),
        ({"subject": {"motion": "turn"}}, "subject.motion", "literal_error", "Choose one of 'still'."),
        ({"seconds": 5}, "seconds", "less_than_equal", "Give 4 or less."),
        ({"short_side": 1080}, "short_side", "literal_error", "Choose one of 540."),
    ],
)
def test_what_the_bundle_cannot_do_is_refused(
    api: Api, small: None, given: dict[str, Any], field: str, code: str, sentence: str
) -> None:
    photo = api.photo()["id"]
    job = api.post("/jobs", {"kind": "image_to_video", "settings": {"asset_id": photo, **given}})
    framing = api.post("/framings", {"asset_id": photo, "settings": given})
    for answer in (job, framing):
        (error,) = answer.json()["errors"]
        assert (answer.status_code, error) == (422, {"field": f"settings.{field}", "code": code, "detail": sentence})


def test_a_framing_is_that_of_the_bundles_defaults(api: Api, small: None) -> None:
    photo = api.photo()["id"]
    left_out, asked = (
        api.post("/framings", {"asset_id": photo, "settings": settings}).json()
        for settings in ({}, {"format": "1:1", "camera": {"move": "pan-left"}})
    )
    assert left_out == asked != api.post("/framings", {"asset_id": photo, "settings": {"format": "16:9"}}).json()


def test_a_bundle_that_makes_no_such_video_frames_no_photo(api: Api, bundle: Path) -> None:
    photo = api.photo()["id"]
    assert api.post("/framings", {"asset_id": photo, "settings": {}}).status_code == 200  # the control
    write_bundle(bundle, name="other", version="1", kinds=("text_to_video",), capabilities={}, provenance={})
    answer = api.post("/framings", {"asset_id": photo, "settings": {}})
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_kind")
    assert "other" in answer.json()["detail"]


def test_control_a_bundle_that_says_nothing_is_asked_anything(api: Api) -> None:
    photo = api.photo()["id"]
    assert ask(api, photo, format="9:16", seconds=15, subject={"motion": "turn"})["state"] == "queued"


def test_the_shipped_bundle_can_do_all_that_the_studio_asks(api: Api) -> None:
    capabilities = json.loads((SHIPPED / "bundle.json").read_text())["capabilities"]["image_to_video"]
    assert form_of("image_to_video", capabilities) == form_of("image_to_video", {})
