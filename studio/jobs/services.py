"""Every change to a job: what a user asks, what a worker writes under its lease, and how a job ends or returns."""

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from studio.accounts.models import User
from studio.jobs import events, outbox
from studio.jobs.errors import Failure, IdempotencyConflict
from studio.jobs.kinds import JobKind, find_kind, is_known
from studio.jobs.lease import Lease, LeaseLost, held, locked
from studio.jobs.models import Job, State
from studio.workspaces.models import Workspace

# --- what a user asks -------------------------------------------------------------------------------------------------


def create_job(
    workspace: Workspace,
    kind: str,
    settings: dict[str, Any],
    *,
    created_by: User | None,
    metadata: dict[str, Any] | None = None,
    priority: int = 0,
    deadline: datetime | None = None,
    model: dict[str, Any] | None = None,
    pinned: dict[str, Any] | None = None,
    idempotency: str | None = None,
    sent: dict[str, Any] | None = None,
) -> Job:
    """A queued job: row, event and doorbell in one transaction.

    `pinned` are settings that the caller decides now, for what was left open. With `idempotency` the same key and
    request give the job that was made first. `sent` are then the settings as they were sent, where the caller has
    filled in more: what fills them in may be another by the time that they are sent again.
    Raises UnknownKind, pydantic.ValidationError (both ValueErrors) and IdempotencyConflict.
    """
    handler = find_kind(kind)
    sent = settings if sent is None else sent
    valid = handler.settings_model.model_validate(settings).model_dump(mode="json")
    job = Job(
        workspace=workspace,
        kind=kind,
        queue=handler.queue,
        settings=valid | (pinned or {}),
        metadata=metadata or {},
        priority=priority,
        deadline=deadline,
        model=model,
        max_attempts=handler.max_attempts,
        created_by=created_by,
        idempotency_key=idempotency,
        idempotency_hash=_fingerprint(kind, sent, metadata or {}) if idempotency else None,
    )
    try:
        return _insert(job)
    except IntegrityError:  # the same request, sent twice at once
        first = asked_before(workspace, kind, sent, metadata or {}, idempotency) if idempotency else None
        if first is None:
            raise
        return first


@transaction.atomic
def _insert(job: Job) -> Job:
    job.save(force_insert=True)
    events.record(job, "queued")
    outbox.ring(job)
    return job


def asked_before(
    workspace: Workspace, kind: str, sent: dict[str, Any], metadata: dict[str, Any], idempotency: str
) -> Job | None:
    """The job that this key has made. Raises IdempotencyConflict where that was for another request.

    Callers ask before they check a request: one that was accepted once stays so, whatever may be asked for by now.
    """
    first = Job.objects.filter(workspace=workspace, idempotency_key=idempotency).first()
    if first is not None and first.idempotency_hash != _fingerprint(kind, sent, metadata):
        raise IdempotencyConflict(
            "This Idempotency-Key was used before for a different request. Use a new key for a new request."
        )
    return first


def _fingerprint(kind: str, settings: dict[str, Any], metadata: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps([kind, settings, metadata], sort_keys=True).encode()).hexdigest()


@transaction.atomic
def cancel_job(job: Job) -> Job:
    """Ends a waiting job at once; the worker of a running one stops at its next step. An ended job stays as it is."""
    job = Job.objects.select_for_update().get(pk=job.pk)
    if job.state == State.QUEUED:
        end_without_success(job, State.CANCELED, "canceled", cancel_requested=True)
    elif job.state == State.RUNNING and not job.cancel_requested:
        job.cancel_requested = True
        job.save(update_fields=["cancel_requested"])
        events.ring_feed(job)
    return job


# --- what a worker writes under its lease; each raises LeaseLost ------------------------------------------------------


def progress(
    lease: Lease,
    stage: str,
    fraction: float,
    *,
    step: int | None = None,
    steps: int | None = None,
    eta_seconds: float | None = None,
) -> None:
    """`fraction` (0..1) of the whole job. The caller coalesces to two a second (`run.CurrentRun`)."""
    data = {"stage": stage, "fraction": fraction, "step": step, "steps": steps, "eta_seconds": eta_seconds}
    with locked(lease) as job:
        events.record(job, "progress", data, stage=stage, progress=fraction, eta_seconds=eta_seconds)


