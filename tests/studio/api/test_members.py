"""Members over REST: administrators add, change and remove them, and a workspace always keeps an owner."""

import io
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client

from studio.accounts.models import User
from studio.accounts.services import use_sign_in_link
from studio.api import members
from studio.workspaces.access import Actor, access_membership, key_actor
from studio.workspaces.models import Membership, Role, Workspace
from studio.workspaces.services import LastOwner, create_api_key, remove_member
from tests.studio.rest import Api, key_client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_dir")]


@pytest.fixture
def owner_api(home: Workspace, bundle: Any) -> Api:
    return key_client(home, Role.OWNER)


def add(api: Api, email: str = "pat@example.com", role: str = "editor") -> Any:
    return api.post("/members", {"email": email, "role": role, "name": "Pat"})


def test_a_new_person_is_added_with_a_link_that_works_once(admin_api: Api, home: Workspace) -> None:
    answer = add(admin_api, "Pat@Example.com")
    member = answer.json()
    assert (answer.status_code, member["role"], member["user"]["email"]) == (201, "editor", "pat@example.com")
    assert member["sign_in_url"].startswith("http://testserver/sign-in/")
    assert use_sign_in_link(member["sign_in_url"].rpartition("/")[2]) == User.objects.get(email="pat@example.com")
    listed = admin_api.get("/members").json()["results"]
    assert [(one["user"]["email"], one["role"]) for one in listed] == [
        ("pat@example.com", "editor"),
        ("ana@example.com", "owner"),
    ]
    assert "sign_in_url" not in listed[0]


def test_who_has_an_account_is_added_and_the_inviter_gets_no_way_into_it(
    admin_api: Api, home: Workspace, abroad: Workspace
) -> None:
    answer = add(admin_api, "bo@example.com", "viewer")
    assert (answer.status_code, answer.json()["sign_in_url"]) == (201, None)
    assert Membership.objects.filter(user__email="bo@example.com").count() == 2


@pytest.fixture
def foreign_admin_api(abroad: Workspace, bundle: Any) -> Api:
    return key_client(abroad, Role.ADMIN)


def test_whoever_invites_first_gets_into_no_other_workspace_by_that(
    admin_api: Api, foreign_admin_api: Api, abroad: Workspace, client: Any
) -> None:
    client.get(add(admin_api).json()["sign_in_url"])  # the inviter keeps it, and is signed in as Pat
    answer = add(foreign_admin_api)
    assert (answer.status_code, answer.json()["code"]) == (409, "invited_elsewhere")
    assert not Membership.objects.filter(workspace=abroad, user__email="pat@example.com").exists()
    assert client.get("/api/v1/session").status_code == 200, "the control: that session lives"
    call_command("create_user", "pat@example.com", "--workspace", "abroad", stdout=io.StringIO())
    assert client.get("/api/v1/session").status_code == 401


def test_who_was_removed_is_added_again_where_the_account_was_made(admin_api: Api) -> None:
    admin_api.delete(f"/members/{add(admin_api).json()['id']}")
    assert add(admin_api).status_code == 201


def test_a_person_is_in_a_workspace_once(admin_api: Api) -> None:
    add(admin_api)
    answer = add(admin_api, role="viewer")
    assert (answer.status_code, answer.json()["code"]) == (409, "already_member")
    assert Membership.objects.get(user__email="pat@example.com").role == Role.EDITOR


@pytest.mark.parametrize("body", [{}, {"email": "none"}, {"email": "a@b.example", "role": "king"}])
def test_what_is_asked_is_checked(admin_api: Api, body: dict[str, str]) -> None:
    assert admin_api.post("/members", body).status_code == 422
    assert User.objects.count() == 1


@pytest.mark.parametrize("role", [Role.VIEWER, Role.REVIEWER, Role.EDITOR])
def test_members_are_for_administrators(home: Workspace, bundle: Any, role: Role) -> None:
    api, member = key_client(home, role), Membership.objects.get()
    answers = [api.get("/members"), add(api), api.delete(f"/members/{member.id}"), patch(api, member, "viewer")]
    assert [answer.status_code for answer in answers] == [403] * 4


def patch(api: Api, member: Membership, role: str) -> Any:
    body = {"role": role}
    address = f"/api/v1/members/{member.id}"
    return api.client.patch(address, body, content_type="application/json", headers=api.headers)


