"""What one socket or stream wants to hear, and what it has not been told yet."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from studio.jobs.models import TERMINAL

PAGE = 500  # events read from the log at once
QUEUE_LIMIT = 200  # events kept for a slow client before it has to read the log again
MOVED_SECONDS = 1.0  # a busy queue moves often, and a client that is told so reads its places anew

# (job, workspace, after) -> its next PAGE events as clients see them; None when there is no such job in the workspace
ReadLog = Callable[[UUID, UUID, int], Awaitable[list[dict[str, Any]] | None]]


@dataclass(frozen=True)
class Change:
    """What one commit (or several) did to a job."""

    job_id: UUID
    workspace_id: UUID
    kind: str
    queue: str
    state: str
    cancel_requested: bool
    last_seq: int
    events: list[dict[str, Any]]

    @property
    def standing(self) -> tuple[str, bool]:
        """What lists show of a job: progress does not change it."""
        return self.state, self.cancel_requested


@dataclass
class Watched:
    """How far one subscription has come with one job."""

    known: int  # the last seq that was sent or waits to be sent
    waiting: list[dict[str, Any]] = field(default_factory=list)
    must_read: bool = True  # the log has to be read from `known` on
    missed: bool = False  # something happened while it was being read


class Subscription:
    """What one socket or stream wants to hear, and what it has not been told yet. Used in one event loop only."""

    def __init__(self, workspace_id: UUID, read: ReadLog) -> None:
        self.workspace_id = workspace_id
        self.watched: dict[UUID, Watched] = {}
        self.whole_workspace = False
        self._read_log = read
        self._changed: dict[UUID, Change] = {}
        self._moved: set[str] = set()
        self._moved_at = -MOVED_SECONDS
        self._wake = asyncio.Event()

    def watch(self, job_id: UUID, after: int = 0) -> None:
        """From now on every event of the job after `after`."""
        self.watched[job_id] = Watched(known=after)
        self._wake.set()

    def unwatch(self, job_id: UUID) -> None:
        self.watched.pop(job_id, None)

    def watch_workspace(self) -> None:
        """From now on the state of any job of the workspace whenever it changes."""
        self.whole_workspace = True

    def offer(self, change: Change, *, is_news: bool = True) -> None:
        """`is_news`: the job stands otherwise than before, and has not only come a step further."""
        if change.workspace_id != self.workspace_id:
            return
        if self.whole_workspace and is_news:
            self._changed[change.job_id] = change
            self._wake.set()
        if change.job_id in self.watched:
            _take(self.watched[change.job_id], change)
            self._wake.set()

    def offer_move(self, queue: str) -> None:
        """Jobs of the workspace that wait on this queue may stand at other places now."""
        if self.whole_workspace or self.watched:
            self._moved.add(queue)
            self._wake.set()

    def read_again(self) -> None:
        """After an outage: nothing that was pushed can be relied on to be all."""
        for watched in self.watched.values():
            watched.must_read = True
        self._wake.set()

    async def next(self, timeout: float) -> list[dict[str, Any]]:
        """The messages that are due, in the feed's own form; none when nothing happens for `timeout` seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), timeout)
        self._wake.clear()
        messages = [_changed_message(change) for change in self._take_changed()]
        messages += [{"type": "queue_moved", "queue": queue} for queue in self._take_moved()]
        for job_id, watched in list(self.watched.items()):
            messages += await self._due(job_id, watched)
        return messages

    def _take_changed(self) -> list[Change]:
        changed, self._changed = self._changed, {}
        return list(changed.values())

    def _take_moved(self) -> list[str]:
        """The queues that moved, once a second at most; what came too early is told at the end of that second."""
        wait = self._moved_at + MOVED_SECONDS - time.monotonic()
        if not self._moved:
            return []
        if wait > 0:
            asyncio.get_running_loop().call_later(wait, self._wake.set)
            return []
        self._moved_at = time.monotonic()
        moved, self._moved = self._moved, set()
        return sorted(moved)

    async def _due(self, job_id: UUID, watched: Watched) -> list[dict[str, Any]]:
        if watched.must_read:
            return await self._read(job_id, watched)
        told, watched.waiting = watched.waiting, []
        return self._told(job_id, told)

    async def _read(self, job_id: UUID, watched: Watched) -> list[dict[str, Any]]:
        after = watched.waiting[0]["seq"] - 1 if watched.waiting else watched.known
        watched.waiting, watched.must_read, watched.missed = [], True, False
        found = await self._read_log(job_id, self.workspace_id, after)
        if found is None:
            self.unwatch(job_id)
            return [{"type": "error", "code": "not_found", "job_id": str(job_id), "detail": "There is no such job."}]
        watched.known = found[-1]["seq"] if found else after
        watched.must_read = watched.missed or len(found) == PAGE
        if watched.must_read:
            self._wake.set()
        return self._told(job_id, found)

    def _told(self, job_id: UUID, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if not events:
            return []
        if events[-1]["type"] in TERMINAL:  # nothing follows: it must not count against what may still be watched
            self.unwatch(job_id)
        return [_events_message(job_id, events)]


def _take(watched: Watched, change: Change) -> None:
    """Keeps the new events for the client; where they leave a gap, or it is slow, its log is read again."""
    if watched.must_read:
        watched.missed = True
        return
    fresh = [event for event in change.events if event["seq"] > watched.known]
    joins = not fresh or fresh[0]["seq"] == watched.known + 1
    if joins and len(watched.waiting) + len(fresh) <= QUEUE_LIMIT:
        watched.waiting += fresh
        watched.known += len(fresh)
    watched.must_read = watched.known < change.last_seq


def _changed_message(change: Change) -> dict[str, Any]:
    return {"type": "job_changed", "job_id": str(change.job_id), "kind": change.kind, "state": change.state}


def _events_message(job_id: UUID, events: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "events", "job_id": str(job_id), "events": events}
