"""What a long-lived process does when PostgreSQL goes away for a moment: it waits, and does not lose its work."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection
from psycopg.conninfo import make_conninfo

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
AWAY = (OperationalError, InterfaceError)


def patiently(write: Callable[[], Result], *, patience: float = 120.0) -> Result:
    """Runs a write that may be repeated until the database answers, for at most `patience` seconds; then raises."""
    give_up = time.monotonic() + patience
    pause = 0.1
    while True:
        try:
            return write()
        except AWAY as error:
            connection.close()
            if time.monotonic() + pause > give_up:
                raise
            logger.warning("the database is away, trying again: %s", _first_line(error))
            time.sleep(pause)
            pause = min(2 * pause, 2.0)


def if_reachable(write: Callable[[], Result], otherwise: Result) -> Result:
    """Runs a write that is not worth waiting for: while the database is away it is skipped."""
    try:
        return write()
    except AWAY as error:
        connection.close()
        logger.warning("skipped, the database is away: %s", _first_line(error))
        return otherwise


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def conninfo(**more: str) -> str:
    """The libpq connection string of Django's database, for connections that are not Django's: heartbeat and feed."""
    of = connection.settings_dict
    given = {
        "dbname": of["NAME"],
        "user": of["USER"],
        "password": of["PASSWORD"],
        "host": of["HOST"],
        "port": of["PORT"],
        **{name: value for name, value in (of.get("OPTIONS") or {}).items() if isinstance(value, str)},
        **more,
    }
    return make_conninfo(**{name: str(value) for name, value in given.items() if value})
