"""A worker that lost its lease (it hung, or was cut off) comes back: nothing that it writes may count."""

import uuid
from pathlib import Path

import pytest
from django.db.models.functions import Now

from studio.jobs import lease, services, sweeper
from studio.jobs.lease import Lease, LeaseLost, lease_of
from studio.jobs.models import Job
from tests.chaos import kinds
from tests.chaos.kinds import QUEUE, Output
from tests.studio.jobs.conftest import MakeJob, data_of, events_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def output(tmp_path: Path) -> Output:
    path = tmp_path / "result.txt"
    path.write_text("done")
    return Output(path=path, model={"name": "chaos"})


@pytest.fixture
def zombie_and_heir(make_job: MakeJob) -> tuple[Lease, Lease]:
    """Two leases of one job: the first has lapsed and was swept, the second is good."""
    make_job()
    zombie = claim()
    Job.objects.filter(pk=zombie.job_id).update(lease_expires_at=Now())
    assert sweeper.recover_lost() == 1
    return zombie, claim()


def claim() -> Lease:
    job = lease.claim(uuid.uuid4(), QUEUE)
    assert job is not None
    return lease_of(job)


def test_the_zombie_writes_nothing(zombie_and_heir: tuple[Lease, Lease], output: Output) -> None:
    zombie, heir = zombie_and_heir
    for write in (
        lambda: services.progress(zombie, "work", 0.9),
        lambda: services.preview(zombie, "file.jpg", 1),
        lambda: services.notice(zombie, "code", "message"),
        lambda: services.finish(zombie, output),
        lambda: services.stop(zombie, worker_leaves=True),
        lambda: services.fail(zombie, kinds_failure()),
    ):
        with pytest.raises(LeaseLost):
            write()
    job = Job.objects.get(pk=heir.job_id)
    assert (job.state, job.fence, job.progress) == ("running", heir.fence, 0.0)
    assert kinds.published() == []
    assert services.must_stop(zombie)
    assert not services.must_stop(heir)


def test_the_heir_alone_publishes(zombie_and_heir: tuple[Lease, Lease], output: Output) -> None:
    zombie, heir = zombie_and_heir
    services.finish(heir, output)
    with pytest.raises(LeaseLost):
        services.finish(zombie, output)
    assert kinds.published() == [(str(heir.job_id), heir.fence)]
    assert events_of(Job.objects.get()) == ["queued", "started", "requeued", "started", "succeeded"]


def test_control_without_the_fence_the_zombie_wins(
    zombie_and_heir: tuple[Lease, Lease], output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    zombie, heir = zombie_and_heir
    monkeypatch.setattr(lease, "held", kinds.held_without_fence)
    services.finish(zombie, output)
    assert kinds.published() == [(str(heir.job_id), zombie.fence)]


def test_the_lapsed_lease_counts_while_nobody_has_swept_it(make_job: MakeJob, output: Output) -> None:
    make_job()
    mine = claim()
    Job.objects.filter(pk=mine.job_id).update(lease_expires_at=Now())
    services.finish(mine, output)
    assert Job.objects.get().state == "succeeded"
    assert sweeper.recover_lost() == 0


def test_finish_again_after_an_unheard_commit_changes_nothing(make_job: MakeJob, output: Output) -> None:
    make_job()
    mine = claim()
    first, again = services.finish(mine, output), services.finish(mine, output)
    assert first.result == again.result
    assert len(kinds.published()) == 1
    assert events_of(first).count("succeeded") == 1


def test_a_finish_that_fails_leaves_the_job_running_and_unpublished(make_job: MakeJob, output: Output) -> None:
    make_job(fail="finish_disk")
    mine = claim()
    with pytest.raises(OSError, match="No space"):
        services.finish(mine, output)
    assert Job.objects.get().state == "running"
    assert kinds.published() == []
    assert data_of(Job.objects.get(), "succeeded") == []


def kinds_failure() -> services.Failure:
    return services.Failure("internal_error", "Something went wrong.", True)
