"""A worker killed while it writes: in its own folder, while the file gets its name, and before the row says so."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from studio import media
from studio.jobs.models import Job
from tests.chaos import kinds
from tests.chaos.kinds import QUEUE, WHOLE
from tests.studio.jobs.conftest import MakeJob, StartProcess
from tests.studio.jobs.test_job_processes import state_of, wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600), pytest.mark.usefixtures("media_dir")]

SLOW = 30.0  # seconds that a write takes: the kill is in its middle
Where = Callable[[Job], Path]


def in_its_folder(job: Job) -> Path:
    return media.path_of(f"work/{job.pk}-1/result.txt")


def getting_its_name(job: Job) -> Path:
    folder = stored(job).parent
    return next(folder.glob(".result*"), folder / "not yet")


def stored(job: Job, fence: int = 1) -> Path:
    return media.path_of(media.file_name(job.workspace_id, job.pk, f"result-{fence}.txt"))


def kill_when_half_of_it_is_at(where: Where, job: Job, start: StartProcess, media_dir: Path, **env: str) -> None:
    worker = start("worker", "--queue", QUEUE, AQ_MEDIA_DIR=str(media_dir), **env)
    wait_for(lambda: where(job).exists() and where(job).stat().st_size > 0, "the worker to write", 240)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    assert 0 < where(job).stat().st_size < len(WHOLE)


def named_files(job: Job) -> list[bytes]:
    """What a link could open: drafts have names that no row and no link ever has."""
    folder = stored(job).parent
    return [file.read_bytes() for file in folder.glob("[!.]*")] if folder.exists() else []


def ends_well(job: Job, start: StartProcess, media_dir: Path) -> None:
    """A second worker does it again; nothing of the first is listed, and all that has a name is whole."""
    start("worker", "--queue", QUEUE, AQ_MEDIA_DIR=str(media_dir))
    wait_for(lambda: state_of(job) == "succeeded", "the second attempt", 240)
    job.refresh_from_db()
    assert [fence for _, fence in kinds.published()] == [job.fence]
    assert job.result["file"] == media.file_name(job.workspace_id, job.pk, f"result-{job.fence}.txt")
    assert set(named_files(job)) == {WHOLE}


@pytest.mark.full
def test_killed_while_it_makes_the_file(make_job: MakeJob, start: StartProcess, media_dir: Path) -> None:
    job = make_job(write_seconds=SLOW)
    kill_when_half_of_it_is_at(in_its_folder, job, start, media_dir)
    assert (named_files(job), kinds.published()) == ([], [])
    Job.objects.filter(pk=job.pk).update(settings={**job.settings, "write_seconds": 0.1})
    ends_well(job, start, media_dir)


def test_killed_while_the_file_is_copied_to_its_place(make_job: MakeJob, start: StartProcess, media_dir: Path) -> None:
    job = make_job(write_seconds=0.1)
    kill_when_half_of_it_is_at(getting_its_name, job, start, media_dir, CHAOS_COPY_SECONDS=str(SLOW))
    assert (named_files(job), kinds.published()) == ([], [])
    ends_well(job, start, media_dir)


@pytest.mark.full
def test_killed_between_the_file_s_name_and_the_row(make_job: MakeJob, start: StartProcess, media_dir: Path) -> None:
    job = make_job(write_seconds=0.1, finish_seconds=SLOW)
    worker = start("worker", "--queue", QUEUE, AQ_MEDIA_DIR=str(media_dir))
    wait_for(lambda: stored(job).exists(), "the file to have its name", 240)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    time.sleep(0.5)
    assert (state_of(job) == "succeeded", kinds.published()) == (False, [])  # no row names it: it is not listed
    Job.objects.filter(pk=job.pk).update(settings={**job.settings, "finish_seconds": 0})
    ends_well(job, start, media_dir)


def test_control_without_the_rename_half_a_file_has_a_name(
    make_job: MakeJob, start: StartProcess, media_dir: Path
) -> None:
    job = make_job(write_seconds=0.1)
    more = {"CHAOS_COPY_SECONDS": str(SLOW), "CHAOS_WITHOUT": "rename"}
    kill_when_half_of_it_is_at(stored, job, start, media_dir, **more)
    assert [0 < len(found) < len(WHOLE) for found in named_files(job)] == [True]