def test_a_role_is_changed_and_a_member_removed(admin_api: Api, home: Workspace) -> None:
    member = Membership.objects.get(pk=add(admin_api).json()["id"])
    assert patch(admin_api, member, "reviewer").json()["role"] == "reviewer"
    assert admin_api.delete(f"/members/{member.id}").status_code == 204
    assert User.objects.filter(email="pat@example.com").exists()
    assert not Membership.objects.filter(pk=member.pk).exists()


def test_an_administrator_is_not_above_an_owner(admin_api: Api, home: Workspace) -> None:
    owner = Membership.objects.get()
    too_high = add(admin_api, role="owner")
    assert (too_high.status_code, too_high.json()["errors"][0]["code"]) == (422, "too_high")
    assert [patch(admin_api, owner, "viewer").status_code, admin_api.delete(f"/members/{owner.id}").status_code] == [
        403,
        403,
    ]


def test_the_last_owner_stays(owner_api: Api, home: Workspace) -> None:
    ana = Membership.objects.get()
    refused = [patch(owner_api, ana, "admin"), owner_api.delete(f"/members/{ana.id}")]
    assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(409, "last_owner")] * 2
    add(owner_api, role="owner")  # the control: with another owner there is no reason left
    assert owner_api.delete(f"/members/{ana.id}").status_code == 204


def test_an_owner_who_cannot_sign_in_is_none(owner_api: Api, home: Workspace) -> None:
    ana = Membership.objects.get()
    add(owner_api, role="owner")
    User.objects.filter(email="pat@example.com").update(is_active=False)
    assert owner_api.delete(f"/members/{ana.id}").status_code == 409


@pytest.mark.django_db(transaction=True)
def test_two_owners_cannot_remove_each_other_at_once(owner_api: Api, home: Workspace) -> None:
    add(owner_api, role="owner")
    owners, together, refused = list(Membership.objects.all()), threading.Barrier(2), []

    actor = key_actor(create_api_key(home, "of the shell", role=Role.OWNER)[0])

    def remove(member: Membership) -> None:
        together.wait()
        try:
            remove_member(actor, member)
        except LastOwner as error:
            refused.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=remove, args=[member]) for member in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(refused), Membership.objects.count()) == (1, 1)


# --- what changes between the reading of a member and its change ---


def meanwhile(monkeypatch: pytest.MonkeyPatch, change: Callable[[], Any]) -> None:
    def read(actor: Actor, id: Any) -> Membership:
        found = access_membership(actor, id)
        change()
        return found

    monkeypatch.setattr(members, "access_membership", read)


@pytest.fixture
def pat(admin_api: Api) -> Membership:
    return Membership.objects.get(pk=add(admin_api).json()["id"])


def test_a_member_who_was_removed_meanwhile_is_not_found(
    admin_api: Api, pat: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, Membership.objects.filter(pk=pat.pk).delete)
    removed = admin_api.delete(f"/members/{pat.id}")
    pat.save(force_insert=True)
    changed = patch(admin_api, pat, "viewer")
    assert [(answer.status_code, answer.json()["code"]) for answer in (removed, changed)] == [(404, "not_found")] * 2


@pytest.mark.parametrize(("role", "status"), [(Role.OWNER, 204), (Role.EDITOR, 403)])
def test_who_was_made_less_meanwhile_removes_nobody(
    home: Workspace, ana: User, pat: Membership, monkeypatch: pytest.MonkeyPatch, role: Role, status: int
) -> None:
    _, key = create_api_key(home, "shop", role=Role.ADMIN, created_by=ana)
    meanwhile(monkeypatch, lambda: Membership.objects.filter(user=ana).update(role=role))
    answer = Api(Client(), {"Authorization": f"Bearer {key}"}).delete(f"/members/{pat.id}")
    assert (answer.status_code, Membership.objects.filter(pk=pat.pk).exists()) == (status, status == 403)


def test_who_was_made_less_meanwhile_gives_no_role_above_it(
    home: Workspace, ana: User, pat: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, key = create_api_key(home, "shop", role=Role.OWNER, created_by=ana)
    meanwhile(monkeypatch, lambda: Membership.objects.filter(user=ana).update(role=Role.ADMIN))
    answer = patch(Api(Client(), {"Authorization": f"Bearer {key}"}), pat, "owner")
    pat.refresh_from_db()
    assert (answer.status_code, pat.role) == (403, Role.EDITOR)
