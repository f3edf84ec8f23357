"""Assets after their upload: reading, listing, masks, deletion."""

from pathlib import Path

import pytest
from PIL import Image
from pytest_django import DjangoAssertNumQueries

from studio.assets.models import Asset
from studio.ids import new_id
from studio.jobs import services
from studio.jobs.engine_client import MaskOutput
from studio.jobs.errors import Failure
from studio.jobs.kinds import find_kind
from studio.jobs.lease import claim, lease_of
from studio.jobs.models import Job
from studio.media import path_of
from studio.workspaces.models import Workspace
from tests.studio.rest import Api, encoded, jpeg, picture

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_dir")]


def make_mask(tmp_path: Path) -> MaskOutput:
    path = tmp_path / "made.png"
    picture(mode="L").save(path)
    return MaskOutput(path, 320, 240)


def finish_mask_job(tmp_path: Path) -> None:
    job = claim(new_id(), "media")
    assert job is not None
    services.finish(lease_of(job), make_mask(tmp_path))


def test_the_search_for_the_product_gives_the_photo_its_mask(api: Api, tmp_path: Path) -> None:
    asset = api.photo()
    finish_mask_job(tmp_path)
    mask = api.get(f"/assets/{asset['id']}").json()["mask"]
    assert (mask["state"], mask["source"], mask["error"]) == ("ready", "auto", None)
    assert mask["url"].startswith("/media/") and mask["url"].endswith("/mask.png")


def test_a_search_that_failed_says_why(api: Api) -> None:
    asset = api.photo()
    job = claim(new_id(), "media")
    assert job is not None
    services.fail(lease_of(job), Failure("invalid_request", "There is nothing to see.", retryable=False))
    mask = api.get(f"/assets/{asset['id']}").json()["mask"]
    assert (mask["state"], mask["url"], mask["error"]) == ("failed", None, "There is nothing to see.")


def test_a_photo_that_was_deleted_fails_its_search_with_a_sentence(api: Api, home: Workspace) -> None:
    api.photo()
    job = Job.objects.get()
    Asset.objects.all().delete()
    with pytest.raises(ValueError, match="deleted before its mask"):
        find_kind("product_mask").prepare(job)


def test_a_painted_mask_is_gray_and_of_the_photos_size(api: Api) -> None:
    asset = api.photo()
    answer = api.put(f"/assets/{asset['id']}/mask", encoded(picture(640, 480), "PNG"))
    mask = answer.json()["mask"]
    with Image.open(path_of(Asset.objects.get().mask_file)) as stored:
        assert (stored.mode, stored.size) == ("L", (320, 240))
    assert answer.status_code == 200
    assert (mask["state"], mask["source"], mask["job"]) == ("ready", "brush", None)


@pytest.mark.parametrize("how", ["transparent", "black"])
def test_a_painted_mask_may_be_empty(api: Api, how: str) -> None:
    """Whoever rubs all of the brush out says that there is no product; the framing tells what follows."""
    asset = api.photo()
    empty = {"transparent": Image.new("RGBA", (320, 240), (255, 255, 255, 0)), "black": Image.new("L", (320, 240))}[how]
    answer = api.put(f"/assets/{asset['id']}/mask", encoded(empty, "PNG"))
    assert (answer.status_code, answer.json()["mask"]["source"]) == (200, "brush")
    with Image.open(path_of(Asset.objects.get().mask_file)) as stored:
        assert (stored.mode, stored.getextrema()) == ("L", (0, 0))


def test_a_painted_mask_stays_when_the_search_ends_later(api: Api, tmp_path: Path) -> None:
    asset = api.photo()
    job = claim(new_id(), "media")
    assert job is not None
    painted = api.put(f"/assets/{asset['id']}/mask", encoded(picture(mode="L"), "PNG")).json()
    services.finish(lease_of(job), make_mask(tmp_path))
    assert api.get(f"/assets/{asset['id']}").json()["mask"] == painted["mask"]


@pytest.mark.django_db(transaction=True)
def test_painting_cancels_the_search_and_replaces_the_older_file(api: Api) -> None:
    asset = api.photo()
    api.put(f"/assets/{asset['id']}/mask", encoded(picture(mode="L"), "PNG"))
    first = path_of(Asset.objects.get().mask_file)
    api.put(f"/assets/{asset['id']}/mask", encoded(picture(mode="L"), "PNG"))
    assert Job.objects.get().state == "canceled"
    assert not first.exists()
    assert path_of(Asset.objects.get().mask_file).exists()


