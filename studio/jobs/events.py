"""The append-only log of each job. Row and log move together, in one transaction, and a commit wakes the feed."""

from typing import Any

from django.db import connection

from studio import media
from studio.jobs.kinds import find_kind, is_known
from studio.jobs.models import Job, JobEvent

CHANNEL = "aq_jobs"


def record(job: Job, type: str, data: dict[str, Any] | None = None, **changes: Any) -> JobEvent:
    """Applies `changes` to the job's row and appends the event that tells of them.

    The caller holds the row's lock in an open transaction: that is what makes `seq` free of gaps.
    """
    assert connection.in_atomic_block, "an event is recorded in the transaction that makes it true"
    job.last_seq += 1
    for name, value in changes.items():
        setattr(job, name, value)
    job.save(update_fields=["last_seq", *changes])
    computed = [name for name, value in changes.items() if hasattr(value, "resolve_expression")]
    if computed:  # the database's clock: read what it wrote
        job.refresh_from_db(fields=computed)
    event = JobEvent.objects.create(
        workspace_id=job.workspace_id, job=job, seq=job.last_seq, type=type, data=data or {}
    )
    ring_feed(job)
    return event


def ring_feed(job: Job) -> None:
    """Tells every web process, when this transaction commits, to look at the job."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, str(job.id)])


def present(event: JobEvent, job: Job) -> dict[str, Any]:
    """The event as clients see it: {seq, type, data, created_at}. URLs are signed here, never stored."""
    return {
        "seq": event.seq,
        "type": event.type,
        "data": _present_data(event, job),
        "created_at": event.created_at.isoformat(),
    }


def _present_data(event: JobEvent, job: Job) -> dict[str, Any]:
    if event.type == "preview":
        return {"url": preview_url(event.data["file"]), "step": event.data.get("step")}
    if event.type == "succeeded":
        return {"result": present_result(job)}
    return event.data


def preview_url(file: str | None) -> str | None:
    return media.signed_url(file, file.rsplit("/", 1)[-1]) if file else None


def present_result(job: Job) -> dict[str, Any] | None:
    """The job's result with fresh signed URLs, or as it was stored when its kind is not installed any more."""
    return find_kind(job.kind).present(job) if is_known(job.kind) else job.result
