"""Who listens to the feed: a browser by its session cookie, any other client by a one-use ticket of 30 seconds."""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import timedelta
from http.cookies import SimpleCookie
from importlib import import_module
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import auth
from django.db.models.functions import Now
from django.http import HttpRequest
from django.http.request import split_domain_port, validate_host

from studio.accounts.models import User
from studio.jobs.models import FeedTicket
from studio.workspaces.access import Actor, NotFound, key_actor, member_actor
from studio.workspaces.models import ApiKey

TICKET_SECONDS = 30

Headers = Iterable[tuple[bytes, bytes]]


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
        return key_actor(ticket.api_key) if ticket.api_key.revoked_at is None else None
    return _member(ticket.user, str(ticket.workspace_id))


def session_actor(headers: Headers, workspace_id: str | None) -> Actor | None:
    """The signed-in member behind the session cookie, in the asked-for workspace or the first."""
    request = HttpRequest()
    engine = import_module(settings.SESSION_ENGINE)
    request.session = engine.SessionStore(_cookie(headers, settings.SESSION_COOKIE_NAME))
    user = auth.get_user(request)
    return _member(user, workspace_id) if isinstance(user, User) else None


def is_still_valid(actor: Actor) -> bool:
    """Whether the key is not revoked, or the member still one."""
    if actor.api_key is not None:
        return ApiKey.objects.filter(pk=actor.api_key.pk, revoked_at=None).exists()
    return _member(actor.user, str(actor.workspace.pk)) is not None


def origin_of(headers: Headers) -> str | None:
    """The page that opened the connection; None when no browser did."""
    return _header(headers, b"origin")


def is_own_origin(origin: str) -> bool:
    """Whether the page is one of ours: another site's page must not use the cookie of who looks at it."""
    host, _ = split_domain_port(urlsplit(origin).netloc)
    allowed = settings.ALLOWED_HOSTS or ["localhost", "127.0.0.1", "[::1]"]
    return bool(host) and validate_host(host, allowed)


def _member(user: User | None, workspace_id: str | None) -> Actor | None:
    if user is None:
        return None
    try:
        return member_actor(user, workspace_id)
    except NotFound:
        return None


def _cookie(headers: Headers, name: str) -> str | None:
    jar = SimpleCookie(_header(headers, b"cookie") or "")
    return jar[name].value if name in jar else None


def _header(headers: Headers, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in headers if key.lower() == name), None)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
