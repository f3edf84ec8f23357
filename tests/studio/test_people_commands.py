"""Adding people from the shell: accounts, members, workspaces, passwords."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as studio_settings
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command

from studio.accounts.models import User
from studio.accounts.services import create_sign_in_link, find_or_create_user, use_sign_in_link
from studio.embedded.addresses import write_address
from studio.workspaces.models import Membership, Role, Workspace

pytestmark = pytest.mark.django_db

PASSWORD = "four unusual words here"


def run(*words: str, stdin: str = "", monkeypatch: pytest.MonkeyPatch | None = None) -> str:
    if monkeypatch:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
    said = io.StringIO()
    call_command(*words, stdout=said)
    return said.getvalue()


@pytest.fixture
def running_studio(tmp_path: Path, settings: Any) -> None:
    settings.AQ_DATA_DIR = tmp_path
    (tmp_path / "run").mkdir()
    write_address(tmp_path, "https://studio.example")


@pytest.mark.parametrize("named", ["home", "Home"])
@pytest.mark.usefixtures("running_studio")
def test_a_person_is_added_and_gets_a_link(home: Workspace, named: str) -> None:
    said = run("create_user", " Pat@Example.com", "--workspace", named, "--role", "reviewer", "--name", "Pat")
    pat = User.objects.get(email="pat@example.com")
    link = said.split()[-1]
    assert link.startswith("https://studio.example/sign-in/")
    assert use_sign_in_link(link.rpartition("/")[2]) == pat
    assert pat.memberships.get().role == Role.REVIEWER
    assert (pat.memberships.get().workspace, pat.name) == (home, "Pat")


def test_a_person_with_a_password_signs_in_by_it(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("create_user", "pat@example.com", "--workspace", "home", "--password-stdin")
    said = run(*words, stdin=f"{PASSWORD}\n", monkeypatch=monkeypatch)
    assert authenticate(None, username="pat@example.com", password=PASSWORD) is not None
    assert "/sign-in/" not in said
    assert PASSWORD not in said


def test_who_has_an_account_is_added_to_a_second_workspace_without_a_link(home: Workspace, abroad: Workspace) -> None:
    said = run("create_user", "ana@example.com", "--workspace", "abroad", "--role", "viewer")
    assert "/sign-in/" not in said
    assert Membership.objects.filter(user__email="ana@example.com").count() == 2


@pytest.mark.parametrize(
    "words",
    [
        ("create_user", "pat@example.com", "--workspace", "home"),
        ("create_workspace", "Sea", "--owner", "pat@example.com"),
    ],
)
def test_an_account_of_an_invitation_is_handed_over_with_a_new_link(
    home: Workspace, abroad: Workspace, client: Any, words: tuple[str, ...]
) -> None:
    pat, _ = find_or_create_user("pat@example.com", invited_to=abroad.id)
    used, open_link = create_sign_in_link(pat), create_sign_in_link(pat)
    client.get(f"/sign-in/{used}")
    link = run(*words).split()[-1]
    assert client.get("/api/v1/session").status_code == 401
    assert use_sign_in_link(open_link) is None
    assert use_sign_in_link(link.rpartition("/")[2]) == pat
    assert "/sign-in/" not in run("create_workspace", "Lake", "--owner", "pat@example.com"), "once: now it is Pat's own"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("create_user", "pat@example.com", "--workspace", "nowhere"), "no workspace nowhere"),
        (("create_user", "no address", "--workspace", "home"), "valid email"),
        (("create_user", "ana@example.com", "--workspace", "home"), "already belongs to Home, as owner"),
        (("create_workspace", " ", "--owner", "pat@example.com"), "1 to 200 characters"),
        (("create_workspace", "Sea", "--owner", "pat"), "valid email"),
        (("set_password", "pat@example.com"), "no user pat@example.com"),
    ],
)
def test_what_cannot_be_is_told_and_leaves_nothing(home: Workspace, words: tuple[str, ...], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        run(*words)
    assert (User.objects.count(), Workspace.objects.count(), Membership.objects.count()) == (1, 1, 1)


def test_a_weak_password_is_refused_and_makes_nobody(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("create_user", "pat@example.com", "--workspace", "home", "--password-stdin")
    with pytest.raises(CommandError, match="too short"):
        run(*words, stdin="short\n", monkeypatch=monkeypatch)
    assert not User.objects.filter(email="pat@example.com").exists()


def test_a_password_is_set_and_ends_the_sessions_of_before(
    home: Workspace, monkeypatch: pytest.MonkeyPatch, client: Any
) -> None:
    ana = User.objects.get()
    client.force_login(ana)
    assert client.get("/api/v1/session").status_code == 200
    run("set_password", "ANA@example.com", "--password-stdin", stdin=f"{PASSWORD}\n", monkeypatch=monkeypatch)
    assert authenticate(None, username="ana@example.com", password=PASSWORD) == ana
    assert client.get("/api/v1/session").status_code == 401


@pytest.mark.usefixtures("running_studio")
def test_a_workspace_is_made_with_its_owner() -> None:
    said = run("create_workspace", "Sea & Sun", "--owner", "pat@example.com")
    run("create_workspace", "Sea Sun", "--owner", "pat@example.com")
    assert [workspace.slug for workspace in Workspace.objects.order_by("created_at")] == ["sea-sun", "sea-sun-2"]
    assert use_sign_in_link(said.split()[-1].rpartition("/")[2]) == User.objects.get()
    assert {member.role for member in Membership.objects.all()} == {"owner"}


def test_djangos_own_createsuperuser_makes_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    run("createsuperuser", "--noinput", "--email", "pat@example.com")
    assert authenticate(None, username="pat@example.com", password=PASSWORD) is not None


def test_a_studio_that_does_not_run_is_told_without_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, str(studio_settings.BASE_DIR / "manage.py"), "set_password", "ana@example.com"]
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "studio.settings", "AQ_DATA_DIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 1
    assert "`make run` starts it" in done.stderr
    assert "Traceback" not in done.stderr
