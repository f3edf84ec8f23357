"""One LISTEN connection for a web process, however many sockets and streams it serves.

A notification carries a job's id and nothing else: the hub then reads the row and the new events once, and offers
them to every subscription of that workspace. What a subscription misses (a gap in `seq`) it reads from the log itself.
When PostgreSQL was away, the hub connects again, and looks for what happened meanwhile.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID
from weakref import WeakKeyDictionary

import psycopg
from django.db import DatabaseError, InterfaceError, connection

from studio.jobs import events
from studio.jobs.database import AWAY, conninfo
from studio.jobs.models import TERMINAL, Job, JobEvent, State
from studio.jobs.subscription import PAGE, Change, Subscription

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

HEALTH_SECONDS = 15.0  # a silent connection is asked whether it still lives
MISSED_MARGIN = timedelta(minutes=1)  # an event carries its statement's time, and its commit may be later


class Hub:
    """Listens for one event loop. Made by `hub()`."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()
        self._listening: asyncio.Task[None] | None = None
        # One thread, so one database connection, for all the reading of all sockets.
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="feed")
        self._seen_at: datetime | None = None  # the database's clock when all was well
        self._noted = 0.0
        self._standing: dict[UUID, tuple[str, bool]] = {}  # of the jobs that have not ended, as last read

    @asynccontextmanager
    async def subscription(self, workspace_id: UUID) -> AsyncIterator[Subscription]:
        one = Subscription(workspace_id, partial(self.ask, read_events))
        self._subscriptions.add(one)
        if self._listening is None or self._listening.done():
            self._listening = asyncio.create_task(self._listen_forever())
        try:
            yield one
        finally:
            self._subscriptions.discard(one)

    async def ask(self, read: Callable[..., Result], *arguments: Any) -> Result:
        """Runs a read of the database in the reader's thread, and again while the database is away.

        Any other error is the caller's own: a read that the database refuses is refused for ever, and to repeat it
        would keep the one reader from everybody else.
        """
        while True:
            try:
                return await self._once(read, *arguments)
            except AWAY as error:
                logger.warning("the feed could not read: %s", error)
                await asyncio.sleep(0.5)

    async def close(self) -> None:
        """Ends the listening and frees both connections."""
        if self._listening is not None:
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await self._listening
        await asyncio.get_running_loop().run_in_executor(self._reader, lambda: connection.close())
        self._reader.shutdown()
        _hubs.pop(asyncio.get_running_loop(), None)

    async def _once(self, read: Callable[..., Result], *arguments: Any) -> Result:
        def in_thread() -> Result:
            try:
                return read(*arguments)
            except AWAY:
                connection.close()
                raise

        return await asyncio.get_running_loop().run_in_executor(self._reader, in_thread)

    async def _listen_forever(self) -> None:
        pause = 0.1
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    conninfo(application_name="aquarius feed"), autocommit=True, connect_timeout=5
                ) as listening:
                    await listening.execute(f'LISTEN "{events.CHANNEL}"')
                    await self._catch_up()
                    pause = 0.1
                    await self._hear(listening)
            except (psycopg.Error, DatabaseError, InterfaceError, OSError) as error:
                logger.warning("the feed lost PostgreSQL and connects again: %s", error)
            except Exception:  # one event that cannot be shown must not end the feed for everybody
                logger.exception("the feed connects again")
            await asyncio.sleep(pause)
            pause = min(2 * pause, 2.0)

    async def _hear(self, listening: "psycopg.AsyncConnection[Any]") -> None:
        while True:
            rung = {UUID(notify.payload) async for notify in listening.notifies(timeout=HEALTH_SECONDS, stop_after=1)}
            if rung:
                await self._deliver(rung)
            else:
                await listening.execute("SELECT 1")
            await self._note_time()

    async def _catch_up(self) -> None:
        """What was notified while nobody listened: sockets read their logs again, lists hear of what changed."""
        for subscription in self._subscriptions:
            subscription.read_again()
        if self._seen_at is not None:
            await self._deliver(await self._once(read_changed_since, self._seen_at - MISSED_MARGIN))
        self._noted = -HEALTH_SECONDS
        await self._note_time()

    async def _note_time(self) -> None:
        if time.monotonic() - self._noted >= HEALTH_SECONDS:
            self._noted, self._seen_at = time.monotonic(), await self._once(read_clock)

    async def _deliver(self, rung: set[UUID]) -> None:
        changes = await self._once(read_changes, rung, self._come_to(rung))
        news = {change.job_id for change in changes if self._is_news(change)}
        for change in changes:
            for subscription in self._subscriptions:
                subscription.offer(change, is_news=change.job_id in news)
        await self._tell_moves({change.queue for change in changes if change.job_id in news})

    def _is_news(self, change: Change) -> bool:
        """Whether the job stands otherwise than when it was read last: most changes are mere progress."""
        known = self._standing.pop(change.job_id, None)
        if change.state not in TERMINAL:
            self._standing[change.job_id] = change.standing
        return known != change.standing

    async def _tell_moves(self, queues: set[str]) -> None:
        """Places are of all workspaces together: who waits on a queue hears that it moved, and no more."""
        if not queues:
            return
        waiting = await self._once(read_waiting, queues)
        for subscription in self._subscriptions:
            for queue in waiting.get(subscription.workspace_id, ()):
                subscription.offer_move(queue)

    def _come_to(self, rung: set[UUID]) -> dict[UUID, int]:
        """For each rung job that is watched, the seq to which all its watchers have come."""
        come: dict[UUID, int] = {}
        for subscription in self._subscriptions:
            for job_id in rung & subscription.watched.keys():
                watched = subscription.watched[job_id]
                if not watched.must_read:
                    come[job_id] = min(come.get(job_id, watched.known), watched.known)
        return come


