"""Who gets which job, and that nobody else gets it too."""

import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from studio.jobs import lease, selectors
from studio.jobs.models import Job, WorkerRow
from studio.workspaces.models import Workspace
from tests.chaos.kinds import QUEUE
from tests.studio.jobs.conftest import MakeJob, events_of

pytestmark = pytest.mark.django_db


def claim_names(count: int) -> list[str]:
    owner = uuid.uuid4()
    claimed = [lease.claim(owner, QUEUE) for _ in range(count)]
    return [job.settings["name"] for job in claimed if job is not None]


def test_a_claim_makes_the_job_mine(make_job: MakeJob, owner_id: uuid.UUID) -> None:
    job = make_job()
    claimed = lease.claim(owner_id, QUEUE)
    assert claimed is not None
    assert (claimed.pk, claimed.state, claimed.attempt, claimed.fence) == (job.pk, "running", 1, 1)
    assert claimed.lease_owner == owner_id
    assert events_of(job) == ["queued", "started"]
    assert lease.claim(owner_id, QUEUE) is None


def test_the_lease_lapses_by_the_clock_of_the_database(make_job: MakeJob, owner_id: uuid.UUID) -> None:
    make_job()
    job = lease.claim(owner_id, QUEUE)
    assert job is not None
    left = Job.objects.annotate(now=Now()).values_list("lease_expires_at", "now").get(pk=job.pk)
    assert timedelta(seconds=29) < left[0] - left[1] <= timedelta(seconds=31)


def test_priority_then_deadline_then_age(make_job: MakeJob) -> None:
    soon, late = timezone.now() + timedelta(hours=1), timezone.now() + timedelta(hours=2)
    make_job(name="old")
    make_job(name="late", deadline=late)
    make_job(name="soon", deadline=soon)
    make_job(name="urgent", priority=5)
    assert claim_names(4) == ["urgent", "soon", "late", "old"]


def test_workspaces_take_turns(make_job: MakeJob, home: Workspace, abroad: Workspace) -> None:
    for name in ("a1", "a2", "a3"):
        make_job(home, name=name)
    make_job(abroad, name="b1")
    make_job(abroad, name="b2")
    assert claim_names(5) == ["a1", "b1", "a2", "b2", "a3"]


def test_turns_go_on_after_jobs_are_done(make_job: MakeJob, home: Workspace, abroad: Workspace) -> None:
    make_job(home, name="a1")
    make_job(home, name="a2")
    make_job(abroad, name="b1")
    owner, names = uuid.uuid4(), []
    for _ in range(3):
        job = lease.claim(owner, QUEUE)
        assert job is not None
        names.append(job.settings["name"])
        Job.objects.filter(pk=job.pk).update(state="succeeded")
    assert names == ["a1", "b1", "a2"]


def test_only_jobs_of_the_queue_that_may_start(make_job: MakeJob) -> None:
    later = make_job(name="later")
    Job.objects.filter(pk=later.pk).update(available_at=Now() + timedelta(minutes=1))
    make_job(name="too late", deadline=timezone.now() - timedelta(seconds=1))
    assert claim_names(2) == []
    assert lease.claim(uuid.uuid4(), "another queue") is None


def test_the_foretold_places_are_the_order_of_the_claims(make_job: MakeJob, home: Workspace, abroad: Workspace) -> None:
    jobs = [make_job(home, name=name) for name in ("a1", "a2", "a3")] + [make_job(abroad, name="b1")]
    jobs.append(make_job(abroad, name="urgent", priority=1))
    places = selectors.places(jobs)
    foretold = [job.settings["name"] for job in sorted(jobs, key=lambda job: places[job.pk].position)]
    assert [places[job.pk].position for job in jobs] == [2, 4, 5, 3, 1]
    assert foretold == ["urgent", "a1", "b1", "a2", "a3"]


def test_the_time_left_follows_from_what_such_jobs_took(make_job: MakeJob) -> None:
    done, waiting, behind = make_job(), make_job(), make_job()
    now = timezone.now()
    Job.objects.filter(pk=done.pk).update(state="succeeded", claimed_at=now - timedelta(seconds=10), finished_at=now)
    WorkerRow.objects.create(queue=QUEUE, host="h", pid=1)
    places = selectors.places([waiting, behind])
    assert [places[job.pk].eta_seconds for job in (waiting, behind)] == pytest.approx([10, 20])


@pytest.mark.django_db(transaction=True)
def test_racing_claimers_never_share_a_job(make_job: MakeJob) -> None:
    for _ in range(24):
        make_job()
    barrier = threading.Barrier(6)

    def claim_all(_: int) -> list[uuid.UUID]:
        owner, mine = uuid.uuid4(), []
        barrier.wait()
        with own_connection():
            while (job := lease.claim(owner, QUEUE)) is not None:
                mine.append(job.pk)
        return mine

    with ThreadPoolExecutor(6) as pool:
        claims = [pk for mine in pool.map(claim_all, range(6)) for pk in mine]
    assert len(claims) == len(set(claims)) == 24


@pytest.mark.django_db(transaction=True)
def test_a_second_claimer_does_not_wait_for_the_first(make_job: MakeJob) -> None:
    make_job(name="one")
    assert claim_beside_an_open_claim() == ["one"]


@pytest.mark.django_db(transaction=True)
def test_control_without_the_row_lock_two_workers_claim_one_job(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_job(name="one")
    monkeypatch.setattr(lease, "CLAIM", lease.CLAIM.replace("FOR UPDATE OF job SKIP LOCKED", ""))
    assert claim_beside_an_open_claim() == ["one", "one"]


def claim_beside_an_open_claim() -> list[str]:
    """One claimer has not committed yet when the second comes; the names both got."""
    claimed, second_asks = threading.Event(), threading.Event()

    def first() -> list[str]:
        with own_connection(), transaction.atomic():
            names = claim_names(1)
            claimed.set()
            until = time.monotonic() + 30
            while not second_asks.wait(0.05) and not someone_waits() and time.monotonic() < until:
                pass
        return names

    def second() -> list[str]:
        claimed.wait()
        with own_connection():
            names = claim_names(1)
            second_asks.set()
            return names

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(first), pool.submit(second)]
        return [name for future in both for name in future.result()]


def someone_waits() -> bool:
    """Whether a claimer is held up by the lock of another."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(cursor.fetchone()[0])


@contextmanager
def own_connection() -> Iterator[None]:
    try:
        yield
    finally:
        connection.close()
