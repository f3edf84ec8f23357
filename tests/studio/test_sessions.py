"""What a session cookie may hold."""

import pytest
from django.conf import settings
from django.test import Client

from studio.accounts.models import User

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "cookie", ['"aaaaaaaa\\000b"', '"aaaaaaaa\\303b"', "a" * 5000, "../../etc/passwd", "'; --aaaaaaa"]
)
@pytest.mark.parametrize("path", ["/api/v1/session", "/api/v1/jobs"])
def test_a_cookie_that_is_no_session_is_signed_out(cookie: str, path: str) -> None:
    answer = Client(headers={"Cookie": f"{settings.SESSION_COOKIE_NAME}={cookie}"}).get(path)
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


def test_control_a_session_of_ours_is_signed_in(client: Client) -> None:
    client.force_login(User.objects.create_user("ana@example.com"))
    assert client.get("/api/v1/session").status_code == 200
