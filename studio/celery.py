"""The Celery application: its messages are doorbells, and nothing else goes through the broker.

Main path: `outbox` -> `publish_doorbell` -> broker -> the `doorbell` task in a worker -> `studio.jobs.worker`.
"""

import os
from typing import Any
from urllib.parse import quote, urlencode

from celery import Celery
from kombu.transport.sqlalchemy import Transport as SqlTransport
from sqlalchemy.exc import SQLAlchemyError

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "studio.settings")

DOORBELL_TASK = "studio.jobs.doorbell"

# A class attribute: as a transport option it would be handed to SQLAlchemy's create_engine, which refuses it.
SqlTransport.polling_interval = 0.1
# kombu names only OperationalError; a session that was cut in mid-transaction raises others until it is replaced.
SqlTransport.connection_errors = (SQLAlchemyError,)  # type: ignore[assignment]

app = Celery("studio", set_as_current=True)


@app.on_configure.connect
def _configure(**_: Any) -> None:
    app.conf.update(settings_of(broker_url()))


def settings_of(url: str) -> dict[str, Any]:
    """Celery's settings: early acknowledgement, one message at a time, no results, no remote control."""
    return {
        "broker_url": url,
        "broker_transport_options": {"pool_pre_ping": True} if is_sql(url) else {"socket_timeout": 5},
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_acks_late": False,
        "task_publish_retry_policy": {"max_retries": 1, "interval_start": 0, "interval_max": 0.2},
        "worker_prefetch_multiplier": 1,
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "event_queue_ttl": 5,
        "timezone": "UTC",
    }


def broker_url() -> str:
    """`AQ_BROKER_URL`, as of a Redis, or unless told the database's own server through kombu's SQLAlchemy transport."""
    from django.conf import settings
    from django.db import connection

    return settings.AQ_BROKER_URL or _same_database(connection.settings_dict)


def is_sql(url: str) -> bool:
    return url.startswith(("sqla+", "sqlalchemy+"))


def publish_doorbell(queue: str, job_id: str) -> None:
    """Rings once for a job. Raises the broker's error when it cannot be reached."""
    app.send_task(DOORBELL_TASK, args=[job_id], queue=queue)


def _same_database(database: dict[str, Any]) -> str:
    user = quote(database["USER"] or "", safe="")
    password = f":{quote(database['PASSWORD'], safe='')}" if database["PASSWORD"] else ""
    host, port = database["HOST"] or "", database["PORT"]
    options = dict(database.get("OPTIONS") or {})
    if host.startswith("/"):
        options["host"], host = host, ""
    address = f"{user}{password}@{host}{f':{port}' if port else ''}"
    query = urlencode({name: value for name, value in options.items() if isinstance(value, str)})
    return f"sqla+postgresql+psycopg://{address}/{quote(str(database['NAME']), safe='')}" + (
        f"?{query}" if query else ""
    )
