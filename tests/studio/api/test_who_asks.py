"""Sessions, API keys, roles and workspaces at the door of the API."""

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.utils import timezone

from engine.bundles import MANIFEST, SHIPPED
from studio.accounts.models import User
from studio.api.models import FailedSignIn
from studio.jobs.identity import redeem_ticket
from studio.workspaces.models import ApiKey, Membership, Role, Workspace
from studio.workspaces.services import create_api_key
from tests.studio.rest import Api, jpeg, key_client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_dir", "bundle")]

PASSWORD = "correct horse"


class Browser:
    """A browser with cookies, which sends the CSRF token unless told otherwise."""

    def __init__(self) -> None:
        self.client = Client(enforce_csrf_checks=True)
        self.client.get("/api/v1/session")

    def send(self, method: str, path: str, body: Any = None, csrf: bool = True, **headers: str) -> Any:
        if csrf:
            headers["X-CSRFToken"] = self.client.cookies["csrftoken"].value
        data = json.dumps(body or {})
        return self.client.generic(method, f"/api/v1{path}", data, content_type="application/json", headers=headers)

    def sign_in(self, email: str = "ana@example.com", password: str = PASSWORD, **options: Any) -> Any:
        return self.send("POST", "/session", {"email": email, "password": password}, **options)


@pytest.fixture
def browser(home: Workspace) -> Browser:
    return Browser()


def test_who_is_not_signed_in_is_told_so_and_gets_a_csrf_cookie(browser: Browser) -> None:
    answer = browser.send("GET", "/session")
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert "csrftoken" in browser.client.cookies


def test_signing_in_and_out(browser: Browser, home: Workspace, ana: User) -> None:
    session = browser.sign_in(" ANA@example.com ".strip()).json()
    assert session == {
        "user": {"id": str(ana.id), "email": "ana@example.com", "name": ""},
        "workspaces": [{"id": str(home.id), "name": "Home", "role": "owner"}],
        "workspace": str(home.id),
        "upload_bytes": settings.AQ_MAX_UPLOAD_BYTES,
    }
    assert browser.send("GET", "/session").json() == session
    assert browser.send("DELETE", "/session").status_code == 204
    assert browser.send("GET", "/session").status_code == 401


@pytest.mark.parametrize(("email", "password"), [("ana@example.com", "wrong"), ("nobody@example.com", PASSWORD)])
def test_a_wrong_address_and_a_wrong_password_look_the_same(browser: Browser, email: str, password: str) -> None:
    answer = browser.sign_in(email, password)
    assert (answer.status_code, answer.json()["code"]) == (401, "wrong_credentials")
    assert "belong together" in answer.json()["detail"]


def test_an_inactive_user_does_not_get_in(browser: Browser) -> None:
    User.objects.update(is_active=False)
    assert browser.sign_in().status_code == 401


@pytest.mark.parametrize("body", [{}, {"email": "no address", "password": "x"}, {"email": "a@b.example"}])
def test_a_sign_in_form_is_checked(browser: Browser, body: dict[str, str]) -> None:
    assert browser.send("POST", "/session", body).status_code == 422


def test_guessing_is_stopped_even_for_the_right_password(browser: Browser) -> None:
    for _ in range(10):
        assert browser.sign_in(password="guess").status_code == 401
    answer = browser.sign_in()
    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (
        429,
        "too_many_requests",
        "900",
    )
    FailedSignIn.objects.update(created_at=timezone.now() - timedelta(minutes=16))
    assert browser.sign_in().status_code == 200


def test_a_right_password_does_not_count(browser: Browser) -> None:
    for _ in range(11):
        assert browser.sign_in().status_code == 200
    assert FailedSignIn.objects.count() == 0


