"""A job keeps the mask that its photo had when it was made, whatever is painted since."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from studio.assets import files
from studio.assets.models import Asset
from studio.jobs import engine_client
from studio.media import path_of
from tests.studio.generations.test_image_to_video import SmallEngine, ask, work
from tests.studio.rest import Api, encoded, picture

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("media_dir")]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> SmallEngine:
    """Keeps the mean of each mask that it was given."""
    small = SmallEngine()
    monkeypatch.setattr(engine_client, "generate_video", small)
    return small


def paint(api: Api, asset: dict[str, Any], level: int) -> str:
    """A mask all of one gray; its stored name."""
    mask = Image.fromarray(np.full((240, 320), level, np.uint8))
    assert api.put(f"/assets/{asset['id']}/mask", encoded(mask, "PNG")).status_code == 200
    return Asset.objects.get(pk=asset["id"]).mask_file


def levels(engine: SmallEngine) -> list[float]:
    return [float(np.asarray(Image.open(asked["mask"])).mean()) for asked in engine.asked]


def test_what_is_painted_later_is_for_later_jobs(api: Api, engine: SmallEngine) -> None:
    photo = api.photo()
    paint(api, photo, 100)
    first = ask(api, photo["id"])
    paint(api, photo, 200)
    second = ask(api, photo["id"])
    work()
    work()
    assert levels(engine) == [100, 200]
    assert first["settings"]["mask"] != second["settings"]["mask"]


def test_again_gives_the_same_mask_after_it_was_painted_anew(api: Api, engine: SmallEngine) -> None:
    photo = api.photo()
    paint(api, photo, 100)
    settings = ask(api, photo["id"])["settings"]
    work()
    paint(api, photo, 200)
    again = api.post("/jobs", {"kind": "image_to_video", "settings": settings})
    work()
    assert (again.status_code, levels(engine)) == (202, [100, 100])
    assert again.json()["settings"] == settings


def test_a_photo_says_which_mask_it_has_as_its_jobs_name_it(api: Api) -> None:
    photo = api.photo()
    seen = [api.get(f"/assets/{photo['id']}").json()["mask"]["id"]]
    for level in (100, 200):
        paint(api, photo, level)
        seen.append(api.get(f"/assets/{photo['id']}").json()["mask"]["id"])
        assert ask(api, photo["id"])["settings"]["mask"] == seen[-1]
    assert seen[0] == "auto"
    assert len(set(seen)) == 3


def test_a_mask_that_was_not_there_yet_is_found_by_the_engine_and_so_it_stays(api: Api, engine: SmallEngine) -> None:
    photo = api.photo()
    job = ask(api, photo["id"])
    paint(api, photo, 100)
    work()
    assert (job["settings"]["mask"], engine.asked[0]["mask"]) == ("auto", None)


def test_a_mask_that_no_job_was_made_with_goes_when_it_is_replaced(api: Api) -> None:
    photo = api.photo()
    kept = paint(api, photo, 100)
    ask(api, photo["id"])
    dropped, now = paint(api, photo, 150), paint(api, photo, 200)
    assert [path_of(file).exists() for file in (kept, dropped, now)] == [True, False, True]


def with_mask(api: Api, asset: dict[str, Any], mask: str) -> Any:
    return api.post("/jobs", {"kind": "image_to_video", "settings": {"asset_id": asset["id"], "mask": mask}})


def test_a_mask_that_was_replaced_is_none_while_its_file_is_still_there(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file goes a moment after the new mask is committed, and would go from under the job."""
    monkeypatch.setattr(files, "remove", lambda stored: None)
    photo = api.photo()
    replaced, now = paint(api, photo, 100), paint(api, photo, 200)
    answers = [with_mask(api, photo, path_of(file).stem) for file in (replaced, now)]
    assert path_of(replaced).is_file()
    assert [answer.status_code for answer in answers] == [422, 202]
    assert answers[0].json()["errors"][0]["code"] == "not_found"


def test_the_transparency_of_a_photo_stays_one_of_its_masks(api: Api) -> None:
    cut_out, opaque = api.upload(encoded(picture(mode="RGBA"), "PNG")).json(), api.photo()
    paint(api, cut_out, 100)
    assert [with_mask(api, photo, "mask-alpha").status_code for photo in (cut_out, opaque)] == [202, 422]


def test_the_same_request_is_the_same_job_also_after_painting(api: Api) -> None:
    photo = api.photo()
    body = {"kind": "image_to_video", "settings": {"asset_id": photo["id"]}}
    first = api.post("/jobs", body, {"Idempotency-Key": "k"}).json()
    paint(api, photo, 100)
    second = api.post("/jobs", body, {"Idempotency-Key": "k"})
    assert (second.status_code, second.json()["id"]) == (202, first["id"])


@pytest.mark.parametrize(
    ("mask", "code"),
    [
        ("mask-000000000000", "not_found"),
        ("photo", "string_pattern_mismatch"),
        ("mask-/../../x", "string_pattern_mismatch"),
    ],
)
def test_a_mask_that_the_photo_has_not_is_refused(api: Api, mask: str, code: str) -> None:
    settings = {"asset_id": api.photo()["id"], "mask": mask}
    answer = api.post("/jobs", {"kind": "image_to_video", "settings": settings})
    assert answer.status_code == 422
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [("settings.mask", code)]
