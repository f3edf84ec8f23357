"""Lists, newest first, cut by a cursor that stays right while rows are added."""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model, Q, QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from studio.api.problems import FieldError, invalid

DEFAULT_LIMIT = 30
MAX_LIMIT = 100

PAGE_PARAMETERS = [
    OpenApiParameter("cursor", str, description="The value of `next` from the page before."),
    OpenApiParameter("limit", int, description=f"Rows of a page, 1 to {MAX_LIMIT}; {DEFAULT_LIMIT} unless told."),
]

Row = TypeVar("Row", bound=Model)


def page_of(rows: QuerySet[Row], request: Request) -> tuple[Sequence[Row], str | None]:
    """One page of `rows` and the cursor of the next. Raises Problem where `cursor` or `limit` make no sense.

    Rows are ordered by (created_at, id), both falling, in one query.
    """
    limit = _limit(request.query_params.get("limit"))
    rows = rows.order_by("-created_at", "-id")
    cursor = request.query_params.get("cursor")
    if cursor:
        created_at, row_id = _decode(cursor)
        rows = rows.filter(Q(created_at__lt=created_at) | Q(created_at=created_at, id__lt=row_id))
    found = list(rows[: limit + 1])
    following = _encode(found[limit - 1]) if len(found) > limit else None
    return found[:limit], following


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    short = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_LIMIT))
    if not (short and 1 <= int(text) <= MAX_LIMIT):
        raise invalid([FieldError("limit", "out_of_range", f"Give a whole number from 1 to {MAX_LIMIT}.")])
    return int(text)


def _encode(row: Any) -> str:
    packed = f"{row.created_at.isoformat()}|{row.id}"
    return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")


def _decode(cursor: str) -> tuple[datetime, UUID]:
    try:
        packed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        moment, row_id = packed.split("|")
        created_at = datetime.fromisoformat(moment)
        if created_at.tzinfo is None:
            raise ValueError("a cursor's time has a zone")
        return created_at, UUID(row_id)
    except ValueError as error:
        sentence = "Use the value of `next` from the page before, or leave it out to start."
        raise invalid([FieldError("cursor", "invalid_cursor", sentence)]) from error
