"""One attempt: what a handler's errors become, what it tells, and how it stops."""

import logging
import uuid

import av
import pytest
from django.db import OperationalError

from studio import media
from studio.jobs import database, files, lease, run, services
from studio.jobs.errors import Failure, failure_from
from studio.jobs.models import Job, JobEvent
from studio.jobs.run import CurrentRun, run_job
from tests.chaos import kinds
from tests.chaos.kinds import QUEUE
from tests.studio.jobs.conftest import MakeJob, data_of, events_of

pytestmark = pytest.mark.django_db


def run_next() -> Job:
    job = lease.claim(uuid.uuid4(), QUEUE)
    assert job is not None
    run_job(job)
    job.refresh_from_db()
    return job


def test_a_job_runs_from_photo_to_result(make_job: MakeJob) -> None:
    make_job(name="hello")
    job = run_next()
    assert (job.state, job.progress, job.model) == (
        "succeeded",
        1.0,
        {"name": "chaos", "version": "1", "digest": "sha256:0"},
    )
    assert media.path_of(job.result["file"]).read_text() == "hello"
    assert events_of(job)[:3] == ["queued", "started", "progress"]
    assert events_of(job)[-1] == "succeeded"
    assert [event.seq for event in JobEvent.objects.filter(job=job)] == list(range(1, job.last_seq + 1))
    assert not files.work_folder(job.pk, job.fence).exists()


@pytest.mark.parametrize(
    ("fail", "code", "sentence"),
    [
        ("value", "invalid_request", "Choose a larger one."),
        ("media", "truncated", "Export it again."),
    ],
)
def test_the_users_mistakes_end_the_job_with_their_sentence(
    make_job: MakeJob, fail: str, code: str, sentence: str
) -> None:
    make_job(fail=fail)
    job = run_next()
    assert (job.state, job.attempt, job.error["code"], job.error["retryable"]) == ("failed", 1, code, False)
    assert sentence in job.error["message"]
    assert data_of(job, "failed") == [job.error]


@pytest.mark.parametrize(
    ("fail", "code"),
    [("memory", "out_of_memory"), ("disk", "disk_full"), ("finish_disk", "disk_full"), ("bug", "internal_error")],
)
def test_what_may_pass_is_tried_again_until_it_is_given_up(make_job: MakeJob, fail: str, code: str) -> None:
    job = make_job(fail=fail)
    for attempt in (1, 2):
        assert run_next().state == "queued"
        assert data_of(job, "requeued")[-1] == {"reason": code}
        Job.objects.filter(pk=job.pk, attempt=attempt).update(available_at=job.created_at)
    last = run_next()
    assert (last.state, last.error["code"], last.error["retryable"]) == ("failed", code, True)
    assert kinds.published() == []


INSIDES = [
    RuntimeError("secret detail of the inside"),
    ValueError("operands could not be broadcast together: secret"),
    UnicodeDecodeError("utf-8", b"secret", 0, 1, "secret"),
    av.error.InvalidDataError(1, "secret", "/srv/secret.mp4"),
]


@pytest.mark.parametrize("inside", INSIDES, ids=lambda error: type(error).__name__)
def test_a_bug_shows_an_incident_and_no_inside(inside: Exception, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        failure = failure_from(inside)
    assert (failure.code, failure.retryable) == ("internal_error", True)
    incident = failure.message.rsplit(" ", 1)[-1].rstrip(".")
    assert "secret" not in failure.message
    assert incident in caplog.text
    assert "secret" in caplog.text


def test_a_bug_that_passes_is_no_failure(make_job: MakeJob) -> None:
    job = make_job(fail="bug_once")
    run_next()
    Job.objects.update(available_at=job.created_at)
    assert run_next().state == "succeeded"
    assert len(kinds.published()) == 1


def test_the_user_stops_a_run(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "CANCEL_SECONDS", 0.0)
    make_job(steps=50, seconds=5)
    job = lease.claim(uuid.uuid4(), QUEUE)
    assert job is not None
    services.cancel_job(job)
    run_job(job)
    job.refresh_from_db()
    assert job.state == "canceled"
    assert kinds.published() == []


def test_a_worker_that_leaves_hands_its_job_back_unharmed(make_job: MakeJob) -> None:
    make_job()
    job = lease.claim(uuid.uuid4(), QUEUE)
    assert job is not None
    run_job(job, worker_leaves=lambda: True)
    job.refresh_from_db()
    assert (job.state, job.attempt) == ("queued", 0)
    assert data_of(job, "requeued") == [{"reason": "worker_stopped"}]


def test_progress_is_two_events_a_second_and_never_goes_back(make_job: MakeJob) -> None:
    make_job()
    job = lease.claim(uuid.uuid4(), QUEUE)
    assert job is not None
    current = CurrentRun(job, lease.lease_of(job), lambda: False)
    for fraction in (0.1, 0.2, 0.15, 0.3):
        current.progress("denoise", fraction)
    current.progress("render", 0.25)
    current.progress("render", 0.4)
    current.flush()
    told = [(data["stage"], data["fraction"]) for data in data_of(job, "progress")]
    assert told == [("denoise", 0.1), ("render", 0.3), ("render", 0.4)]


def test_previews_are_files_and_their_events_signed_links(make_job: MakeJob) -> None:
    make_job(preview=True)
    job = run_next()
    (stored,) = data_of(job, "preview")
    assert media.path_of(stored["file"]).read_bytes().startswith(b"\xff\xd8")
    assert job.preview == stored["file"]


def test_the_work_goes_on_while_the_database_is_away(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    make_job()
    job = lease.claim(uuid.uuid4(), QUEUE)
    assert job is not None
    current = CurrentRun(job, lease.lease_of(job), lambda: False)
    monkeypatch.setattr(services, "progress", away)
    monkeypatch.setattr(services, "must_stop", away)
    monkeypatch.setattr(database.connection, "close", lambda: None)
    current.progress("denoise", 0.5)
    assert not current.is_canceled()


def test_a_write_that_must_not_be_lost_waits_for_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database.connection, "close", lambda: None)
    answers = iter([OperationalError("gone"), OperationalError("gone"), "written"])

    def write() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert database.patiently(write) == "written"
    with pytest.raises(OperationalError):
        database.patiently(away, patience=0.3)


def test_the_engines_own_memory_error_is_recognised_by_name() -> None:
    class OutOfMemoryError(RuntimeError):
        """As torch.cuda names it."""

    assert failure_from(OutOfMemoryError("CUDA out of memory")).code == "out_of_memory"
    assert isinstance(failure_from(ValueError("x")), Failure)


def away(*_: object, **__: object) -> bool:
    raise OperationalError("the server closed the connection")
