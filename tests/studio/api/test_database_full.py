"""PostgreSQL has no room left: that is told as a full disk, and not as something that passes in a few seconds."""

from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.test import Client

from studio.jobs.errors import failure_from
from tests.studio.rest import Api

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_dir")]

DISK_FULL, ADMIN_SHUTDOWN = "53100", "57P01"


def refuse(sqlstate: str) -> None:
    """What PostgreSQL says with this code, through psycopg and Django."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '{sqlstate}'; END $$")


def refusing(sqlstate: str) -> Any:
    return lambda *_, **__: refuse(sqlstate)


@pytest.mark.parametrize(
    ("sqlstate", "told"), [(DISK_FULL, (507, "disk_full")), (ADMIN_SHUTDOWN, (503, "database_unavailable"))]
)
def test_a_request_is_told_which_of_the_two_it_is(
    api: Api, monkeypatch: pytest.MonkeyPatch, sqlstate: str, told: tuple[int, str]
) -> None:
    monkeypatch.setattr("studio.brands.services.create_brand", refusing(sqlstate))
    answer = api.post("/brands", {"name": "Northlight"})
    assert (answer.status_code, answer.json()["code"]) == told


@pytest.mark.parametrize(
    ("sqlstate", "told"), [(DISK_FULL, (507, "make room")), (ADMIN_SHUTDOWN, (503, "a few seconds"))]
)
def test_a_page_says_so_too(monkeypatch: pytest.MonkeyPatch, sqlstate: str, told: tuple[int, str]) -> None:
    monkeypatch.setattr("studio.accounts.views.use_sign_in_link", refusing(sqlstate))
    page = Client().get("/sign-in/some-link")
    assert (page.status_code, told[1] in page.content.decode()) == (told[0], True)


@pytest.mark.parametrize(("sqlstate", "code"), [(DISK_FULL, "disk_full"), (ADMIN_SHUTDOWN, "internal_error")])
def test_a_job_that_ends_by_it_says_so(sqlstate: str, code: str) -> None:
    with pytest.raises(OperationalError) as raised:
        refuse(sqlstate)
    assert failure_from(raised.value).code == code
