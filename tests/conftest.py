"""What every test may use: one real PostgreSQL for the session, and the environment for real processes."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.db import connections

from studio.embedded.places import database_url
from studio.embedded.postgres import Postgres


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
def process_env(transactional_db: None) -> dict[str, str]:
    """The environment for a real process of the studio (`manage.py worker`, web) on this test's database and files."""
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