def test_a_mask_is_checked_like_any_picture(api: Api) -> None:
    path = f"/assets/{api.photo()['id']}/mask"
    cases = {
        "not_an_image": b"white where the product is",
        "truncated": encoded(picture(640, 480), "PNG")[:500],
        "wrong_aspect": encoded(picture(240, 320), "PNG"),
    }
    codes = {code: api.put(path, body).json()["code"] for code, body in cases.items()}
    assert codes == {code: code for code in cases}
    assert api.put(path, b"").json()["code"] == "validation_failed"
    assert api.put(path, b"mask", "text/plain").status_code == 415
    assert Asset.objects.get().mask_source == "auto"


def test_a_reset_searches_again(api: Api) -> None:
    asset = api.photo()
    api.put(f"/assets/{asset['id']}/mask", encoded(picture(mode="L"), "PNG"))
    mask = api.delete(f"/assets/{asset['id']}/mask").json()["mask"]
    assert (mask["state"], mask["source"], mask["url"]) == ("pending", "auto", None)
    assert Job.objects.count() == 2


def test_a_reset_of_a_transparent_photo_goes_back_to_its_transparency(api: Api) -> None:
    asset = api.upload(encoded(picture(mode="RGBA"), "PNG")).json()
    api.put(f"/assets/{asset['id']}/mask", encoded(picture(mode="L"), "PNG"))
    mask = api.delete(f"/assets/{asset['id']}/mask").json()["mask"]
    assert (mask["state"], mask["source"]) == ("ready", "alpha")
    assert path_of(Asset.objects.get().mask_file).exists()
    assert not Job.objects.exists()


def test_a_video_has_no_mask(api: Api) -> None:
    asset = api.photo()
    Asset.objects.update(kind="video")
    assert api.get(f"/assets/{asset['id']}").json()["mask"] is None
    answer = api.delete(f"/assets/{asset['id']}/mask")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_a_photo")


@pytest.mark.django_db(transaction=True)
def test_deleting_takes_files_row_and_search_with_it(api: Api, media_dir: Path) -> None:
    asset = api.photo()
    assert api.delete(f"/assets/{asset['id']}").status_code == 204
    assert api.get(f"/assets/{asset['id']}").status_code == 404
    assert [path for path in media_dir.rglob("*") if path.is_file()] == []
    assert Job.objects.get().state == "canceled"


def test_an_asset_that_a_job_needs_is_kept(api: Api) -> None:
    asset = api.photo()
    job = api.post("/jobs", {"kind": "image_to_video", "settings": {"asset_id": asset["id"]}}).json()

    refused = api.delete(f"/assets/{asset['id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "asset_in_use")
    assert path_of(Asset.objects.get().file).exists()

    api.post(f"/jobs/{job['id']}/cancel")
    assert api.delete(f"/assets/{asset['id']}").status_code == 204


def test_pages_hold_every_asset_once_newest_first(api: Api) -> None:
    made = [api.photo(f"{index}.jpg")["name"] for index in range(5)]
    first = api.get("/assets?limit=2").json()
    api.photo("later.jpg")
    second = api.get(f"/assets?limit=2&cursor={first['next']}").json()
    third = api.get(f"/assets?limit=2&cursor={second['next']}").json()
    names = [asset["name"] for page in (first, second, third) for asset in page["results"]]
    assert names == made[::-1]
    assert third["next"] is None


def test_one_kind_can_be_asked_for(api: Api) -> None:
    api.photo()
    assert len(api.get("/assets?kind=image").json()["results"]) == 1
    assert api.get("/assets?kind=video").json()["results"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("cursor=nonsense", "cursor"),
        ("cursor=MjAyNg", "cursor"),
        ("cursor=%00", "cursor"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=%D9%A3", "limit"),
        ("kind=sound", "kind"),
    ],
)
def test_a_query_that_makes_no_sense_is_told(api: Api, query: str, field: str) -> None:
    answer = api.get(f"/assets?{query}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


def test_a_list_costs_the_same_however_long_it_is(api: Api, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    api.photo()
    api.get("/assets")
    with django_assert_num_queries(3):  # the key, its last use, the page
        api.get("/assets")
    for _ in range(5):
        api.photo()
    with django_assert_num_queries(3):
        assert len(api.get("/assets").json()["results"]) == 6


def test_urls_are_signed_for_the_assets_own_files(api: Api, home: Workspace) -> None:
    asset = api.photo("lamp.jpg")
    assert asset["urls"]["content"].endswith("/lamp.jpg")
    assert asset["urls"]["download"] != asset["urls"]["content"]
    assert len(set(asset["urls"].values())) == 3


def test_bytes_of_the_upload_are_not_kept(api: Api) -> None:
    hidden = jpeg() + b"<script>hidden()</script>"
    api.upload(hidden)
    assert b"hidden" not in path_of(Asset.objects.get().file).read_bytes()
