"""What the sweeper brings back, ends and clears away."""

import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from studio import media
from studio.celery import publish_doorbell
from studio.jobs import files, lease, services, sweeper
from studio.jobs.models import FeedTicket, Job, JobEvent, Outbox, WorkerRow
from studio.workspaces.models import Workspace
from tests.chaos.kinds import QUEUE
from tests.studio.jobs.conftest import MakeJob, data_of, events_of

pytestmark = pytest.mark.django_db


def lose_worker() -> Job:
    """A job is claimed, and its worker never heard of again."""
    job = lease.claim(uuid.uuid4(), QUEUE)
    assert job is not None
    Job.objects.filter(pk=job.pk).update(lease_expires_at=Now() - timedelta(seconds=1))
    return job


def test_a_lost_job_goes_back_and_rings_again(make_job: MakeJob) -> None:
    make_job()
    Outbox.objects.all().delete()
    job = lose_worker()
    assert sweeper.recover_lost() == 1
    job.refresh_from_db()
    assert (job.state, job.attempt, job.lease_owner) == ("queued", 1, None)
    assert data_of(job, "requeued") == [{"reason": "worker_lost"}]
    assert Outbox.objects.get().payload["job"] == str(job.pk)


def test_a_good_lease_is_left_alone(make_job: MakeJob) -> None:
    make_job()
    assert lease.claim(uuid.uuid4(), QUEUE) is not None
    assert sweeper.recover_lost() == 0


def test_after_the_last_attempt_it_gives_up_with_the_reason(make_job: MakeJob) -> None:
    job = make_job()
    for _ in range(3):
        lose_worker()
        sweeper.recover_lost()
    job.refresh_from_db()
    assert (job.state, job.attempt) == ("failed", 3)
    assert job.error["code"] == "worker_lost"
    assert events_of(job) == ["queued", *["started", "requeued"] * 2, "started", "failed"]
    assert lease.claim(uuid.uuid4(), QUEUE) is None


def test_a_lost_job_that_was_canceled_is_canceled(make_job: MakeJob) -> None:
    make_job()
    services.cancel_job(lose_worker())
    sweeper.recover_lost()
    assert Job.objects.get().state == "canceled"


def test_a_job_past_its_deadline_expires_before_it_starts(make_job: MakeJob) -> None:
    late = make_job(deadline=timezone.now() - timedelta(seconds=1))
    running = make_job(deadline=timezone.now() + timedelta(seconds=60))
    lease.claim(uuid.uuid4(), QUEUE)
    Job.objects.filter(pk=running.pk).update(deadline=Now() - timedelta(seconds=1))
    assert sweeper.expire_late() == 1
    assert events_of(late) == ["queued", "expired"]
    assert Job.objects.get(pk=running.pk).state == "running"


def test_it_rings_where_a_worker_is_idle_and_a_job_waits(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[str] = []
    monkeypatch.setattr(sweeper, "publish_doorbell", lambda queue, job_id: rung.append(queue))
    make_job()
    make_job()
    assert sweeper.ring_waiting() == 0
    worker = WorkerRow.objects.create(queue=QUEUE, host="h", pid=1)
    assert sweeper.ring_waiting() == 1
    lease.claim(worker.pk, QUEUE)
    assert sweeper.ring_waiting() == 0
    WorkerRow.objects.create(queue=QUEUE, host="h", pid=2, desired="drain")
    assert sweeper.ring_waiting() == 0
    assert rung == [QUEUE]


@pytest.mark.django_db(transaction=True)
def test_delivered_messages_are_deleted_and_waiting_ones_kept() -> None:
    publish_doorbell("sweep-test", "delivered")
    publish_doorbell("sweep-test", "waiting")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE kombu_message SET visible = false WHERE id = (SELECT min(id) FROM kombu_message)")
        sweeper.clear_broker()
        cursor.execute("SELECT count(*), bool_and(visible) FROM kombu_message")
        count, all_wait = cursor.fetchone()
        cursor.execute("DELETE FROM kombu_message")
    assert count >= 1
    assert all_wait


def test_what_nobody_reads_any_more_goes(make_job: MakeJob, home: Workspace) -> None:
    make_job()
    old, fresh = Now() - timedelta(days=2), Now()
    Outbox.objects.all().update(sent_at=old)
    unsent = Outbox.objects.create(topic="doorbell", payload={})
    WorkerRow.objects.create(queue=QUEUE, host="h", pid=1, heartbeat_at=old)
    alive = WorkerRow.objects.create(queue=QUEUE, host="h", pid=2, heartbeat_at=fresh)
    FeedTicket.objects.create(workspace=home, hash="h", expires_at=old)
    Job.objects.update(idempotency_key="k", created_at=old)
    sweeper.clear_away()
    assert list(Outbox.objects.all()) == [unsent]
    assert list(WorkerRow.objects.all()) == [alive]
    assert not FeedTicket.objects.exists()
    assert Job.objects.get().idempotency_key is None


def test_previews_and_work_folders_of_the_dead_go(make_job: MakeJob) -> None:
    make_job(), make_job()
    working, ended = (lease.claim(uuid.uuid4(), QUEUE) for _ in range(2))
    assert working is not None and ended is not None
    previews = [files.write_preview(job.workspace_id, job.pk, "p.jpg", b"x") for job in (working, ended)]
    folders = [files.work_folder(job.pk, job.fence) for job in (working, ended)]
    for job, preview, folder in zip((working, ended), previews, folders, strict=True):
        folder.mkdir(parents=True)
        services.preview(lease.lease_of(job), preview, 1)
    Job.objects.filter(pk=ended.pk).update(state="failed", finished_at=Now() - timedelta(hours=2))
    sweeper.clear_away()
    assert [media.path_of(preview).exists() for preview in previews] == [True, False]
    assert [folder.exists() for folder in folders] == [True, False]
    assert Job.objects.get(pk=ended.pk).preview is None


def test_the_log_of_a_job_that_ended_long_ago_keeps_how_it_ended(make_job: MakeJob) -> None:
    old, recent, waiting = make_job(), make_job(), make_job()
    for job in (old, recent):
        services.cancel_job(job)
    long_ago = Now() - timedelta(days=31)
    JobEvent.objects.all().update(created_at=long_ago)
    Job.objects.filter(pk=old.pk).update(finished_at=long_ago)
    assert sweeper.trim_logs() == 1
    assert [events_of(job) for job in (old, recent, waiting)] == [["canceled"], ["queued", "canceled"], ["queued"]]


def test_what_happened_since_a_moment_is_found_by_an_index(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("EXPLAIN SELECT DISTINCT job_id FROM jobs_jobevent WHERE created_at > now()")
        assert "jobs_event_age" in str(cursor.fetchall())
