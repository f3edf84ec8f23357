"""Accounts: made by e-mail address, opened by password or by one-time link."""

import hashlib
import secrets
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from studio.accounts.models import SignInLink, User
from studio.accounts.sessions import SessionStore


def find_or_create_user(email: str, *, name: str = "", invited_to: UUID | None = None) -> tuple[User, bool]:
    """The user of this address, and whether it was made now. Raises ValidationError for what is no address.

    invited_to: the workspace whose administrator is given the link into an account that is made now.
    """
    address = email.strip().lower()
    validate_email(address)
    found = User.objects.filter(email=address).first()
    if found is not None:
        return found, False
    try:
        with transaction.atomic():
            return User.objects.create_user(address, name=name, invited_to=invited_to), True
    except IntegrityError:  # made in this moment by somebody else
        return User.objects.get(email=address), False


def hand_over(user: User) -> bool:
    """Take an account that an invitation made out of the hands of who invited; whether it was one.

    That person was shown its first link and may be signed in by it. Sessions and links end, so that who runs the
    studio can give the account to its owner.
    """
    if user.invited_to is None:
        return False
    user.set_unusable_password()  # a new one, by which sessions of before are told from those of after
    user.invited_to = None
    user.save(update_fields=["password", "invited_to"])
    _end_links(user)
    return True


@transaction.atomic
def set_password(user: User, password: str) -> None:
    """Raises ValidationError for a password that is too weak. Every session of the user ends, and every open link."""
    validate_password(password, user)
    user.set_password(password)
    user.invited_to = None
    user.save(update_fields=["password", "invited_to"])
    _end_links(user)


def _end_links(user: User) -> None:
    SignInLink.objects.filter(user=user, used_at=None).delete()


def create_sign_in_link(user: User) -> str:
    """A new token for `/sign-in/<token>`; it is shown once and only its hash is stored."""
    token = secrets.token_urlsafe(32)
    lifetime = timedelta(seconds=settings.AQ_SIGN_IN_LINK_SECONDS)
    SignInLink.objects.create(user=user, token_hash=_hash(token), expires_at=timezone.now() + lifetime)
    return token


def use_sign_in_link(token: str) -> User | None:
    """The user the link belongs to, or None when it is unknown, used, expired or its user is inactive.

    One conditional UPDATE decides, so of two browsers that open a link at once only one is signed in.
    """
    link = SignInLink.objects.filter(
        token_hash=_hash(token), used_at=None, expires_at__gt=Now(), user__is_active=True
    ).select_related("user")
    found = link.first()
    if found is None or not SignInLink.objects.filter(pk=found.pk, used_at=None).update(used_at=Now()):
        return None
    return found.user


def clear_expired() -> None:
    """Removes links and sessions that let nobody in any more."""
    SignInLink.objects.filter(expires_at__lt=Now()).delete()
    SessionStore.clear_expired()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
