"""What every test may use: one real PostgreSQL for the session, and the environment for real processes."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connections
from xdist.scheduler import LoadFileScheduling

from studio.embedded.places import database_url
from studio.embedded.postgres import Postgres
from tests.engine.parallel.ranks import Ranks

TESTS = Path(__file__).parent
# Files that share what takes long to start: a studio with a browser, ranks that have imported torch, a trained run.
TOGETHER = {
    "tests/e2e/": "studio",
    "tests/engine/cache/": "ranks",
    "tests/engine/parallel/": "ranks",
    "tests/engine/test_combinations.py": "more ranks",
    "tests/trainer/parallel/": "more ranks",
    "tests/trainer/test_nano_": "a run of nano",
}
# What takes longest, longest first: whoever came to it last would work on alone while all others have nothing to do.
LONGEST = (
    "tests/e2e/",
    "tests/engine/parallel/",
    "tests/engine/cache/",
    "tests/engine/test_combinations.py",
    "tests/trainer/parallel/",
    "tests/engine/test_nano_quality.py",
    "tests/studio/jobs/test_job_processes.py",
    "tests/studio/embedded/test_serve.py",
    "tests/trainer/test_nano_",
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
        return next((group for start, group in TOGETHER.items() if file.startswith(start)), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(TESTS / "e2e"):  # one of them waits for several videos, beside what else is tested
            item.add_marker(pytest.mark.timeout(600))
    items.sort(key=lambda item: rank(item.path.relative_to(TESTS.parent).as_posix()))


def rank(file: str) -> int:
    return next((place for place, start in enumerate(LONGEST) if file.startswith(start)), len(LONGEST))


@pytest.fixture(scope="module")
def ranks() -> Iterator[Callable[[int], Ranks]]:
    """The running ranks of a world of so many, started at the first question, by a fork.

    They end with the file: each group of a mesh keeps a thread that looks for messages a hundred times a second, and
    those of hundreds of cases would take all of the CPU from the tests beside them.
    """
    worlds: dict[int, Ranks] = {}

    def of(world: int) -> Ranks:
        if world not in worlds:
            worlds[world] = Ranks(world)
        return worlds[world]

    yield of
    for running in worlds.values():
        running.stop()


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
