"""`manage.py sweeper`: what keeps a promise when a process did not live to keep it itself.

Any number of sweepers may run: each step locks the rows it takes and skips those another has.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from types import FrameType
from uuid import UUID

from django.db import connection, transaction
from django.db.models.functions import Now

from studio.accounts import services as accounts
from studio.celery import broker_url, is_sql, publish_doorbell
from studio.jobs import files, outbox, services
from studio.jobs.database import AWAY
from studio.jobs.errors import WORKER_LOST
from studio.jobs.kinds import clear_inside_rooms, owned_by_rooms
from studio.jobs.models import TERMINAL, FeedTicket, Job, JobEvent, Outbox, State, WorkerRow
from studio.workspaces.models import Workspace

logger = logging.getLogger(__name__)

CLEAR_SECONDS = 10.0
RING_SECONDS = 2.0
TRIM_SECONDS = 600.0
KEEP_OUTBOX = timedelta(hours=1)
KEEP_PREVIEWS = timedelta(hours=1)
KEEP_ORPHANS = timedelta(hours=1)
KEEP_DRAFTS = timedelta(hours=1)
KEEP_TRASH = timedelta(days=14)
KEEP_EVENTS = timedelta(days=30)
KEEP_WORKER_ROWS = timedelta(minutes=10)
KEEP_IDEMPOTENCY_KEYS = timedelta(hours=24)
BATCH = 200
TRIM_BATCH = 20_000


def sweep_forever(every: float = 1.0) -> None:
    """Sweeps until SIGTERM or SIGINT."""
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    logger.info("sweeper ready")
    pauses = {ring_waiting: RING_SECONDS, clear_away: CLEAR_SECONDS}
    pauses |= {clear_orphans: TRIM_SECONDS, trim_logs: TRIM_SECONDS, clear_ways_in: TRIM_SECONDS}
    due = dict.fromkeys(pauses, 0.0)
    while not stopped.wait(every):
        sweep()
        for step, at in due.items():
            if time.monotonic() >= at:
                _try(step)
                due[step] = time.monotonic() + pauses[step]


def sweep() -> None:
    """One round of what users wait for."""
    for step in (recover_lost, expire_late, drain_outbox):
        _try(step)


def _try(step: Callable[[], object]) -> None:
    """A step that fails (the database or the broker is away) must not keep the others from being done."""
    try:
        step()
    except AWAY as error:
        connection.close()
        logger.warning("%s: the database is away: %s", step.__name__, error)
    except Exception:
        logger.exception("%s failed; it is tried again", step.__name__)


def recover_lost() -> int:
    """Jobs whose lease has lapsed go back to the queue, or end when they were tried often enough; how many."""
    with transaction.atomic():
        lost = Job.objects.select_for_update(skip_locked=True).filter(state=State.RUNNING, lease_expires_at__lt=Now())
        jobs = list(lost.order_by("lease_expires_at")[:BATCH])
        for job in jobs:
            _recover(job)
    return len(jobs)


def _recover(job: Job) -> None:
    logger.warning("job %s: the lease of its worker lapsed in attempt %s", job.id, job.attempt)
    if job.cancel_requested:
        services.end_without_success(job, State.CANCELED, "canceled")
    elif job.attempt >= job.max_attempts:
        services.end_without_success(job, State.FAILED, "failed", WORKER_LOST)
    else:
        services.requeue(job, WORKER_LOST.code)


def expire_late() -> int:
    """Jobs that waited past their deadline will not start any more; how many."""
    with transaction.atomic():
        late = Job.objects.select_for_update(skip_locked=True).filter(state=State.QUEUED, deadline__lt=Now())
        jobs = list(late[:BATCH])
        for job in jobs:
            services.end_without_success(job, State.EXPIRED, "expired")
    return len(jobs)


def drain_outbox() -> int:
    return outbox.drain(limit=BATCH)


IDLE_WITH_WORK = """
SELECT DISTINCT ON (job.queue) job.queue, job.id FROM jobs_job job
WHERE job.state = 'queued' AND job.available_at <= statement_timestamp() AND EXISTS (
    SELECT 1 FROM jobs_worker worker
    WHERE worker.queue = job.queue AND worker.desired = 'run'
      AND worker.heartbeat_at > statement_timestamp() - interval '1 minute'
      AND NOT EXISTS (SELECT 1 FROM jobs_job r WHERE r.state = 'running' AND r.lease_owner = worker.id))