def preview(lease: Lease, file: str, step: int | None) -> None:
    """`file` is the stored name (see `studio.media`) of a small JPEG."""
    with locked(lease) as job:
        events.record(job, "preview", {"file": file, "step": step}, preview=file)


def notice(lease: Lease, code: str, message: str) -> None:
    entry = {"code": code, "message": message}
    with locked(lease) as job:
        events.record(job, "notice", entry, notices=[*job.notices, entry])


def finish(lease: Lease, output: Any) -> Job:
    """Marks the job succeeded; its kind's `finish` publishes the output in the same transaction.

    A worker without the lease publishes nothing. Called again after it has succeeded (the connection broke before the
    commit was confirmed) it changes nothing.
    """
    try:
        with locked(lease) as job:
            try:
                _publish_and_end(job, output, lease.fence)
            except BaseException:
                # Nothing is committed yet. Where the commit itself fails nobody knows: the sweeper sees what is left.
                find_kind(job.kind).discard(job, lease.fence)
                raise
            return job
    except LeaseLost:
        return _already_finished(lease)


def _publish_and_end(job: Job, output: Any, fence: int) -> None:
    result = find_kind(job.kind).finish(job, output, fence)
    model = getattr(output, "model", None) or job.model
    _end(job, State.SUCCEEDED, "succeeded", result=result, progress=1.0, eta_seconds=None, model=model)


def _already_finished(lease: Lease) -> Job:
    job = Job.objects.filter(pk=lease.job_id, state=State.SUCCEEDED, fence=lease.fence).first()
    if job is None:
        raise LeaseLost(f"Job {lease.job_id} is not held under fence {lease.fence} any more.")
    return job


def fail(lease: Lease, failure: Failure) -> None:
    """Ends the attempt: a retryable failure goes back to the queue while attempts are left, any other ends the job."""
    with locked(lease) as job:
        if job.cancel_requested:
            end_without_success(job, State.CANCELED, "canceled")
        elif failure.retryable and job.attempt < job.max_attempts:
            requeue(job, failure.code, delay=_retry_delay(find_kind(job.kind), job.attempt))
        else:
            end_without_success(job, State.FAILED, "failed", failure)


def stop(lease: Lease, *, worker_leaves: bool) -> None:
    """The run obeyed `is_canceled`: the user's wish ends the job, a worker that shuts down hands it back unharmed."""
    with locked(lease) as job:
        if job.cancel_requested or not worker_leaves:
            end_without_success(job, State.CANCELED, "canceled")
        else:
            requeue(job, "worker_stopped", attempt=job.attempt - 1)


def must_stop(lease: Lease) -> bool:
    """Whether the run should end at its next step: the user canceled, or the lease is lost."""
    flag = held(lease).values_list("cancel_requested", flat=True).first()
    return flag is None or flag


# --- ends and returns; the caller holds the row's lock ----------------------------------------------------------------


def requeue(job: Job, reason: str, *, delay: timedelta = timedelta(0), **changes: Any) -> None:
    events.record(
        job,
        "requeued",
        {"reason": reason},
        state=State.QUEUED,
        available_at=Now() + delay,
        stage=None,
        progress=0.0,
        eta_seconds=None,
        **_no_lease(),
        **changes,
    )
    outbox.ring(job)


def end_without_success(job: Job, state: State, type: str, failure: Failure | None = None, **changes: Any) -> None:
    error = failure.as_dict() if failure else None
    _end(job, state, type, error, error=error, eta_seconds=None, **changes)
    if is_known(job.kind):
        find_kind(job.kind).on_end(job)


def _end(job: Job, state: State, type: str, data: dict[str, Any] | None = None, **changes: Any) -> None:
    events.record(job, type, data, state=state, finished_at=Now(), **_no_lease(), **changes)


def _no_lease() -> dict[str, Any]:
    return {"lease_owner": None, "lease_expires_at": None}


def _retry_delay(kind: JobKind, attempt: int) -> timedelta:
    return timedelta(seconds=kind.retry_seconds * 4 ** (attempt - 1))
