"""Who listens to the feed: a browser by its session cookie, any other client by a one-use ticket of 30 seconds."""

import hashlib
import io
import secrets
from datetime import timedelta
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import auth
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils.http import is_same_domain

from studio.accounts.models import User
from studio.jobs.models import FeedTicket
from studio.workspaces.access import Actor, NotFound, as_now, key_actor, member_actor
from studio.workspaces.models import ApiKey

TICKET_SECONDS = 30


def handshake_of(scope: dict[str, Any]) -> HttpRequest:
    """A WebSocket's opening request as Django sees requests: its host, whether it came through https, its cookies."""
    scheme = {"ws": "http", "wss": "https"}.get(scope.get("scheme", "ws"))
    return ASGIRequest({**scope, "method": "GET", "scheme": scheme, "query_string": b""}, io.BytesIO())


def issue_ticket(actor: Actor) -> str:
    """A secret that opens one feed connection within 30 seconds, with the rights of `actor`."""
    secret = secrets.token_urlsafe(32)
    FeedTicket.objects.create(
        workspace=actor.workspace,
        hash=_hash(secret),
        expires_at=Now() + timedelta(seconds=TICKET_SECONDS),
        user=actor.user,
        api_key=actor.api_key,
    )
    return secret


def redeem_ticket(secret: str) -> Actor | None:
    """The actor that the ticket was issued to, once; None for one that is unknown, used or too old."""
    ticket = (
        FeedTicket.objects.filter(hash=_hash(secret), expires_at__gt=Now())
        .select_related("user", "api_key", "workspace")
        .first()
    )
    # Of several connections with one ticket, the one that deletes the row has it.
    if ticket is None or FeedTicket.objects.filter(pk=ticket.pk).delete()[0] == 0:
        return None
    if ticket.api_key is not None:
        return _machine(ticket.api_key)
    return _member(ticket.user, str(ticket.workspace_id))


def session_actor(handshake: HttpRequest, workspace_id: str | None) -> Actor | None:
    """The signed-in member behind the session cookie, in the asked-for workspace or the first."""
    engine = import_module(settings.SESSION_ENGINE)
    handshake.session = engine.SessionStore(handshake.COOKIES.get(settings.SESSION_COOKIE_NAME))
    user = auth.get_user(handshake)
    return _member(user, workspace_id) if isinstance(user, User) else None


def is_still_signed_in(handshake: HttpRequest, actor: Actor) -> bool:
    """Whether the session that the member came by has not ended, and the member still is one."""
    found = session_actor(handshake, str(actor.workspace.pk))
    return found is not None and found.user == actor.user


def is_still_valid(actor: Actor) -> bool:
    """Whether the key is not revoked and its maker not gone, or the member still one."""
    try:
        as_now(actor)
    except NotFound:
        return False
    return True


def origin_of(handshake: HttpRequest) -> str | None:
    """The page that opened the connection; None when no browser did."""
    return handshake.headers.get("Origin")


def is_own_origin(origin: str, handshake: HttpRequest) -> bool:
    """Whether the page is one of ours: another's page must not use the cookie of who looks at it.

    Ours has the scheme, name and port that the connection itself was asked for, or is trusted by name
    (AQ_TRUSTED_ORIGINS), as in Django's check of forms: a program on another port of this machine is not ours.
    """
    try:
        own = f"{'https' if handshake.is_secure() else 'http'}://{handshake.get_host()}"
    except DisallowedHost:
        return False
    return origin == own or any(_is_trusted(origin, trusted) for trusted in settings.CSRF_TRUSTED_ORIGINS)


def _is_trusted(origin: str, trusted: str) -> bool:
    """`trusted` may begin its name with `*.`"""
    try:
        given, known = urlsplit(origin), urlsplit(trusted.replace("*.", "."))
    except ValueError:
        return False
    return given.scheme == known.scheme and is_same_domain(given.netloc, known.netloc)


def _machine(key: ApiKey | None) -> Actor | None:
    if key is None or key.revoked_at is not None:
        return None
    try:
        return key_actor(key)
    except NotFound:
        return None


def _member(user: User | None, workspace_id: str | None) -> Actor | None:
    if user is None:
        return None
    try:
        return member_actor(user, workspace_id)
    except NotFound:
        return None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
