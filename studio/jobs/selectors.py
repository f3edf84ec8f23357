"""Reading jobs, their events and their place in the queue."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from studio.jobs import events
from studio.jobs.models import Job, JobEvent, State
from studio.workspaces.access import Actor, access_owned


def access_job(actor: Actor, id: UUID | str, *, role: str = "viewer") -> Job:
    """The job, if the actor may see it and has at least `role`. Raises NotFound, Forbidden."""
    return access_owned(actor, Job.objects.select_related("workspace"), id, role=role)


def list_jobs(actor: Actor, *, state: str | None = None, kind: str | None = None) -> QuerySet[Job]:
    """The workspace's jobs, newest first; the API cuts pages from it. Raises ValueError for an unknown state.

    `state` and `kind` may each name several, separated by commas.
    """
    rows = Job.objects.filter(workspace=actor.workspace).order_by("-created_at", "-id")
    if state is not None:
        rows = rows.filter(state__in=[_known_state(one) for one in state.split(",")])
    if kind is not None:
        rows = rows.filter(kind__in=kind.split(","))
    return rows


def events_after(job: Job, seq: int = 0, *, limit: int = 500) -> list[dict[str, Any]]:
    """The job's events after `seq`, oldest first, as clients see them."""
    rows = JobEvent.objects.filter(job=job, seq__gt=seq).order_by("seq")[:limit]
    return [events.present(event, job) for event in rows]


@dataclass(frozen=True)
class Place:
    """Where a waiting job stands: 1 is next. `eta_seconds` until it is done, None while nobody knows."""

    position: int
    eta_seconds: float | None


# The order in which `lease.CLAIM` will take them, foretold: each workspace's jobs take turns.
PLACES = """
SELECT id, position, position * mean / greatest(workers, 1) AS eta FROM (
    SELECT id, kind, queue, row_number() OVER (
        PARTITION BY queue ORDER BY priority DESC, turn, deadline NULLS LAST, created_at, id) AS position
    FROM (
        SELECT id, kind, queue, priority, deadline, created_at, row_number() OVER (
            PARTITION BY queue, workspace_id, priority ORDER BY deadline NULLS LAST, created_at, id) + (
                SELECT count(*) FROM jobs_job r WHERE r.state = 'running' AND r.queue = job.queue
                    AND r.workspace_id = job.workspace_id) AS turn
        FROM jobs_job job WHERE state = 'queued' AND queue = ANY(%(queues)s)
    ) turns
) places
LEFT JOIN LATERAL (
    SELECT avg(extract(epoch FROM finished_at - claimed_at))::float8 AS mean FROM (
        SELECT finished_at, claimed_at FROM jobs_job d
        WHERE d.kind = places.kind AND d.state = 'succeeded' AND d.finished_at IS NOT NULL
        ORDER BY d.finished_at DESC LIMIT 20) recent
) durations ON true
LEFT JOIN LATERAL (
    SELECT count(*)::float8 AS workers FROM jobs_worker w
    WHERE w.queue = places.queue AND w.heartbeat_at > statement_timestamp() - interval '1 minute'
) alive ON true
WHERE id = ANY(%(ids)s)
"""


def places(jobs: list[Job]) -> dict[UUID, Place]:
    """Queue position and time left of those of the jobs that wait; one query for all."""
    waiting = [job for job in jobs if job.state == State.QUEUED]
    if not waiting:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(PLACES, {"queues": list({job.queue for job in waiting}), "ids": [job.id for job in waiting]})
        return {id: Place(position, eta) for id, position, eta in cursor.fetchall()}


def _known_state(state: str) -> State:
    if state not in State.values:
        raise ValueError(f"There is no job state {state!r}. Use one of: {', '.join(State.values)}.")
    return State(state)
