"""Who may write to a running job. A claim takes the best waiting job and a new fence; every later write is `held`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from studio.jobs import events
from studio.jobs.models import Job, State


class LeaseLost(Exception):
    """The job is not this worker's any more: another one claimed it, or it was ended."""


@dataclass(frozen=True)
class Lease:
    """A worker's right to write to one job, for one attempt."""

    job_id: UUID
    owner: UUID
    fence: int


# Fair order: higher priority first; then the workspace with the fewest jobs running on this queue; then the one whose
# last turn is longest ago; then the nearest deadline; then the oldest job.
# SKIP LOCKED lets claimers pass each other, and the re-check of a locked row's WHERE keeps them from sharing one.
CLAIM = """
WITH waiting AS (
    SELECT DISTINCT workspace_id FROM jobs_job WHERE state = 'queued' AND queue = %(queue)s
), turn AS (
    SELECT workspace_id,
        (SELECT count(*) FROM jobs_job r
          WHERE r.state = 'running' AND r.queue = %(queue)s AND r.workspace_id = waiting.workspace_id) AS running,
        (SELECT max(s.claimed_at) FROM jobs_job s
          WHERE s.queue = %(queue)s AND s.workspace_id = waiting.workspace_id) AS last_served
    FROM waiting
), best AS (
    SELECT job.id FROM jobs_job job JOIN turn ON turn.workspace_id = job.workspace_id
    WHERE job.state = 'queued' AND job.queue = %(queue)s AND job.available_at <= statement_timestamp()
      AND (job.deadline IS NULL OR job.deadline > statement_timestamp())
    ORDER BY job.priority DESC, turn.running, turn.last_served NULLS FIRST,
             job.deadline NULLS LAST, job.created_at, job.id
    LIMIT 1
    FOR UPDATE OF job SKIP LOCKED
)
UPDATE jobs_job SET
    state = 'running', lease_owner = %(owner)s, fence = fence + 1, attempt = attempt + 1,
    lease_expires_at = clock_timestamp() + %(lease)s * interval '1 second',
    claimed_at = clock_timestamp(), started_at = coalesce(started_at, clock_timestamp()),
    stage = NULL, progress = 0, eta_seconds = NULL, preview = NULL, notices = '[]', error = NULL
FROM best WHERE jobs_job.id = best.id
RETURNING jobs_job.id
"""


def claim(owner: UUID, queue: str) -> Job | None:
    """The best job that waits on the queue, now running under a new fence, or None when none may start."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(CLAIM, {"queue": queue, "owner": owner, "lease": settings.AQ_LEASE_SECONDS})
            row = cursor.fetchone()
        if row is None:
            return None
        job = Job.objects.get(pk=row[0])
        events.record(job, "started", {"attempt": job.attempt, "max_attempts": job.max_attempts})
        return job


def abandon(owner: UUID) -> None:
    """Lets lapse what this owner holds. A worker asks before it claims: it then works on nothing, and would otherwise
    keep alive for ever a job whose claim was committed while the connection broke."""
    Job.objects.filter(state=State.RUNNING, lease_owner=owner).update(lease_expires_at=Now())


def lease_of(job: Job) -> Lease:
    """The lease that `claim` has just given with this job."""
    assert job.lease_owner is not None
    return Lease(job.id, job.lease_owner, job.fence)


def held(lease: Lease) -> QuerySet[Job]:
    """The job's row, if the lease is still good: the `WHERE fence = mine` of every write a worker makes."""
    return Job.objects.filter(pk=lease.job_id, state=State.RUNNING, fence=lease.fence)


@contextmanager
def locked(lease: Lease) -> Iterator[Job]:
    """A transaction with the held row locked. Raises LeaseLost."""
    with transaction.atomic():
        job = held(lease).select_for_update().first()
        if job is None:
            raise LeaseLost(f"Job {lease.job_id} is not held under fence {lease.fence} any more.")
        yield job
