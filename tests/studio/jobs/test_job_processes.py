"""Real processes on a real broker: doorbells, heartbeats that outlive native calls, killed workers, polite ends."""

import os
import signal
import time
from collections.abc import Callable

import psutil
import pytest

from studio.jobs import services, sweeper
from studio.jobs.models import Job, WorkerRow
from tests.alive import all_end
from tests.chaos import kinds
from tests.chaos.kinds import QUEUE
from tests.studio.jobs.conftest import MakeJob, StartProcess, data_of, events_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

SWEEP_SECONDS = 0.25  # four times as often as the sweeper's own process


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 90.0) -> float:
    """Seconds until the condition held."""
    begun = swept = time.monotonic()
    while not condition():
        if time.monotonic() - swept > SWEEP_SECONDS:
            sweep_all()
            swept = time.monotonic()
        assert time.monotonic() - begun < seconds, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.05)
    return time.monotonic() - begun


def sweep_all() -> None:
    """What the sweeper's own process does every second (`tests/chaos` runs it as one)."""
    sweeper.sweep()
    sweeper.ring_waiting()


def state_of(job: Job) -> str:
    return Job.objects.values_list("state", flat=True).get(pk=job.pk)


def a_worker_is_there(count: int = 1) -> bool:
    return WorkerRow.objects.filter(queue=QUEUE).count() == count


def heartbeat_of(pid: int) -> psutil.Process:
    return next(child for child in psutil.Process(pid).children() if "studio.jobs.heartbeat" in child.cmdline())


def test_a_doorbell_wakes_the_worker_and_it_works_until_none_is_left(make_job: MakeJob, start: StartProcess) -> None:
    early = make_job(name="rung before the worker came")
    start("worker", "--queue", QUEUE)
    wait_for(lambda: state_of(early) == "succeeded", "the first job")
    jobs = [make_job() for _ in range(5)]
    wait_for(lambda: all(state_of(job) == "succeeded" for job in jobs), "five jobs")
    assert len(kinds.published()) == 6


def test_a_long_native_call_keeps_its_lease(make_job: MakeJob, start: StartProcess) -> None:
    job = make_job(block=True, seconds=8)
    start("worker", "--queue", QUEUE)
    wait_for(lambda: state_of(job) == "succeeded", "a call of eight seconds under a lease of four")
    assert events_of(job).count("started") == 1


def test_control_a_stopped_heartbeat_loses_the_lease(make_job: MakeJob, start: StartProcess) -> None:
    job = make_job(block=True, seconds=12)
    worker = start("worker", "--queue", QUEUE)
    wait_for(lambda: state_of(job) == "running", "the job to run")
    beat = heartbeat_of(worker.pid)
    beat.suspend()
    try:
        wait_for(lambda: "requeued" in events_of(job), "the sweeper to take it back")
    finally:
        beat.kill()  # stopped as it is, it could not end with its worker


def test_a_killed_worker_gives_its_job_back_at_once(make_job: MakeJob, start: StartProcess) -> None:
    job = make_job(block=True, seconds=2)
    long_lease = {"AQ_LEASE_SECONDS": "60"}
    worker = start("worker", "--queue", QUEUE, **long_lease)
    wait_for(lambda: state_of(job) == "running", "the job to run")
    beat = heartbeat_of(worker.pid)
    worker.kill()
    wait_for(lambda: "requeued" in events_of(job), "the job to go back, without waiting a minute for the lease", 30)
    assert all_end([beat.pid], seconds=30)
    start("worker", "--queue", QUEUE, **long_lease)
    wait_for(lambda: state_of(job) == "succeeded", "the second attempt")
    assert data_of(job, "requeued") == [{"reason": "worker_lost"}]
    assert len(kinds.published()) == 1


def test_a_worker_that_hangs_is_ended(make_job: MakeJob, start: StartProcess) -> None:
    job = make_job(block=True, seconds=60)
    worker = start("worker", "--queue", QUEUE, AQ_RUN_SECONDS="2")
    wait_for(lambda: state_of(job) == "running", "the job to run")
    assert worker.wait(60) == -signal.SIGKILL
    wait_for(lambda: "requeued" in events_of(job), "the job to go back")


def test_a_killed_heartbeat_is_replaced(make_job: MakeJob, start: StartProcess) -> None:
    job = make_job(seconds=5, steps=50)
    worker = start("worker", "--queue", QUEUE, AQ_LEASE_SECONDS="30")
    wait_for(lambda: state_of(job) == "running", "the job to run")
    first = heartbeat_of(worker.pid)
    first.kill()
    wait_for(lambda: heartbeat_of_or_none(worker.pid) not in (None, first.pid), "another heartbeat")
    wait_for(lambda: state_of(job) == "succeeded", "the job")
    assert events_of(job).count("started") == 1


