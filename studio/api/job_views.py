"""Endpoints of jobs: ask, read, list, cancel, follow."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from django.db import connection
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from pydantic import ValidationError
from rest_framework import serializers
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from studio.api.forms import JsonForm
from studio.api.job_serializers import (
    EventPageSerializer,
    JobPageSerializer,
    JobSerializer,
    present_job,
    present_jobs,
)
from studio.api.pagination import PAGE_PARAMETERS, page_of
from studio.api.problems import FieldError, Problem, field_errors, invalid
from studio.api.views import WorkspaceView
from studio.generations.services import AssetMissing, create_generation
from studio.generations.settings import SETTINGS
from studio.jobs.errors import IdempotencyConflict, UnknownKind
from studio.jobs.feed import stream_events
from studio.jobs.models import State
from studio.jobs.selectors import access_job, events_after, list_jobs
from studio.jobs.services import cancel_job

METADATA_CHARACTERS = 4096
KEY_CHARACTERS = 255
EVENTS_OF_A_PAGE = 500
ASKED_FOR = ",".join(SETTINGS)
STREAM_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class NewJobSerializer(JsonForm):
    """What is asked for. `settings` is checked against the schema of its kind."""

    kind = serializers.CharField(max_length=60)
    settings = serializers.DictField()
    metadata = serializers.DictField(required=False, help_text="Kept with the job and given back; for your own use.")

    def validate_metadata(self, value: dict[str, Any]) -> dict[str, Any]:
        if len(str(value)) > METADATA_CHARACTERS:
            raise serializers.ValidationError(f"Keep this under {METADATA_CHARACTERS} characters.", "too_long")
        return value


class JobListView(WorkspaceView):
    """Jobs of the workspace."""

    @extend_schema(
        operation_id="jobs_list",
        parameters=[
            *PAGE_PARAMETERS,
            OpenApiParameter("state", str, description=f"One or more, with commas: {', '.join(State.values)}."),
            OpenApiParameter(
                "kind",
                str,
                description="One or more, with commas. Unless told, the kinds that can be asked for: without those "
                "that the studio starts by itself, as `product_mask` after an upload.",
            ),
        ],
        responses=JobPageSerializer,
    )
    def get(self, request: Request) -> Response:
        """List jobs, newest first."""
        try:
            kinds = request.query_params.get("kind", ASKED_FOR)
            rows = list_jobs(self.actor, state=request.query_params.get("state"), kind=kinds)
        except ValueError as error:
            raise invalid([FieldError("state", "invalid_choice", str(error))]) from error
        page, following = page_of(rows, request)
        return Response({"results": present_jobs(page), "next": following})

    @extend_schema(
        operation_id="jobs_create",
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                str,
                OpenApiParameter.HEADER,
                description="Any text of your own. The same key with the same request gives the same job, until it is "
                "forgotten after 24 hours.",
            ),
            OpenApiParameter(
                "Location", str, OpenApiParameter.HEADER, response=[202], description="Where the job is read."
            ),
        ],
        request=NewJobSerializer,
        responses={202: JobSerializer},
    )
    def post(self, request: Request) -> Response:
        """Ask for a video. It is made later; follow the job at the address in Location."""
        form = NewJobSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        try:
            job = create_generation(
                self.actor,
                form.validated_data["kind"],
                form.validated_data["settings"],
                metadata=form.validated_data.get("metadata", {}),
                idempotency=_idempotency_key(request),
            )
        except ValidationError as error:
            raise invalid(field_errors(error, "settings")) from error
        except UnknownKind as error:
            raise invalid([FieldError("kind", "unknown_kind", str(error))]) from error
        except AssetMissing as error:
            raise invalid([FieldError("settings.asset_id", "not_found", str(error))]) from error
        except IdempotencyConflict as error:
            raise Problem(422, "idempotency_key_reused", str(error)) from error
        return Response(present_job(job), status=202, headers={"Location": f"/api/v1/jobs/{job.id}"})


class JobView(WorkspaceView):
    """One job."""

    @extend_schema(operation_id="jobs_read", responses={200: JobSerializer})
    def get(self, request: Request, job_id: UUID) -> Response:
        """Read a job."""
        return Response(present_job(access_job(self.actor, job_id)))


class CancelView(WorkspaceView):
    """Cancelling a job."""

    @extend_schema(operation_id="jobs_cancel", request=None, responses={200: JobSerializer})
    def post(self, request: Request, job_id: UUID) -> Response:
        """Cancel a job: one that waits at once, one that runs at its next step. A job that has ended stays as it is."""
        job = access_job(self.actor, job_id, role="editor")
        return Response(present_job(cancel_job(job)))


class EventStreamRenderer(BaseRenderer):
    """Lets `Accept: text/event-stream` through; the stream itself is written by the feed."""

    media_type = "text/event-stream"
    format = "event-stream"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return JSONRenderer().render(data)


class EventsView(WorkspaceView):
    """The log of a job."""

    renderer_classes = [JSONRenderer, EventStreamRenderer]

    @extend_schema(
        operation_id="jobs_events",
        parameters=[OpenApiParameter("after", int, description="Only events with a larger seq; 0 unless told.")],
        responses={
            (200, "application/json"): EventPageSerializer,
            (200, "text/event-stream"): OpenApiTypes.STR,
            204: OpenApiResponse(description="The stream of a job that has ended, from its last event on."),
        },
    )
    def get(self, request: Request, job_id: UUID) -> Response | HttpResponseBase:
        """Read the events of a job, or follow them as server-sent events until the job ends."""
        job = access_job(self.actor, job_id)
        after = _after(request)
        if isinstance(request.accepted_renderer, EventStreamRenderer):
            if State(job.state).is_terminal and after >= job.last_seq:
                return Response(status=204)  # nothing will come: an EventSource then does not connect again
            if request.method == "HEAD":
                return HttpResponse(headers=STREAM_HEADERS)
            _hand_connection_back()
            session = request._request if self.actor.user else None
            return event_stream(stream_events(self.actor, job, after, session=session))
        found = events_after(job, after, limit=EVENTS_OF_A_PAGE)
        return Response({"results": found, "next_seq": found[-1]["seq"] if found else after})


def event_stream(events: AsyncIterator[bytes]) -> StreamingHttpResponse:
    """Server-sent events that no proxy holds back."""
    return StreamingHttpResponse(events, headers=STREAM_HEADERS)


def _hand_connection_back() -> None:
    """The one that this request has asked with: a stream reads through the feed's own, and may last for hours.

    Django would keep it until the answer is over, and a hundred streams or two would leave PostgreSQL none to give.
    It is closed whatever its age: `close_old_connections` spares those that are to be used again.
    """
    if not connection.in_atomic_block:
        connection.close()


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= KEY_CHARACTERS):
        sentence = f"Give 1 to {KEY_CHARACTERS} characters, or leave the header out."
        raise invalid([FieldError("Idempotency-Key", "out_of_range", sentence)])
    return key


def _after(request: Request) -> int:
    """The larger of the two: an EventSource that comes back sends its first address again, and how far it has come."""
    return max(_seq(request.query_params.get("after")), _seq(request.headers.get("Last-Event-ID")))


def _seq(text: str | None) -> int:
    text = text or "0"
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise invalid([FieldError("after", "out_of_range", "Give the seq of the last event you have, or 0.")])
    return int(text)
