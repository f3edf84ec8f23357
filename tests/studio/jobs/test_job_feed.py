"""The feed: nothing is missed, nothing comes twice, nobody hears of another workspace, and PostgreSQL may restart."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections
from django.test import Client

from studio.accounts.models import User
from studio.embedded.postgres import Postgres
from studio.jobs import feed, hub, identity, lease, services
from studio.jobs.feed import FeedConsumer, stream_events
from studio.jobs.models import FeedTicket, Job
from studio.workspaces.access import Actor, key_actor
from studio.workspaces.models import Membership, Workspace
from studio.workspaces.services import create_api_key, revoke_api_key
from tests.chaos.kinds import QUEUE
from tests.studio.jobs.conftest import MakeJob
from tests.studio.jobs.sockets import Socket

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

ORIGIN = (b"origin", b"http://localhost:8000")


@pytest.fixture(autouse=True)
async def closed_hub() -> AsyncIterator[None]:
    """The hub's connections belong to this test's loop and database."""
    yield
    await hub.hub().close()


def in_database(work: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    return sync_to_async(work, thread_sensitive=True)


@in_database
def ticket_of(actor: Actor) -> str:
    return identity.issue_ticket(actor)


@in_database
def tell(job: Job, count: int) -> None:
    """`count` events in the job's log, written under its lease."""
    for step in range(count):
        services.progress(lease.lease_of(job), "work", step / 1000)


@in_database
def running_job(make_job: MakeJob) -> Job:
    make_job()
    job = lease.claim(uuid.uuid4(), QUEUE)
    assert job is not None
    return job


@asynccontextmanager
async def socket(query: str, *headers: tuple[bytes, bytes]) -> AsyncIterator[Socket]:
    """A connected client that has said nothing yet."""
    one = Socket(f"/ws/v1/feed?{query}", list(headers))
    assert await one.connect()
    yield one
    await one.leave()


@asynccontextmanager
async def listener(actor: Actor) -> AsyncIterator[Socket]:
    async with socket(f"ticket={await ticket_of(actor)}") as one:
        assert await one.hear() == {"type": "hello", "workspace": str(actor.workspace.pk)}
        yield one


async def seqs(one: Socket, until: int) -> list[int]:
    """The seqs of the events that come, up to the one with this seq."""
    heard: list[int] = []
    while not heard or heard[-1] < until:
        message = await one.hear()
        if message["type"] == "events":
            heard += [event["seq"] for event in message["events"]]
    return heard


async def test_what_was_and_what_comes_in_order_and_once(member: Actor, make_job: MakeJob) -> None:
    job = await running_job(make_job)
    async with listener(member) as one:
        await one.say({"type": "watch", "jobs": {str(job.pk): 0}})
        first = await one.hear()
        assert [(event["seq"], event["type"]) for event in first["events"]] == [(1, "queued"), (2, "started")]
        await tell(job, 30)
        assert await seqs(one, 32) == list(range(3, 33))


async def test_a_client_that_comes_back_hears_what_it_missed(member: Actor, make_job: MakeJob) -> None:
    job = await running_job(make_job)
    await tell(job, 10)
    async with listener(member) as one:
        await one.say({"type": "watch", "jobs": {str(job.pk): 7}})
        assert await seqs(one, 12) == [8, 9, 10, 11, 12]


async def test_watching_while_events_pour_in_leaves_no_gap(member: Actor, make_job: MakeJob) -> None:
    job = await running_job(make_job)
    async with listener(member) as one:
        pouring = asyncio.create_task(tell(job, 60))
        await asyncio.sleep(0.02)
        await one.say({"type": "watch", "jobs": {str(job.pk): 0}})
        assert await seqs(one, 62) == list(range(1, 63))
        await pouring


async def test_a_change_that_was_not_pushed_is_read_from_the_log(member: Actor, make_job: MakeJob) -> None:
    job = await running_job(make_job)
    await tell(job, 3)
    async with hub.hub().subscription(member.workspace.pk) as subscription:
        subscription.watch(job.pk, 2)
        assert [event["seq"] for event in (await subscription.next(20))[0]["events"]] == [3, 4, 5]
        await tell(job, 3)
        subscription.offer(hub.Change(job.pk, member.workspace.pk, "running", 8, [{"seq": 8, "type": "progress"}]))
        heard = [event["seq"] for message in await subscription.next(20) for event in message["events"]]
        assert heard[:3] == [6, 7, 8]


async def test_lists_hear_of_every_job_of_their_workspace_and_of_no_other(
    member: Actor, make_job: MakeJob, abroad: Workspace
) -> None:
    async with listener(member) as one:
        await one.say({"type": "watch_workspace"})
        await asyncio.sleep(0.2)
        await in_database(make_job)(abroad)
        mine = await in_database(make_job)()
        assert await one.hear() == {
            "type": "job_changed", "job_id": str(mine.pk), "state": "queued"
        }  # fmt: skip
        assert await one.receive_nothing(0.3)


