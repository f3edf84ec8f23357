"""How often a password may be guessed, counted so that guesses sent at once cannot slip past the count."""

import hashlib
import ipaddress
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models.functions import Now

from studio.api.models import FailedSignIn
from studio.api.problems import Problem

FAILURES_OF_AN_ADDRESS = 10
FAILURES_OF_A_PLACE = 50
WINDOW = timedelta(minutes=15)


@transaction.atomic
def count_guess(email: str, place: str) -> Sequence[UUID]:
    """Count a sign-in as failed before its password is looked at; `forgive` takes that back when it was right.

    So no more passwords are looked at than may be wrong, however many are sent at once: of those that count for the
    same address or place, one after the other has the lock. Raises Problem after too many failures, for the right
    password too.
    """
    limits = {_hash(f"email:{email}"): FAILURES_OF_AN_ADDRESS}
    if not _is_here(place):
        limits[_hash(f"from:{place}")] = FAILURES_OF_A_PLACE
    with connection.cursor() as cursor:
        for who in sorted(limits):  # always in the same order: two sign-ins never wait for each other
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [who])
    recent = FailedSignIn.objects.filter(created_at__gt=Now() - WINDOW)
    if any(recent.filter(who=who).count() >= limit for who, limit in limits.items()):
        wait = str(int(WINDOW.total_seconds()))
        sentence = "Too many wrong passwords. Wait 15 minutes, or use a sign-in link."
        raise Problem(429, "too_many_requests", sentence, headers={"Retry-After": wait})
    FailedSignIn.objects.filter(created_at__lt=Now() - WINDOW).delete()
    return [row.id for row in FailedSignIn.objects.bulk_create(FailedSignIn(who=who) for who in limits)]


def forgive(guess: Sequence[UUID]) -> None:
    """The password was right."""
    FailedSignIn.objects.filter(pk__in=guess).delete()


def _is_here(place: str) -> bool:
    """A proxy that did not say for whom it asks, or somebody at this machine: a limit there would be everybody's.

    What a trusted proxy says in X-Forwarded-For, uvicorn has put in the place of the proxy's own address.
    """
    try:
        address = ipaddress.ip_address(place)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
