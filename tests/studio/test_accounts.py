"""Sign-in links: once, in time, for active users."""

from datetime import timedelta
from hashlib import sha256

import pytest
from django.contrib.sessions.models import Session
from django.db import IntegrityError
from django.test import Client
from django.utils import timezone

from studio.accounts.models import SignInLink, User
from studio.accounts.services import create_sign_in_link, set_password, use_sign_in_link
from studio.jobs import sweeper


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("Ana@Example.com", name="Ana")


def test_a_link_signs_in_once(user: User) -> None:
    token = create_sign_in_link(user)
    first, second = Client(), Client()

    assert first.get(f"/sign-in/{token}").headers["Location"] == "/"
    spent = second.get(f"/sign-in/{token}")

    assert first.session["_auth_user_id"] == str(user.pk)
    assert spent.status_code == 410
    assert "_auth_user_id" not in second.session
    assert "no longer works" in spent.content.decode()


def test_only_the_hash_of_a_link_is_stored(user: User) -> None:
    token = create_sign_in_link(user)
    assert token not in str(SignInLink.objects.values().get())


def test_an_expired_link_is_refused(user: User) -> None:
    token = create_sign_in_link(user)
    SignInLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert use_sign_in_link(token) is None


def test_an_inactive_users_link_is_refused(user: User) -> None:
    token = create_sign_in_link(user)
    User.objects.update(is_active=False)
    assert use_sign_in_link(token) is None


def test_a_made_up_link_is_refused(user: User) -> None:
    create_sign_in_link(user)
    assert use_sign_in_link("x" * 43) is None


def test_a_new_password_ends_the_links_that_are_open(user: User) -> None:
    """The control is the first test: such a link signs in."""
    other = create_sign_in_link(User.objects.create_user("bo@example.com"))
    token = create_sign_in_link(user)
    set_password(user, "four unusual words here")
    assert use_sign_in_link(token) is None
    assert use_sign_in_link(other) is not None


def test_links_and_sessions_whose_time_is_over_are_cleared(user: User) -> None:
    old, open_link, ended, lives = create_sign_in_link(user), create_sign_in_link(user), Client(), Client()
    for client in (ended, lives):
        client.force_login(user)
    long_ago = timezone.now() - timedelta(seconds=1)
    SignInLink.objects.filter(token_hash=sha256(old.encode()).hexdigest()).update(expires_at=long_ago)
    Session.objects.filter(pk=ended.session.session_key).update(expire_date=long_ago)
    sweeper.clear_ways_in()
    assert [row.pk for row in Session.objects.all()] == [lives.session.session_key]
    assert SignInLink.objects.count() == 1
    assert use_sign_in_link(open_link) == user


def test_one_address_is_one_user_however_it_is_written(user: User) -> None:
    assert User.objects.get_by_natural_key(" ANA@example.com") == user
    with pytest.raises(IntegrityError):
        User.objects.create(email="ANA@EXAMPLE.COM")
