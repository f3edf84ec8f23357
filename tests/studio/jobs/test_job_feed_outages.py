"""One listening connection for all sockets, which stay open while PostgreSQL goes and comes."""

import asyncio
from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection, connections

from studio.embedded.postgres import Postgres
from studio.jobs import hub
from studio.workspaces.access import Actor
from tests.studio.jobs.conftest import MakeJob
from tests.studio.jobs.sockets import Socket, in_database, listener, running_job, seqs, tell, ticket_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300), pytest.mark.usefixtures("closed_hub")]


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
        await quiet()  # a read that is cut off is repeated, and would find the events in the log
        monkeypatch.setattr(hub.psycopg.AsyncConnection, "connect", never)
        await in_database(cut_all_but)(ours)
        await tell(job, 5)
        assert await one.receive_nothing(1.0)


async def quiet() -> None:
    """Returns when the hub listens and no socket has anything left to read."""
    async with asyncio.timeout(60):
        while hub.hub()._seen_at is None or any(
            watched.must_read for one in hub.hub()._subscriptions for watched in one.watched.values()
        ):
            await asyncio.sleep(0.02)


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
