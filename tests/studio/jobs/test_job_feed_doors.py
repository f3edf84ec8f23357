"""Who may listen to the feed, and for how long."""

import asyncio
from typing import Any

import pytest
from django.conf import settings
from django.db import DataError, connection
from django.test import AsyncClient, Client

from studio.accounts.models import User
from studio.jobs import feed, hub
from studio.jobs.feed import FeedConsumer
from studio.jobs.models import FeedTicket
from studio.workspaces.access import Actor, key_actor
from studio.workspaces.models import Membership, Workspace
from studio.workspaces.services import create_api_key, revoke_api_key
from tests.studio.jobs.conftest import MakeJob
from tests.studio.jobs.sockets import Socket, in_database, listener, socket, ticket_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300), pytest.mark.usefixtures("closed_hub")]

SESSION = f"{settings.SESSION_COOKIE_NAME}=".encode()
ORIGIN = (b"origin", b"http://localhost:8000")


async def test_a_ticket_opens_once(member: Actor) -> None:
    ticket = await ticket_of(member)
    async with socket(f"ticket={ticket}") as one:
        assert (await one.hear())["type"] == "hello"
    async with socket(f"ticket={ticket}") as again:
        assert await again.hear() == {"type": "close", "code": feed.SIGNED_OUT}


async def test_an_old_ticket_opens_nothing(member: Actor) -> None:
    ticket = await ticket_of(member)
    await in_database(age_tickets)()
    async with socket(f"ticket={ticket}") as one:
        assert await one.hear() == {"type": "close", "code": feed.SIGNED_OUT}


def age_tickets() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE jobs_feedticket SET expires_at = expires_at - interval '31 seconds'")


async def test_a_browser_comes_with_its_cookie_from_our_page_only(ana: User, home: Workspace) -> None:
    cookie = await in_database(session_cookie)(ana)
    async with socket("", ORIGIN, cookie) as one:
        assert (await one.hear())["workspace"] == str(home.pk)
    async with socket("", cookie) as without_origin:
        assert await without_origin.hear() == {"type": "close", "code": feed.SIGNED_OUT}
    async with socket("", ORIGIN) as without_cookie:
        assert await without_cookie.hear() == {"type": "close", "code": feed.SIGNED_OUT}
    for evil in (
        b"https://evil.example",
        b"null",
        b"http://localhost.evil.example",
        b"http://localhost:3000",  # another program of this machine
        b"https://localhost:8000",
        b"http://127.0.0.1:8000",
        b"http://[",
    ):
        other_site = Socket("/ws/v1/feed", [cookie, (b"origin", evil)])
        assert not await other_site.connect()


async def test_a_page_that_is_trusted_by_name_is_ours_too(ana: User, home: Workspace, settings: Any) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://studio.example", "https://*.shops.example"]
    cookie = await in_database(session_cookie)(ana)
    for trusted in (b"https://studio.example", b"https://a.shops.example"):
        async with socket("", (b"origin", trusted), cookie) as one:
            assert (await one.hear())["type"] == "hello"
    for other in (b"http://studio.example", b"https://studio.example:444", b"https://shops.example.evil"):
        assert not await Socket("/ws/v1/feed", [cookie, (b"origin", other)]).connect()


NO_SESSIONS = {
    "a NUL": b'"aaaaaaaa\\000b"',
    "long": b"a" * 5000,
    "no UTF-8": b'"\\303\\050aaaaaaaa"',
    "empty": b"",
    "several": (b"a/b=1; " + SESSION + b"\xff") * 9,
}


@pytest.mark.parametrize("cookie", NO_SESSIONS.values(), ids=NO_SESSIONS.keys())
async def test_a_cookie_that_is_no_session_is_signed_out_and_stops_nobody(member: Actor, cookie: bytes) -> None:
    async with socket("", ORIGIN, (b"cookie", SESSION + cookie)) as one:
        assert await one.hear(timeout=10) == {"type": "close", "code": feed.SIGNED_OUT}
    async with listener(member):
        pass  # the one reader is free for who comes next


