"""A field that a form does not have is refused by its name, and nothing is changed."""

from typing import Any

import pytest

from studio.jobs.models import Job
from studio.workspaces.models import Membership, Role, Workspace
from tests.studio.rest import BASE, Api, key_client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_dir")]


@pytest.fixture
def owner_api(home: Workspace, bundle: Any) -> Api:
    return key_client(home, Role.OWNER)


def refused(answer: Any) -> tuple[int, list[tuple[str, str]]]:
    return answer.status_code, [(error["field"], error["code"]) for error in answer.json()["errors"]]


def patch(api: Api, path: str, body: dict[str, Any]) -> Any:
    return api.client.patch(BASE + path, body, content_type="application/json", headers=api.headers)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/brands", {"name": "Northlight"}),
        ("/members", {"email": "pat@example.com"}),
        ("/api-keys", {"name": "shop"}),
    ],
)
def test_what_is_made_has_no_other_fields(owner_api: Api, path: str, body: dict[str, Any]) -> None:
    answer = owner_api.post(path, {**body, "colors": ["#1f6f5c"]})
    assert refused(answer) == (422, [("colors", "extra_forbidden")])
    assert answer.json()["errors"][0]["detail"] == "There is no such field. Check its name, or leave it out."
    assert owner_api.post(path, body).status_code == 201  # the control


def test_jobs_and_framings_have_no_other_fields(api: Api) -> None:
    photo = api.photo()["id"]
    job = {"kind": "image_to_video", "settings": {"asset_id": photo}, "metadata": {"any": "name"}}
    assert refused(api.post("/jobs", {**job, "priority": 5})) == (422, [("priority", "extra_forbidden")])
    assert not Job.objects.filter(kind="image_to_video").exists()
    assert api.post("/jobs", job).status_code == 202  # the control: metadata are free
    framing = {"asset_id": photo, "settings": {}}
    assert refused(api.post("/framings", {**framing, "format": "1:1"})) == (422, [("format", "extra_forbidden")])


def test_a_change_that_is_misspelt_is_none(owner_api: Api) -> None:
    brand = owner_api.post("/brands", {"name": "Northlight", "colours": ["#1f6f5c"]}).json()
    answer = patch(owner_api, f"/brands/{brand['id']}", {"name": "Southlight", "colors": []})
    assert refused(answer) == (422, [("colors", "extra_forbidden")])
    assert owner_api.get(f"/brands/{brand['id']}").json() == brand
    member = Membership.objects.get()
    assert refused(patch(owner_api, f"/members/{member.id}", {"rol": "admin"})) == (422, [("rol", "extra_forbidden")])


def test_all_that_is_wrong_is_told_at_once(api: Api) -> None:
    answer = api.post("/brands", {"colours": ["red"], "color": "red"})
    status, errors = refused(answer)
    assert (status, set(errors)) == (
        422,
        {("name", "required"), ("colours.0", "invalid"), ("color", "extra_forbidden")},
    )


def test_fields_named_like_those_of_an_error_are_told_too(api: Api) -> None:
    answer = api.post("/brands", {"name": "x", "message": 1, "code": 2})
    assert refused(answer) == (422, [("message", "extra_forbidden"), ("code", "extra_forbidden")])
