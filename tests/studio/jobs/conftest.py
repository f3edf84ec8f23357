"""A workspace, a kind of job that can fail in every way, and real processes to run it."""

import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from studio.accounts.models import User
from studio.jobs import hub, services
from studio.jobs.models import Job, JobEvent
from studio.workspaces.access import Actor, member_actor
from studio.workspaces.models import Workspace
from studio.workspaces.services import create_workspace
from tests.chaos import kinds

kinds.register_kinds()

MakeJob = Callable[..., Job]


@pytest.fixture(autouse=True)
def publications(request: pytest.FixtureRequest) -> Iterator[None]:
    """The table in which the test kind writes down what it published."""
    if not {"db", "transactional_db"} & set(request.fixturenames):
        yield
        return
    request.getfixturevalue("transactional_db" if "transactional_db" in request.fixturenames else "db")
    with connection.cursor() as cursor:
        cursor.execute(kinds.PUBLISHED_TABLE)
        cursor.execute("DELETE FROM chaos_published")
    yield


@pytest.fixture
def ana(db: None) -> User:
    return User.objects.create_user("ana@example.com")


@pytest.fixture
def home(ana: User) -> Workspace:
    return create_workspace("Home", "home", owner=ana)


@pytest.fixture
def abroad(db: None) -> Workspace:
    return create_workspace("Abroad", "abroad", owner=User.objects.create_user("bo@example.com"))


@pytest.fixture
def member(ana: User, home: Workspace) -> Actor:
    return member_actor(ana)


@pytest.fixture
def make_job(home: Workspace) -> MakeJob:
    def make(workspace: Workspace = home, *, priority: int = 0, deadline: Any = None, **settings: Any) -> Job:
        return services.create_job(
            workspace, kinds.KIND, settings, created_by=None, priority=priority, deadline=deadline
        )

    return make


@pytest.fixture
def owner_id() -> uuid.UUID:
    return uuid.uuid4()


def events_of(job: Job) -> list[str]:
    return list(JobEvent.objects.filter(job=job).order_by("seq").values_list("type", flat=True))


def data_of(job: Job, type: str) -> list[dict[str, Any]]:
    return list(JobEvent.objects.filter(job=job, type=type).order_by("seq").values_list("data", flat=True))


StartProcess = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(process_env: dict[str, str], tmp_path: Path) -> Iterator[StartProcess]:
    """Starts `manage.py ...` on this test's database with the test kinds; every process is ended with the test."""
    with ExitStack() as stack:

        def start_process(*arguments: str, **more_env: str) -> "subprocess.Popen[bytes]":
            env = {
                **process_env,
                "DJANGO_SETTINGS_MODULE": "tests.chaos.settings",
                "AQ_LEASE_SECONDS": "4",
                "AQ_HEARTBEAT_SECONDS": "1",
                **more_env,
            }
            with (tmp_path / f"{arguments[0]}-{uuid.uuid4().hex[:6]}.log").open("wb") as log:
                process = subprocess.Popen(
                    [sys.executable, "manage.py", *arguments], cwd=settings.BASE_DIR, env=env, stdout=log, stderr=log
                )
            stack.callback(_end, process)
            return process

        yield start_process


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


@pytest.fixture
async def closed_hub() -> AsyncIterator[None]:
    """The hub's connections belong to this test's loop and database."""
    yield
    await hub.hub().close()