async def test_what_the_database_refuses_is_not_asked_again() -> None:
    asked: list[int] = []

    def refused() -> None:
        asked.append(1)
        raise DataError("no such text")

    with pytest.raises(DataError):
        await asyncio.wait_for(hub.hub().ask(refused), 10)
    assert len(asked) == 1


async def test_another_workspace_does_not_open(ana: User, home: Workspace, abroad: Workspace) -> None:
    cookie = await in_database(session_cookie)(ana)
    async with socket(f"workspace={abroad.pk}", ORIGIN, cookie) as one:
        assert await one.hear() == {"type": "close", "code": feed.SIGNED_OUT}


async def test_another_path_is_refused(member: Actor) -> None:
    one = Socket("/ws/v2/other", [])
    assert not await one.connect()


def session_cookie(user: User) -> tuple[bytes, bytes]:
    client = Client()
    client.force_login(user)
    return b"cookie", b"other=1; " + SESSION + client.cookies[settings.SESSION_COOKIE_NAME].value.encode()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FeedConsumer, "ping_seconds", 0.1)
    monkeypatch.setattr(FeedConsumer, "check_seconds", 0.2)


async def closes(one: Socket) -> int:
    """Listens on until the server closes; the code."""
    while (message := await one.hear())["type"] != "close":
        assert message["type"] in {"ping", "hello"}
    return int(message["code"])


async def test_who_leaves_the_workspace_hears_no_more(member: Actor, impatient: None) -> None:
    async with listener(member) as one:
        assert await one.hear() == {"type": "ping"}
        await in_database(Membership.objects.all().delete)()
        assert await closes(one) == feed.FORBIDDEN


async def test_a_revoked_key_hears_no_more(home: Workspace, impatient: None) -> None:
    key, _ = await in_database(create_api_key)(home, "shop")
    async with socket(f"ticket={await ticket_of(key_actor(key))}") as one:
        assert (await one.hear())["type"] == "hello"
        await in_database(revoke_api_key)(key)
        assert await closes(one) == feed.FORBIDDEN


async def test_who_signs_out_hears_no_more(ana: User, home: Workspace, impatient: None) -> None:
    cookie = await in_database(session_cookie)(ana)
    async with socket("", ORIGIN, cookie) as one:
        assert (await one.hear())["type"] == "hello"
        await in_database(forget_sessions)()
        assert await closes(one) == feed.FORBIDDEN


async def test_who_signs_out_hears_no_more_of_a_stream(
    ana: User, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "PING_SECONDS", 0.1)
    monkeypatch.setattr(feed, "CHECK_SECONDS", 0.2)
    job, client = await in_database(make_job)(), AsyncClient()
    await in_database(client.force_login)(ana)
    answer: Any = await client.get(f"/api/v1/jobs/{job.pk}/events", headers={"Accept": "text/event-stream"})
    async with asyncio.timeout(20):
        heard = aiter(answer)
        assert b"event: queued" in await anext(heard)
        assert [await anext(heard) for _ in range(6)] == [b": ping\n\n"] * 6  # the control: it was asked meanwhile
        await in_database(forget_sessions)()
        assert {piece async for piece in heard} <= {b": ping\n\n"}


async def test_a_word_like_ticket_in_the_address_changes_nothing(ana: User, home: Workspace, impatient: None) -> None:
    cookie = await in_database(session_cookie)(ana)
    async with socket("xticket=1", ORIGIN, cookie) as one:
        assert (await one.hear())["type"] == "hello"
        await in_database(forget_sessions)()
        assert await closes(one) == feed.FORBIDDEN


def forget_sessions() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_session")


async def test_tickets_are_kept_as_hashes(member: Actor) -> None:
    ticket = await ticket_of(member)
    assert not await FeedTicket.objects.filter(hash=ticket).aexists()
