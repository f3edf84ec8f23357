"""Pages of lists: no request gets more rows than a page may have."""

from typing import Any

import pytest

from tests.studio.rest import Api, key_client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_dir")]


@pytest.fixture
def many_keys(home: Any, api: Api) -> None:
    for _ in range(101):
        key_client(home)


@pytest.mark.parametrize(
    "limit",
    ["0", "101", "-1", "1.0", "ten", "", " 5", "٣", "000001000000", "0000000000100", "000001" + "0" * 5000, "9" * 5000],
)
@pytest.mark.usefixtures("many_keys")
def test_a_limit_out_of_range_is_refused(admin_api: Api, limit: str) -> None:
    answer = admin_api.get(f"/api-keys?limit={limit}")
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert answer.json()["errors"][0]["field"] == "limit"


@pytest.mark.parametrize(("limit", "rows"), [("1", 1), ("007", 7), ("100", 100)])
@pytest.mark.usefixtures("many_keys")
def test_a_limit_in_range_is_the_length_of_the_page(admin_api: Api, limit: str, rows: int) -> None:
    assert len(admin_api.get(f"/api-keys?limit={limit}").json()["results"]) == rows


@pytest.mark.parametrize("cursor", ["nonsense", "A" * 5000, "fHw", "MjAyNi0wMS0wMXw"])
def test_a_cursor_that_is_none_is_refused(admin_api: Api, cursor: str) -> None:
    answer = admin_api.get(f"/api-keys?cursor={cursor}")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "invalid_cursor")
