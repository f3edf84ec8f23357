"""Doorbells, written with the row that is their reason and published after the commit.

A crash between commit and publish loses nothing: the sweeper drains what was left. Ringing twice is harmless.
"""

import logging
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from studio.celery import publish_doorbell
from studio.jobs.models import Job, Outbox

logger = logging.getLogger(__name__)

DOORBELL = "doorbell"


def ring(job: Job) -> None:
    """Writes the doorbell into the open transaction; it rings when that commits."""
    row = Outbox.objects.create(topic=DOORBELL, payload={"queue": job.queue, "job": str(job.id)})
    transaction.on_commit(lambda: _publish_now(row.pk), robust=True)


def _publish_now(pk: int) -> None:
    """The fast path. What goes wrong here is left to the sweeper."""
    try:
        drain(only=pk)
    except Exception as error:  # any broker's error: the request that created the job has succeeded
        logger.warning("doorbell %s not published yet: %s", pk, error)


def drain(*, only: int | None = None, limit: int = 100) -> int:
    """Publishes unsent messages and marks them sent; how many. Raises what the broker raises."""
    with transaction.atomic():
        rows = Outbox.objects.select_for_update(skip_locked=True).filter(sent_at=None)
        rows = rows.filter(pk=only) if only is not None else rows.order_by("pk")
        batch = list(rows[:limit])
        for row in batch:
            _publish(row.topic, row.payload)
        Outbox.objects.filter(pk__in=[row.pk for row in batch]).update(sent_at=Now())
    return len(batch)


def _publish(topic: str, payload: dict[str, Any]) -> None:
    assert topic == DOORBELL, topic
    publish_doorbell(payload["queue"], payload["job"])
