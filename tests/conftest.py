"""What every test may use: one real PostgreSQL for the session, and the environment for real processes."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connections
from xdist.scheduler import LoadFileScheduling

from studio.embedded.places import database_url
from studio.embedded.postgres import Postgres

TESTS = Path(__file__).parent
TOGETHER = ("tests/e2e/", "tests/trainer/parallel/")  # share what takes long to start
# What takes longest, longest first: whoever came to it last would work on alone while all others have nothing to do.
LONGEST = (
    "tests/e2e/",
    "tests/engine/test_nano_quality.py",
    "tests/studio/jobs/test_job_processes.py",
    "tests/studio/embedded/test_serve.py",
    "tests/trainer/test_nano_run.py",
    "tests/engine/parallel/",
    "tests/studio/jobs/test_job_half_files.py",
    "tests/studio/jobs/test_job_supervised.py",
    "tests/chaos/",
    "tests/trainer/",
    "tests/engine/",
    "tests/studio/jobs/",
    "tests/studio/test_demo.py",
    "tests/studio/assets/",
    "tests/studio/api/",
    "tests/test_walls.py",
)


class ByFile(LoadFileScheduling):
    """pytest-xdist deals out whole files, as with `--dist loadfile`, in the order of the tests and with TOGETHER."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False  # files of few tests last: but those are the long ones

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return next((folder for folder in TOGETHER if file.startswith(folder)), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: rank(item.path.relative_to(TESTS.parent).as_posix()))


def rank(file: str) -> int:
    return next((place for place, start in enumerate(LONGEST) if file.startswith(start)), len(LONGEST))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The embedded PostgreSQL in the session's own data folder. `stop()` and `start()` restart it in place."""
    server = Postgres(settings.AQ_DATA_DIR, durable=False)
    server.start()
    yield server
    server.stop()
    if server.cluster != settings.AQ_DATA_DIR / "postgres":
        shutil.rmtree(server.cluster)
    shutil.rmtree(settings.AQ_DATA_DIR, ignore_errors=True)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(postgres: Postgres) -> None:
    """pytest-django calls this before it makes the test database: the server has to be up by then."""


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, postgres: Postgres) -> Iterator[None]:
    """The test database cannot be dropped while the broker's pool and other threads hold connections to it."""
    yield
    name = connections["default"].settings_dict["NAME"]
    with psycopg.connect(database_url(settings.AQ_DATA_DIR, "postgres"), autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])


@pytest.fixture
def process_env(transactional_db: None, module_env: dict[str, str]) -> dict[str, str]:
    """The environment for a real process of the studio (`manage.py worker`, web) on this test's database and files."""
    here = {"AQ_MEDIA_DIR": str(settings.AQ_MEDIA_DIR), "AQ_BUNDLE": str(settings.AQ_BUNDLE)}
    return module_env | here


@pytest.fixture(scope="module")
def module_env(django_db_setup: None) -> dict[str, str]:
    """The same for a process that several tests use, each of which finds the database empty."""
    name = connections["default"].settings_dict["NAME"]
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "studio.settings",
        "DATABASE_URL": database_url(settings.AQ_DATA_DIR, str(name)),
        "AQ_DATA_DIR": str(settings.AQ_DATA_DIR),
        "AQ_MEDIA_DIR": str(settings.AQ_MEDIA_DIR),
        "AQ_BUNDLE": str(settings.AQ_BUNDLE),
        "AQ_SECRET_KEY": settings.SECRET_KEY,
        "AQ_ALLOWED_HOSTS": "localhost,127.0.0.1",
        "PYTHONPATH": str(settings.BASE_DIR),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "OMP_NUM_THREADS": "1",
    }