def heartbeat_of_or_none(pid: int) -> int | None:
    try:
        return heartbeat_of(pid).pid
    except (StopIteration, psutil.Error):  # none yet, or one that is just going
        return None


def test_sigterm_hands_the_job_back_and_leaves_nothing_behind(make_job: MakeJob, start: StartProcess) -> None:
    job = make_job(seconds=30, steps=300)
    worker = start("worker", "--queue", QUEUE)
    wait_for(lambda: state_of(job) == "running", "the job to run")
    children = psutil.Process(worker.pid).children(recursive=True)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    job.refresh_from_db()
    assert (job.state, job.attempt) == ("queued", 0)
    assert data_of(job, "requeued") == [{"reason": "worker_stopped"}]
    assert all_end([child.pid for child in children], seconds=30)
    assert not WorkerRow.objects.exists()


def test_a_running_job_is_canceled_at_its_next_step(make_job: MakeJob, start: StartProcess) -> None:
    job = make_job(seconds=30, steps=300)
    start("worker", "--queue", QUEUE)
    wait_for(lambda: state_of(job) == "running", "the job to run")
    services.cancel_job(job)
    assert wait_for(lambda: state_of(job) == "canceled", "the cancel") < 10
    assert kinds.published() == []


def test_a_drained_worker_claims_nothing_until_it_is_started_again(make_job: MakeJob, start: StartProcess) -> None:
    start("worker", "--queue", QUEUE)
    wait_for(a_worker_is_there, "the worker")
    WorkerRow.objects.update(desired="drain")
    job, witness = make_job(), make_job(priority=-1)
    other = start("worker", "--queue", QUEUE)
    wait_for(lambda: state_of(witness) == "succeeded", "another worker to do both")
    other.send_signal(signal.SIGTERM)
    other.wait(60)
    assert state_of(job) == "succeeded"
    later = make_job()
    time.sleep(1.0)
    assert state_of(later) == "queued"
    WorkerRow.objects.update(desired="run")
    wait_for(lambda: state_of(later) == "succeeded", "the worker that was started again")


@pytest.mark.full
def test_a_job_to_retry_is_rung_for_by_the_sweeper(make_job: MakeJob, start: StartProcess) -> None:
    start("worker", "--queue", QUEUE)
    job = make_job(fail="bug_once")
    wait_for(lambda: state_of(job) == "succeeded", "the second attempt")
    assert data_of(job, "requeued") == [{"reason": "internal_error"}]


@pytest.mark.full
def test_a_killed_worker_s_attempt_leaves_no_result(make_job: MakeJob, start: StartProcess) -> None:
    job = make_job(seconds=1, steps=5)
    worker = start("worker", "--queue", QUEUE)
    wait_for(lambda: state_of(job) == "running", "the job to run")
    os.kill(worker.pid, signal.SIGKILL)
    start("worker", "--queue", QUEUE)
    wait_for(lambda: state_of(job) == "succeeded", "the second attempt")
    assert [fence for _, fence in kinds.published()] == [2]


def test_a_worker_that_slept_past_its_lease_publishes_nothing(make_job: MakeJob, start: StartProcess) -> None:
    job = run_with_a_sleeper(make_job, start)
    assert kinds.published() == [(str(job.pk), 2)]
    assert (job.state, job.fence) == ("succeeded", 2)


def test_control_without_the_fence_the_sleeper_publishes(make_job: MakeJob, start: StartProcess) -> None:
    job = run_with_a_sleeper(make_job, start, CHAOS_WITHOUT="fence")
    assert kinds.published() == [(str(job.pk), 1)]


def run_with_a_sleeper(make_job: MakeJob, start: StartProcess, **env: str) -> Job:
    """One worker sleeps past its lease, another gets the job, and the first wakes up while the second works."""
    job = make_job(block=True, seconds=6)
    sleeper = start("worker", "--queue", QUEUE, **env)
    wait_for(lambda: state_of(job) == "running", "the job to run")
    asleep = [psutil.Process(sleeper.pid), heartbeat_of(sleeper.pid)]
    for process in asleep:
        process.suspend()
    wait_for(lambda: "requeued" in events_of(job), "the lease to lapse")
    start("worker", "--queue", QUEUE, **env)
    wait_for(lambda: events_of(job).count("started") == 2, "the second worker to begin")
    for process in asleep:
        process.resume()
    wait_for(lambda: kinds.published() != [], "a result")
    job.refresh_from_db()
    return job
