"""Making, canceling and reading jobs."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from pydantic import ValidationError

from studio.accounts.models import User
from studio.jobs import lease, outbox, selectors, services
from studio.jobs.errors import IdempotencyConflict, UnknownKind
from studio.jobs.kinds import JobKind, register
from studio.jobs.models import Job, JobEvent, Outbox
from studio.workspaces.access import Actor, Forbidden, NotFound, member_actor
from studio.workspaces.models import Membership, Workspace
from tests.chaos.kinds import CHAOS, KIND, QUEUE, ChaosSettings
from tests.studio.jobs.conftest import MakeJob, events_of

pytestmark = pytest.mark.django_db


def test_a_job_is_made_with_its_event_and_doorbell(home: Workspace, ana: User) -> None:
    job = services.create_job(home, KIND, {"name": "x"}, created_by=ana, metadata={"order": 7})
    assert (job.state, job.queue, job.metadata, job.created_by) == ("queued", QUEUE, {"order": 7}, ana)
    assert job.settings == ChaosSettings(name="x").model_dump(mode="json")
    assert events_of(job) == ["queued"]
    assert Outbox.objects.get().payload == {"queue": QUEUE, "job": str(job.pk)}


def test_what_is_not_valid_makes_no_job(home: Workspace) -> None:
    with pytest.raises(ValidationError):
        services.create_job(home, KIND, {"seconds": float("nan")}, created_by=None)
    with pytest.raises(UnknownKind, match=r"Known kinds: .*chaos"):
        services.create_job(home, "avatar", {}, created_by=None)
    assert not Job.objects.exists()
    assert not Outbox.objects.exists()


def test_one_key_one_job(home: Workspace, abroad: Workspace) -> None:
    def ask(workspace: Workspace, name: str) -> Job:
        return services.create_job(workspace, KIND, {"name": name}, created_by=None, idempotency="key-1")

    first = ask(home, "x")
    assert ask(home, "x").pk == first.pk
    assert ask(abroad, "x").pk != first.pk
    with pytest.raises(IdempotencyConflict):
        ask(home, "y")
    assert Outbox.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_fifty_requests_with_one_key_at_once_are_one_job(home: Workspace) -> None:
    barrier = threading.Barrier(10)

    def ask(_: int) -> uuid.UUID:
        barrier.wait()
        try:
            return services.create_job(home, KIND, {}, created_by=None, idempotency="key").pk
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        ids = set(pool.map(ask, range(50)))
    assert ids == {Job.objects.get().pk}


def test_a_waiting_job_is_canceled_at_once(make_job: MakeJob) -> None:
    job = services.cancel_job(make_job())
    assert job.state == "canceled"
    assert job.finished_at is not None
    assert lease.claim(uuid.uuid4(), QUEUE) is None


def test_canceling_what_has_ended_changes_nothing(make_job: MakeJob) -> None:
    job = services.cancel_job(make_job())
    assert services.cancel_job(job).state == "canceled"
    assert events_of(job) == ["queued", "canceled"]


def test_the_worker_of_a_running_job_is_asked_to_stop(make_job: MakeJob) -> None:
    make_job()
    running = lease.claim(uuid.uuid4(), QUEUE)
    assert running is not None
    assert not services.must_stop(lease.lease_of(running))
    asked = services.cancel_job(running)
    assert (asked.state, asked.cancel_requested) == ("running", True)
    assert services.must_stop(lease.lease_of(running))


def test_the_database_refuses_a_second_end(make_job: MakeJob) -> None:
    job = services.cancel_job(make_job())
    with pytest.raises(Exception, match="jobs_one_terminal_event"):
        JobEvent.objects.create(workspace=job.workspace, job=job, seq=99, type="failed")


def test_jobs_of_others_do_not_exist(make_job: MakeJob, member: Actor, abroad: Workspace) -> None:
    mine, foreign = make_job(), make_job(abroad)
    assert selectors.access_job(member, mine.pk) == mine
    assert list(selectors.list_jobs(member)) == [mine]
    for id in (foreign.pk, str(foreign.pk), uuid.uuid4(), "not an id"):
        with pytest.raises(NotFound):
            selectors.access_job(member, id)


def test_a_viewer_may_look_and_not_touch(make_job: MakeJob, ana: User) -> None:
    job = make_job()
    Membership.objects.filter(user=ana).update(role="viewer")
    viewer = member_actor(ana)
    assert selectors.access_job(viewer, job.pk) == job
    with pytest.raises(Forbidden):
        selectors.access_job(viewer, job.pk, role="editor")


def test_lists_are_newest_first_and_filtered(make_job: MakeJob, member: Actor) -> None:
    first, second = make_job(), make_job()
    services.cancel_job(first)
    assert list(selectors.list_jobs(member)) == [second, first]
    assert list(selectors.list_jobs(member, state="canceled", kind=KIND)) == [first]
    assert list(selectors.list_jobs(member, state="canceled,queued", kind=f"{KIND},other")) == [second, first]
    with pytest.raises(ValueError, match="no job state 'sleeping'"):
        selectors.list_jobs(member, state="sleeping")


def test_events_are_read_after_a_seq(make_job: MakeJob) -> None:
    job = make_job()
    services.cancel_job(job)
    assert [(event["seq"], event["type"]) for event in selectors.events_after(job)] == [(1, "queued"), (2, "canceled")]
    assert [event["seq"] for event in selectors.events_after(job, 1)] == [2]


def test_a_kind_is_registered_once() -> None:
    register(CHAOS)
    with pytest.raises(ValueError, match="registered twice"):
        register(JobKind(KIND, QUEUE, ChaosSettings, CHAOS.prepare, CHAOS.finish))


@pytest.mark.django_db(transaction=True)
def test_the_doorbell_rings_after_the_commit(make_job: MakeJob) -> None:
    make_job()
    assert Outbox.objects.get().sent_at is not None


@pytest.mark.django_db(transaction=True)
def test_a_crash_between_commit_and_publish_loses_no_doorbell(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[tuple[str, str]] = []
    monkeypatch.setattr(outbox, "publish_doorbell", unreachable_broker)
    job = make_job()
    assert Outbox.objects.get().sent_at is None
    monkeypatch.setattr(outbox, "publish_doorbell", lambda queue, job_id: rung.append((queue, job_id)))
    assert outbox.drain() == 1
    assert outbox.drain() == 0
    assert rung == [(QUEUE, str(job.pk))]


def unreachable_broker(queue: str, job_id: str) -> None:
    raise ConnectionError("the broker is away")