def test_a_place_may_not_guess_for_many_addresses(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.api.guesses.FAILURES_OF_A_PLACE", 3)

    def guesses_from(place: str) -> list[int]:
        browser.client.defaults["REMOTE_ADDR"] = place
        return [browser.sign_in(f"{number}@{place.replace(':', '')}.example.com").status_code for number in range(4)]

    assert guesses_from("203.0.113.7") == [401, 401, 401, 429]
    assert guesses_from("2001:db8::7") == [401, 401, 401, 429]
    # The machine itself, or its proxy: everybody would be locked out.
    assert guesses_from("127.0.0.1") == guesses_from("::1") == [401, 401, 401, 401]
    assert guesses_from("::ffff:127.0.0.1") == [401, 401, 401, 401]


@pytest.mark.django_db(transaction=True)
def test_guesses_sent_at_once_do_not_pass_the_limit(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each password takes a while to look at; the control is that several are looked at together."""
    looked_at, together = [], []

    def slow(*_: Any, **__: Any) -> None:
        looked_at.append(1)
        time.sleep(0.5)
        together.append(len(looked_at) - len(together))

    monkeypatch.setattr("studio.api.sessions.authenticate", slow)
    browsers = [Browser() for _ in range(24)]
    with ThreadPoolExecutor(24) as pool:
        codes = list(pool.map(guess, browsers))
    assert sorted(codes) == [401] * 10 + [429] * 14
    assert len(looked_at) == 10
    assert max(together) > 1


def guess(browser: Browser) -> int:
    try:
        return browser.sign_in(password="guess").status_code
    finally:
        connection.close()


def test_only_hashes_of_failed_sign_ins_are_kept(browser: Browser) -> None:
    browser.sign_in(password="guess")
    assert "ana" not in str(list(FailedSignIn.objects.values()))


def test_writing_with_a_session_needs_the_csrf_token(browser: Browser) -> None:
    assert browser.sign_in(csrf=False).json()["code"] == "csrf_failed"
    browser.sign_in()
    refused = browser.send("POST", "/tickets", csrf=False)
    assert (refused.status_code, refused.json()["code"]) == (403, "csrf_failed")
    assert browser.send("POST", "/tickets").status_code == 201


def test_a_member_of_two_workspaces_chooses(browser: Browser, ana: User, home: Workspace, abroad: Workspace) -> None:
    Membership.objects.create(workspace=abroad, user=ana, role=Role.VIEWER)
    browser.sign_in()
    chosen = browser.send("GET", "/session", **{"X-Workspace": str(abroad.id)}).json()
    assert (chosen["workspace"], len(chosen["workspaces"])) == (str(abroad.id), 2)
    assert browser.send("GET", "/session").json()["workspace"] == str(home.id)


@pytest.mark.parametrize("asked", ["foreign", "nonsense"])
def test_a_workspace_of_others_is_not_found(browser: Browser, abroad: Workspace, asked: str) -> None:
    browser.sign_in()
    name = {"foreign": str(abroad.id), "nonsense": "nonsense"}[asked]
    answer = browser.send("GET", "/assets", **{"X-Workspace": name})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_who_belongs_nowhere_is_signed_in_but_sees_nothing() -> None:
    User.objects.create_user("eve@example.com", PASSWORD)
    browser = Browser()
    assert browser.sign_in("eve@example.com").json()["workspaces"] == []
    assert browser.send("GET", "/session").json()["workspace"] is None
    assert browser.send("GET", "/assets").status_code == 404


# --- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nonsense", "Bearer aq_12345678_wrong", "Basic YTpi"])
def test_without_a_good_key_nothing_is_answered(home: Workspace, header: str) -> None:
    answer = Api(Client(), {"Authorization": header}).get("/assets")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json()["code"] in ("not_authenticated", "invalid_key")


def test_a_key_acts_in_its_own_workspace_only(api: Api, abroad: Workspace) -> None:
    answer = api.get("/assets", **{"X-Workspace": str(abroad.id)})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_an_administrator_makes_lists_and_revokes_keys(admin_api: Api, home: Workspace) -> None:
    made = admin_api.post("/api-keys", {"name": "shop", "role": "viewer"}).json()
    shop = Api(Client(), {"Authorization": f"Bearer {made['key']}"})
    assert shop.get("/assets").status_code == 200

    listed = admin_api.get("/api-keys").json()["results"]
    assert [key["name"] for key in listed] == ["shop", "test"]
    assert made["key"].split("_", 2)[2] not in json.dumps(listed)

    assert admin_api.delete(f"/api-keys/{made['id']}").status_code == 204
    assert shop.get("/assets").status_code == 401
    assert ApiKey.objects.get(name="shop").revoked_at is not None


def test_a_key_is_at_most_as_strong_as_who_makes_it(admin_api: Api) -> None:
    answer = admin_api.post("/api-keys", {"name": "shop", "role": "owner"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "too_high")


def test_who_is_removed_does_not_come_back_by_a_key(admin_api: Api, home: Workspace, abroad: Workspace) -> None:
    """Not by one that was made with the first either."""
    bo = Membership.objects.create(workspace=home, user=User.objects.get(email="bo@example.com"), role=Role.ADMIN)
    _, first = create_api_key(home, "bo's", role=Role.ADMIN, created_by=bo.user)
    own = Api(Client(), {"Authorization": f"Bearer {first}"})
    made = own.post("/api-keys", {"name": "second", "role": "admin"}).json()
    second = Api(Client(), {"Authorization": f"Bearer {made['key']}"})
    assert [one["created_by"] and one["created_by"]["email"] for one in second.get("/api-keys").json()["results"]] == [
        "bo@example.com",
        "bo@example.com",
        None,
    ]
    assert admin_api.delete(f"/members/{bo.id}").status_code == 204
    answers = [api.post("/members", {"email": "bo@example.com", "role": "admin"}) for api in (own, second)]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(401, "invalid_key")] * 2
    assert own.upload(jpeg()).status_code == 401
    assert admin_api.get("/api-keys").status_code == 200, "the control: a key of the command line stays"


@pytest.mark.parametrize("role", [Role.VIEWER, Role.REVIEWER, Role.EDITOR])
def test_keys_are_for_administrators(home: Workspace, role: Role) -> None:
    assert key_client(home, role).get("/api-keys").status_code == 403
    assert key_client(home, role).post("/api-keys", {"name": "x"}).status_code == 403


def test_a_ticket_opens_the_feed_once_for_who_asked(api: Api, home: Workspace) -> None:
    answer = api.post("/tickets")
    actor = redeem_ticket(answer.json()["ticket"])
    assert (answer.status_code, answer.json()["expires_in"]) == (201, 30)
    assert actor is not None and actor.workspace == home and actor.role == Role.EDITOR
    assert redeem_ticket(answer.json()["ticket"]) is None


# --- everything else --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/nothing", "/jobs/not-an-id", "/", "/assets/"])
def test_an_unknown_address_is_a_problem_document(api: Api, path: str) -> None:
    answer = api.client.get(f"/api/v1{path}", headers=api.headers)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")


def test_a_method_that_is_not_answered_is_told(api: Api) -> None:
    answer = api.client.patch("/api/v1/jobs", {}, content_type="application/json", headers=api.headers)
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert "POST" in answer.headers["Allow"]


def test_what_goes_wrong_on_our_side_is_told_without_a_traceback(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("studio.assets.views.list_assets", broken)
    answer = api.get("/assets")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "secret" not in answer.content.decode()


def gone(folder: Path) -> None:
    shutil.rmtree(folder)


def too_old(folder: Path, part: str) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    for name in [name for name in manifest["files"] if name.startswith(part)]:
        (folder / name).unlink()
        del manifest["files"][name]
    (folder / MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize("spoil", [gone, partial(too_old, part="relief"), partial(too_old, part="roundness")])
def test_a_studio_without_its_model_says_so(api: Api, settings: Any, tmp_path: Path, spoil: Any) -> None:
    settings.AQ_BUNDLE = tmp_path / "bundle"
    shutil.copytree(SHIPPED, settings.AQ_BUNDLE)
    assert api.get("/models").status_code == 200, "the control"
    spoil(settings.AQ_BUNDLE)
    answer = api.get("/models")
    assert (answer.status_code, answer.json()["code"]) == (503, "model_unavailable")
    photo = api.photo()
    refused = api.post("/jobs", {"kind": "image_to_video", "settings": {"asset_id": photo["id"]}})
    assert (refused.status_code, refused.json()["code"]) == (503, "model_unavailable")
