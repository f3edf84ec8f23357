"""Brands and products over REST: what an upload's `product_id` may name."""

from typing import Any

import pytest

from studio.brands.models import Brand, Product
from studio.workspaces.models import Role, Workspace
from tests.studio.rest import Api, jpeg, key_client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_dir")]


@pytest.fixture
def brand(api: Api) -> dict[str, Any]:
    return api.post("/brands", {"name": "Northlight", "colours": ["#1f6f5c"]}).json()


def patch(api: Api, path: str, body: dict[str, Any]) -> Any:
    return api.client.patch(f"/api/v1{path}", body, content_type="application/json", headers=api.headers)


def test_a_product_is_made_listed_and_named_by_an_upload(api: Api, brand: dict[str, Any]) -> None:
    body = {"name": "Mug", "brand_id": brand["id"], "facts": {"volume": "350 ml"}}
    made = api.post("/products", body)
    product = made.json()
    assert (made.status_code, made.headers["Location"]) == (201, f"/api/v1/products/{product['id']}")
    assert api.get("/products").json()["results"] == [product]
    assert api.get(f"/products/{product['id']}").json() == product
    assert api.upload(jpeg(), product_id=product["id"]).json()["product_id"] == product["id"]


def test_products_of_one_brand_are_listed(api: Api, brand: dict[str, Any]) -> None:
    other = api.post("/brands", {"name": "Other"}).json()
    for name, of in (("Mug", brand), ("Lamp", other)):
        api.post("/products", {"name": name, "brand_id": of["id"]})
    (found,) = api.get(f"/products?brand_id={other['id']}").json()["results"]
    assert found["name"] == "Lamp"
    assert [one["name"] for one in api.get("/brands").json()["results"]] == ["Other", "Northlight"]


@pytest.mark.parametrize("brand_id", ["nonsense", "01920000-0000-7000-8000-000000000000"])
def test_a_brand_that_is_none_is_told(api: Api, brand_id: str) -> None:
    listed, made = api.get(f"/products?brand_id={brand_id}"), api.post("/products", {"name": "x", "brand_id": brand_id})
    assert [answer.json()["errors"][0]["field"] for answer in (listed, made)] == ["brand_id", "brand_id"]


def test_a_brand_of_another_workspace_is_none(foreign_api: Api, brand: dict[str, Any]) -> None:
    assert foreign_api.post("/products", {"name": "x", "brand_id": brand["id"]}).status_code == 422
    assert foreign_api.get(f"/products?brand_id={brand['id']}").status_code == 422


def test_what_is_left_out_of_a_change_stays(api: Api, brand: dict[str, Any]) -> None:
    product = api.post("/products", {"name": "Mug", "brand_id": brand["id"], "facts": {"volume": "1 l"}}).json()
    renamed = patch(api, f"/products/{product['id']}", {"name": "Large mug"}).json()
    assert renamed == {**product, "name": "Large mug"}
    assert patch(api, f"/brands/{brand['id']}", {"colours": []}).json() == {**brand, "colours": []}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/brands", {}),
        ("/brands", {"name": ""}),
        ("/brands", {"name": "x" * 201}),
        ("/brands", {"name": "x", "colours": ["red"]}),
        ("/brands", {"name": "x", "colours": ["#000000"] * 13}),
        ("/products", {"name": "x"}),
        ("/products", {"name": "x", "facts": {"a": "x" * 501}}),
        ("/products", {"name": "x", "facts": {str(number): "x" for number in range(51)}}),
    ],
)
def test_what_is_asked_is_checked(api: Api, path: str, body: dict[str, Any]) -> None:
    assert api.post(path, body).status_code == 422
    assert (Brand.objects.count(), Product.objects.count()) == (0, 0)


def test_a_viewer_reads_and_does_not_write(home: Workspace, api: Api, brand: dict[str, Any]) -> None:
    viewer = key_client(home, Role.VIEWER)
    assert viewer.get(f"/brands/{brand['id']}").json() == brand
    product = {"name": "x", "brand_id": brand["id"]}
    refused = [viewer.post("/brands", {"name": "x"}), viewer.post("/products", product)]
    refused.append(patch(viewer, f"/brands/{brand['id']}", {"name": "x"}))
    assert [answer.status_code for answer in refused] == [403] * 3
