"""No operation tells anything about what belongs to another workspace. Generated from the OpenAPI document."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from studio.ids import new_id
from studio.jobs.models import Job
from studio.workspaces.models import ApiKey, Role, Workspace
from tests.studio.contract import document, operations
from tests.studio.rest import Api, encoded, key_client, picture

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_dir")]

WITH_IDS = [(method, path) for method, path in operations() if "{" in path]


@pytest.fixture
def owner_of_home(home: Workspace, bundle: Any) -> Api:
    return key_client(home, Role.OWNER)


@pytest.fixture
def ids_abroad(abroad: Workspace, bundle: Any) -> dict[str, str]:
    """One id of each sort that an address may hold, of things that are really there."""
    api = key_client(abroad, Role.OWNER)
    photo = api.photo()
    job = api.post("/jobs", {"kind": "image_to_video", "settings": {"asset_id": photo["id"]}}).json()
    brand = api.post("/brands", {"name": "Brand"}).json()
    return {
        "asset_id": photo["id"],
        "job_id": job["id"],
        "key_id": str(ApiKey.objects.get(workspace=abroad).id),
        "member_id": str(abroad.memberships.get().id),
        "brand_id": brand["id"],
        "product_id": api.post("/products", {"name": "Lamp", "brand_id": brand["id"]}).json()["id"],
    }


def call(api: Api, method: str, path: str, ids: dict[str, str]) -> Any:
    address = path.format(**ids)
    send: Callable[..., Any] = getattr(Client(), method)
    content_type = next(iter(content_of(method, path)), "application/json")
    body = encoded(picture(), "PNG") if content_type.startswith("image/") else b"{}"
    options = {} if method == "get" else {"data": body, "content_type": content_type}
    return send(address, headers=api.headers, **options)


def content_of(method: str, path: str) -> dict[str, Any]:
    return document()["paths"][path][method].get("requestBody", {}).get("content", {})


def test_there_are_such_operations() -> None:
    assert len(WITH_IDS) >= 14
    assert {name for _, path in WITH_IDS for name in path.replace("}", "{").split("{")[1::2]} == {
        "asset_id",
        "job_id",
        "key_id",
        "member_id",
        "brand_id",
        "product_id",
    }


@pytest.mark.parametrize(("method", "path"), WITH_IDS)
def test_an_id_of_another_workspace_is_not_found(
    owner_of_home: Api, ids_abroad: dict[str, str], method: str, path: str
) -> None:
    foreign = call(owner_of_home, method, path, ids_abroad)
    missing = call(owner_of_home, method, path, {name: str(new_id()) for name in ids_abroad})
    assert foreign.status_code == 404
    assert foreign.content == missing.content


@pytest.mark.parametrize(("method", "path"), WITH_IDS)
def test_the_same_call_from_the_workspace_itself_is_answered(
    abroad: Workspace, ids_abroad: dict[str, str], method: str, path: str
) -> None:
    """The control: the calls above are refused for whose they are, and for nothing else."""
    own = call(key_client(abroad, Role.OWNER), method, path, ids_abroad)
    assert own.status_code in (200, 202, 204, 409)


def test_nothing_of_the_other_workspace_is_changed_or_listed(owner_of_home: Api, ids_abroad: dict[str, str]) -> None:
    before = list(Job.objects.order_by("id").values())
    for method, path in WITH_IDS:
        call(owner_of_home, method, path, ids_abroad)
    assert list(Job.objects.order_by("id").values()) == before
    assert ApiKey.objects.filter(revoked_at=None).count() == 2
    listed = [owner_of_home.get(path).json()["results"] for path in ("/assets", "/jobs", "/brands", "/products")]
    assert listed == [[], [], [], []]
    assert [len(owner_of_home.get(path).json()["results"]) for path in ("/api-keys", "/members")] == [1, 1]


@pytest.mark.parametrize(("method", "path"), operations())
def test_nobody_gets_anything_without_saying_who_asks(ids_abroad: dict[str, str], method: str, path: str) -> None:
    answer = call(Api(Client(), {}), method, path, ids_abroad)
    expected = {("delete", "/api/v1/session"): 204, ("post", "/api/v1/session"): 422}
    assert answer.status_code == expected.get((method, path), 401)