"""


def ring_waiting() -> int:
    """Rings where a job waits although a worker has nothing to do: its doorbell was lost, or it waited for a retry."""
    with connection.cursor() as cursor:
        cursor.execute(IDLE_WITH_WORK)
        waiting = cursor.fetchall()
    for queue, job_id in waiting:
        publish_doorbell(queue, str(job_id))
    return len(waiting)


# --- clearing away ----------------------------------------------------------------------------------------------------


def clear_away() -> None:
    """Removes what nobody reads any more."""
    clear_broker()
    Outbox.objects.filter(sent_at__lt=Now() - KEEP_OUTBOX).delete()
    FeedTicket.objects.filter(expires_at__lt=Now()).delete()
    WorkerRow.objects.filter(heartbeat_at__lt=Now() - KEEP_WORKER_ROWS).delete()
    Job.objects.filter(idempotency_key__isnull=False, created_at__lt=Now() - KEEP_IDEMPOTENCY_KEYS).update(
        idempotency_key=None, idempotency_hash=None
    )
    clear_previews()
    clear_work_folders()


def clear_broker() -> int:
    """Deletes delivered messages: kombu's SQL transport only hides them, and the hidden ones slow it down."""
    if not is_sql(broker_url()):
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('kombu_message')")
        if cursor.fetchone()[0] is None:
            return 0
        cursor.execute(
            "DELETE FROM kombu_message WHERE id IN"
            " (SELECT id FROM kombu_message WHERE NOT visible LIMIT 20000 FOR UPDATE SKIP LOCKED)"
        )
        return int(cursor.rowcount)


def clear_previews() -> int:
    """Preview pictures of jobs that ended a while ago."""
    ended = list(Job.objects.filter(preview__isnull=False, finished_at__lt=Now() - KEEP_PREVIEWS)[:BATCH])
    for job in ended:
        files.remove_previews(job.workspace_id, job.id)
    Job.objects.filter(pk__in=[job.pk for job in ended]).update(preview=None)
    return len(ended)


def clear_work_folders() -> int:
    """Work folders of attempts that nobody works on: their worker was killed."""
    folders = files.work_folders()
    running = set(
        Job.objects.filter(state=State.RUNNING, pk__in=[job_id for job_id, _ in folders]).values_list("pk", "fence")
    )
    stale = [place for attempt, place in folders.items() if attempt not in running]
    for place in stale:
        files.remove_work_folder(place)
    return len(stale)


def clear_orphans() -> int:
    """Stored files that no row names: their process was killed, or the disk filled up, before the row was committed.

    An asset's folder goes when there is no such asset, a job's (its previews) when the job has long ended. In the
    folders that stay, the rooms remove what they know of no more.

    A database that was restored from a backup does not know of the newest files either: what goes is put aside for
    KEEP_TRASH first. And nothing is touched of a workspace that this database never heard of. No workspace is ever
    deleted, so another database keeps its files in the same media folder.
    """
    quiet = files.quiet_folders(KEEP_ORPHANS.total_seconds())
    known = Workspace.objects.filter(pk__in=list(quiet)).values_list("pk", flat=True)
    folders = {owner: folder for workspace in known for owner, folder in quiet[workspace].items()}
    removed = 0
    for ids in _in_batches(set(folders)):
        owned = owned_by_rooms(ids) | _with_previews(ids)
        for owner in ids - owned:
            files.move_to_trash(folders[owner])
            removed += 1
        for owner in owned:
            files.remove_drafts(folders[owner], KEEP_DRAFTS.total_seconds())
        clear_inside_rooms(owned)
    files.empty_trash(KEEP_TRASH.total_seconds())
    return removed


def _with_previews(ids: set[UUID]) -> set[UUID]:
    jobs = Job.objects.filter(pk__in=ids).exclude(finished_at__lt=Now() - KEEP_PREVIEWS)
    return set(jobs.values_list("pk", flat=True))


def _in_batches(ids: set[UUID]) -> Iterator[set[UUID]]:
    rest = iter(ids)
    while batch := set(islice(rest, 1000)):
        yield batch


def clear_ways_in() -> None:
    """Sign-in links and sessions whose time is over."""
    accounts.clear_expired()


def trim_logs() -> int:
    """Events of jobs that ended a month ago, but for the last, which says how they ended."""
    old = JobEvent.objects.filter(created_at__lt=Now() - KEEP_EVENTS, job__finished_at__lt=Now() - KEEP_EVENTS)
    batch = old.exclude(type__in=TERMINAL).order_by("created_at").values_list("pk", flat=True)[:TRIM_BATCH]
    return JobEvent.objects.filter(pk__in=list(batch)).delete()[0]
