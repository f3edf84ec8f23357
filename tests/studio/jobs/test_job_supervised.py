"""Workers and sweeper under the studio's own supervisor: a killed worker's job runs again at once."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from django.conf import settings

from studio.embedded import children
from studio.embedded.children import Child, Family
from studio.jobs.models import Job
from tests.chaos.kinds import QUEUE
from tests.studio.jobs.conftest import MakeJob, events_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

LEASE_SECONDS = 120


@pytest.fixture
def family(process_env: dict[str, str], tmp_path: Path) -> Iterator[Family]:
    """A worker and a sweeper, started and watched as `make run` does."""
    lease = {"AQ_LEASE_SECONDS": str(LEASE_SECONDS), "AQ_HEARTBEAT_SECONDS": "1"}
    env = {**process_env, **lease, "DJANGO_SETTINGS_MODULE": "tests.chaos.settings"}
    family = Family(env, Path(settings.BASE_DIR), print)
    for name, words in {"worker": ["worker", "--queue", QUEUE], "sweeper": ["sweeper"]}.items():
        command = [str(process_env["PATH"].split(os.pathsep)[0] + "/python"), "manage.py", *words]
        family.start(Child(name, command, tmp_path / f"{name}.log"))
    yield family
    family.stop(3)
    family.dismiss()


def watched(family: Family, condition: Callable[[], bool], seconds: float) -> bool:
    """Supervises until the condition holds, or for so long."""
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        family.watch()
        time.sleep(0.1)
    return condition()


def kill_the_worker(family: Family, job: Job) -> None:
    """When it runs the job."""
    assert watched(family, lambda: events_of(job)[-1] == "started", 120), family.children[0].log_tail(40)
    worker = family.children[0].process
    assert worker is not None
    os.kill(worker.pid, signal.SIGKILL)


def test_a_killed_worker_s_job_runs_again_long_before_its_lease_lapses(family: Family, make_job: MakeJob) -> None:
    job = make_job(block=True, seconds=60)
    kill_the_worker(family, job)
    assert watched(family, lambda: "requeued" in events_of(job), 8), events_of(job)
    assert watched(family, lambda: events_of(job).count("started") == 2, LEASE_SECONDS / 2), events_of(job)


def test_control_a_heartbeat_that_is_killed_with_its_worker_gives_nothing_back(
    family: Family, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "LAST_SECONDS", -1.0)
    job = make_job(block=True, seconds=60)
    worker = family.children[0].process
    assert worker is not None
    assert watched(family, lambda: events_of(job)[-1] == "started", 120)
    beat = next(one for one in psutil.Process(worker.pid).children() if "studio.jobs.heartbeat" in one.cmdline())
    beat.suspend()  # the race, decided: it does not come to speak before its group is killed
    kill_the_worker(family, job)
    assert not watched(family, lambda: "requeued" in events_of(job), 8)


def test_what_a_dead_child_has_started_does_not_live_on(tmp_path: Path) -> None:
    family = Family(dict(os.environ), tmp_path, print)
    pid = tmp_path / "pid"
    family.start(Child("parent", ["sh", "-c", f"sleep 600 & echo $! > {pid}; exit 1"], tmp_path / "log"))
    assert watched(family, lambda: pid.exists() and pid.read_text().strip() != "", 30)
    sleeper = psutil.Process(int(pid.read_text()))
    assert watched(family, lambda: not sleeper.is_running() or sleeper.status() == psutil.STATUS_ZOMBIE, 20)
    family.stop(1)
    family.dismiss()