async def test_a_foreign_job_does_not_exist(member: Actor, make_job: MakeJob, abroad: Workspace) -> None:
    foreign = await in_database(make_job)(abroad)
    async with listener(member) as one:
        await one.say({"type": "watch", "jobs": {str(foreign.pk): 0}})
        answer = await one.hear()
        assert (answer["type"], answer["code"]) == ("error", "not_found")
        await in_database(services.cancel_job)(foreign)
        assert await one.receive_nothing(0.3)


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        '{"type": "fly"}',
        '{"type": "watch", "jobs": {"x": 0}}',
        '{"type": "watch", "jobs": {"00000000-0000-0000-0000-000000000001": -1}}',
        '{"type": "unwatch", "jobs": "all"}',
    ],
)
async def test_what_it_does_not_understand_it_says(member: Actor, text: str) -> None:
    async with listener(member) as one:
        await one.say_text(text)
        assert (await one.hear())["code"] == "invalid_message"
        await one.say({"type": "watch_workspace"})


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
    for evil in (b"https://evil.example", b"null", b"http://localhost.evil.example"):
        other_site = Socket("/ws/v1/feed", [cookie, (b"origin", evil)])
        assert not await other_site.connect()


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
    return b"cookie", f"other=1; aq_session={client.cookies['aq_session'].value}".encode()


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


def forget_sessions() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_session")


async def test_many_sockets_share_one_listening_connection(member: Actor, make_job: MakeJob) -> None:
    job = await running_job(make_job)
    before = len(await in_database(open_backends)())
    paths = [f"/ws/v1/feed?ticket={await ticket_of(member)}" for _ in range(40)]
    sockets = [Socket(path, []) for path in paths]
    for one in sockets:
        assert await one.connect()
        await one.say({"type": "watch", "jobs": {str(job.pk): 2}})
    await tell(job, 1)
    for one in sockets:
        assert await seqs(one, 3) == [3]
    assert len(await in_database(open_backends)()) - before <= 2  # LISTEN, and the reader's
    for one in sockets:
        await one.leave()


async def test_the_feed_survives_when_its_connections_are_cut(member: Actor, make_job: MakeJob) -> None:
    job = await running_job(make_job)
    ours = await in_database(open_backends)()
    async with listener(member) as one:
        await one.say({"type": "watch", "jobs": {str(job.pk): 0}})
        await one.say({"type": "watch_workspace"})
        assert await seqs(one, 2) == [1, 2]
        await in_database(cut_all_but)(ours)
        await tell(job, 5)
        assert await seqs(one, 7) == [3, 4, 5, 6, 7]


@pytest.fixture
def fresh_connections(transactional_db: None) -> Iterator[None]:
    """For tests that end the server under Django's own connection."""
    yield
    connections.close_all()


async def test_sockets_stay_open_while_postgresql_is_killed_and_started_again(
    member: Actor, make_job: MakeJob, postgres: Postgres, fresh_connections: None
) -> None:
    job = await running_job(make_job)
    async with listener(member) as one:
        await one.say({"type": "watch", "jobs": {str(job.pk): 0}})
        assert await seqs(one, 2) == [1, 2]
        await in_database(checkpoint)()
        await asyncio.to_thread(kill, postgres)
        await asyncio.sleep(0.5)
        postgres.start()  # here, because the server ends with the thread that started it
        await tell(job, 5)
        assert await seqs(one, 7) == [3, 4, 5, 6, 7]


def checkpoint() -> None:
    """The tests' server writes without fsync: what must survive its death has to be on disk before."""
    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")
    connections.close_all()


def kill(postgres: Postgres) -> None:
    assert postgres.process is not None
    postgres.process.kill()
    postgres.process.wait()


async def test_control_a_feed_that_does_not_connect_again_hears_nothing(
    member: Actor, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await running_job(make_job)
    ours = await in_database(open_backends)()
    async with listener(member) as one:
        await one.say({"type": "watch", "jobs": {str(job.pk): 0}})
        assert await seqs(one, 2) == [1, 2]
        monkeypatch.setattr(hub.psycopg.AsyncConnection, "connect", never)
        await in_database(cut_all_but)(ours)
        await tell(job, 5)
        assert await one.receive_nothing(1.0)


async def never(*_: object, **__: object) -> None:
    raise psycopg.OperationalError("no way back")


def open_backends() -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
        )
        return {pid for (pid,) in cursor.fetchall()}


def cut_all_but(spared: set[int]) -> None:
    """Ends the connections that were opened since, other than this one: LISTEN, and the reader's."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND pid <> ALL(%s)",
            [list(spared)],
        )


async def test_server_sent_events_end_with_the_job(member: Actor, make_job: MakeJob) -> None:
    job = await running_job(make_job)
    received: list[bytes] = []

    async def follow() -> None:
        async for piece in stream_events(member, job, after=1):
            received.append(piece)

    following = asyncio.create_task(follow())
    await tell(job, 2)
    await in_database(services.stop)(lease.lease_of(job), worker_leaves=False)
    await asyncio.wait_for(following, 20)
    assert [piece.split(b"\n")[0] for piece in received] == [b"id: 2", b"id: 3", b"id: 4", b"id: 5"]
    assert received[-1].split(b"\n")[1] == b"event: canceled"
    await in_database(job.refresh_from_db)()
    assert [piece async for piece in stream_events(member, job, after=5)] == []
    assert len([piece async for piece in stream_events(member, job, after=0)]) == 5


async def test_tickets_are_kept_as_hashes(member: Actor) -> None:
    ticket = await ticket_of(member)
    assert not await FeedTicket.objects.filter(hash=ticket).aexists()
