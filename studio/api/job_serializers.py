"""How a job and its events look to the browser and to machines."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from rest_framework import serializers

from studio.assets.models import Asset
from studio.assets.selectors import assets_by_id
from studio.assets.serializers import AssetSerializer
from studio.generations.presenting import present_result
from studio.jobs.events import preview_url
from studio.jobs.models import Job, State
from studio.jobs.selectors import Place, places

EVENT_TYPES = [
    "queued",
    "started",
    "progress",
    "preview",
    "notice",
    "requeued",
    "succeeded",
    "failed",
    "canceled",
    "expired",
]


class QueueSerializer(serializers.Serializer[Any]):
    position = serializers.IntegerField(help_text="1 is the next to start.")


class JobErrorSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()
    retryable = serializers.BooleanField()


class NoticeSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()


class ModelIdentitySerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    version = serializers.CharField()
    digest = serializers.CharField()


class JobResultSerializer(serializers.Serializer[Any]):
    asset = AssetSerializer(allow_null=True, help_text="Null once the video has been deleted.")
    settings = serializers.DictField(help_text="What was really used: the seed, and what the prompt decided.")
    timings = serializers.DictField(child=serializers.FloatField(), help_text="Seconds of each stage.")


class JobUrlsSerializer(serializers.Serializer[Any]):
    self = serializers.CharField()
    events = serializers.CharField()
    cancel = serializers.CharField()


class JobSerializer(serializers.Serializer[Any]):
    """A piece of work: a video that is to be made."""

    id = serializers.UUIDField()
    kind = serializers.CharField()
    state = serializers.ChoiceField(choices=State.values)
    settings = serializers.DictField(help_text="As they were sent, with defaults filled in.")
    metadata = serializers.DictField()
    stage = serializers.CharField(allow_null=True)
    progress = serializers.FloatField(help_text="0 to 1.")
    eta_seconds = serializers.FloatField(allow_null=True)
    queue = QueueSerializer(allow_null=True)
    attempt = serializers.IntegerField()
    max_attempts = serializers.IntegerField()
    cancel_requested = serializers.BooleanField()
    error = JobErrorSerializer(allow_null=True)
    notices = NoticeSerializer(many=True)
    preview_url = serializers.CharField(allow_null=True)
    result = JobResultSerializer(allow_null=True)
    model = ModelIdentitySerializer(allow_null=True)
    source_asset = AssetSerializer(allow_null=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    urls = JobUrlsSerializer()


class JobPageSerializer(serializers.Serializer[Any]):
    results = JobSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class EventSerializer(serializers.Serializer[Any]):
    """One entry of a job's append-only log."""

    seq = serializers.IntegerField(help_text="Counts from 1 without gaps.")
    type = serializers.ChoiceField(choices=EVENT_TYPES)
    data = serializers.DictField()  # type: ignore[assignment]
    created_at = serializers.DateTimeField()


class EventPageSerializer(serializers.Serializer[Any]):
    results = EventSerializer(many=True)
    next_seq = serializers.IntegerField(help_text="Send it as `after` to read on.")


def present_jobs(jobs: Iterable[Job]) -> list[dict[str, Any]]:
    """Jobs of one workspace as the API shows them: three queries, however many they are."""
    jobs = list(jobs)
    if not jobs:
        return []
    ids = [found for job in jobs for found in (_source_id(job), _result_id(job)) if found]
    assets = assets_by_id(jobs[0].workspace_id, ids)
    waiting = places(jobs)
    return [_present(job, assets, waiting.get(job.id)) for job in jobs]


def present_job(job: Job) -> dict[str, Any]:
    """One job as the API shows it."""
    return present_jobs([job])[0]


def _present(job: Job, assets: dict[str, Asset], place: Place | None) -> dict[str, Any]:
    source = assets.get(_source_id(job) or "")
    address = f"/api/v1/jobs/{job.id}"
    return {
        "id": str(job.id),
        "kind": job.kind,
        "state": job.state,
        "settings": job.settings,
        "metadata": job.metadata,
        "stage": job.stage,
        "progress": job.progress,
        "eta_seconds": place.eta_seconds if place else job.eta_seconds,
        "queue": {"position": place.position} if place else None,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "cancel_requested": job.cancel_requested,
        "error": job.error,
        "notices": job.notices,
        "preview_url": preview_url(job.preview),
        "result": _result(job, assets),
        "model": job.model,
        "source_asset": AssetSerializer(source).data if source else None,
        "created_at": _moment(job.created_at),
        "started_at": _moment(job.started_at),
        "finished_at": _moment(job.finished_at),
        "urls": {"self": address, "events": f"{address}/events", "cancel": f"{address}/cancel"},
    }


def _source_id(job: Job) -> str | None:
    return job.settings.get("asset_id")


def _result_id(job: Job) -> str | None:
    return (job.result or {}).get("asset_id")


def _result(job: Job, assets: dict[str, Asset]) -> dict[str, Any] | None:
    """A job that makes no asset of its own, as a mask search, has no result to show: its photo has it."""
    return present_result(job.result, assets) if job.result and "settings" in job.result else None


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None