_hubs: "WeakKeyDictionary[asyncio.AbstractEventLoop, Hub]" = WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop: one for a web process."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]


# --- reads, in the reader's thread ------------------------------------------------------------------------------------


def read_changes(ids: set[UUID], come: dict[UUID, int]) -> list[Change]:
    """The rows of these jobs, with the events after `come` of those that are watched: two queries, however many."""
    jobs = {job.pk: job for job in Job.objects.filter(pk__in=ids)}
    told: dict[UUID, list[dict[str, Any]]] = {id: [] for id in jobs}
    if come:
        rows = JobEvent.objects.filter(job_id__in=come, seq__gt=min(come.values())).order_by("job_id", "seq")
        for row in rows:
            if row.job_id in jobs and row.seq > come[row.job_id]:
                told[row.job_id].append(events.present(row, jobs[row.job_id]))
    return [
        Change(id, job.workspace_id, job.kind, job.queue, job.state, job.cancel_requested, job.last_seq, told[id])
        for id, job in jobs.items()
    ]


def read_waiting(queues: set[str]) -> dict[UUID, list[str]]:
    """For each workspace, those of the queues on which a job of it waits."""
    rows = Job.objects.filter(state=State.QUEUED, queue__in=queues).values_list("workspace_id", "queue").distinct()
    found: dict[UUID, list[str]] = {}
    for workspace_id, queue in rows:
        found.setdefault(workspace_id, []).append(queue)
    return found


def read_events(job_id: UUID, workspace_id: UUID, after: int) -> list[dict[str, Any]] | None:
    """The job's next events; None when there is no such job in the workspace."""
    job = Job.objects.filter(pk=job_id, workspace_id=workspace_id).first()
    if job is None:
        return None
    rows = JobEvent.objects.filter(job=job, seq__gt=after).order_by("seq")[:PAGE]
    return [events.present(row, job) for row in rows]


def read_changed_since(moment: datetime) -> set[UUID]:
    return set(JobEvent.objects.filter(created_at__gt=moment).values_list("job_id", flat=True).distinct()[:10_000])


def read_clock() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        moment: datetime = cursor.fetchone()[0]
        return moment
