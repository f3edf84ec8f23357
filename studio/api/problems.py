"""Every error of the API: a problem document (RFC 9457) with a stable `code` and a sentence that says what to do."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from rest_framework import exceptions
from rest_framework.parsers import BaseParser
from rest_framework.response import Response

from engine.bundles import BundleError
from engine.media.errors import MediaError
from studio import disk

CONTENT_TYPE = "application/problem+json"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field: its path (`settings.camera.strength`), a stable code and a sentence."""

    field: str
    code: str
    detail: str


class Problem(exceptions.APIException):
    """An answer that refuses a request."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail, code)
        self.status_code = status
        self.code = code
        self.sentence = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})


DATABASE_AWAY = Problem(
    503,
    "database_unavailable",
    "The studio cannot reach its database. Nothing was lost; wait a few seconds and try again.",
    headers={"Retry-After": "5"},
)
DISK_FULL = Problem(507, disk.FULL, "The studio's disk is full. Ask its administrator to make room, then try again.")


def invalid(errors: Sequence[FieldError]) -> Problem:
    """The problem of a request whose fields cannot be accepted."""
    names = ", ".join(error.field for error in errors)
    return Problem(
        422, "validation_failed", f"Correct these fields and send the request again: {names}.", errors=errors
    )


def field_errors(error: ValidationError, path: str) -> list[FieldError]:
    """What pydantic found wrong under `path`, in our words."""
    return [
        FieldError(".".join([path, *(str(part) for part in item["loc"])]), item["type"], _sentence(item))
        for item in error.errors()
    ]


def _sentence(item: ErrorDetails) -> str:
    limits = {name: _plain(limit) for name, limit in item.get("ctx", {}).items()}
    number, whole, id = "Give a number.", "Give a whole number.", "Give an id as the studio writes it, a UUID."
    sentences = {
        "missing": "This field is required.",
        "extra_forbidden": "There is no such setting. Check its name, or leave it out.",
        "finite_number": "Give a number; NaN and Infinity are none.",
        "string_too_long": "Shorten this to {max_length} characters or fewer.",
        "greater_than_equal": "Give {ge} or more.",
        "less_than_equal": "Give {le} or less.",
        "literal_error": "Choose one of {expected}.",
        "float_type": number,
        "float_parsing": number,
        "int_type": whole,
        "int_parsing": whole,
        "int_from_float": whole,
        "uuid_type": id,
        "uuid_parsing": id,
        "string_type": "Give a text, in quotation marks.",
        "model_type": "Give an object, in curly brackets.",
    }
    known = sentences.get(item["type"])
    return known.format(**limits) if known else f"{item['msg']}."


def _plain(limit: Any) -> Any:
    """15.0 as people write it."""
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's hook: any exception of a view becomes a problem; one that nobody expected is logged and told as 500."""
    problem = as_problem(error)
    if isinstance(error, exceptions.UnsupportedMediaType):
        problem = _unsupported_media_type(context["view"].parser_classes)
    if problem in (DATABASE_AWAY, DISK_FULL):
        log.warning("A request was refused: %s", first_line(error))
    if problem is None:
        log.exception("A request failed.", exc_info=error)
        problem = Problem(500, "internal_error", "Something went wrong on our side. Try again; it has been logged.")
    response = Response(document(problem), problem.status_code, headers=problem.headers)
    response.content_type = CONTENT_TYPE
    return response


def as_problem(error: Exception) -> Problem | None:
    """The problem that tells of `error`; None for one that nobody expected."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, exceptions.ValidationError):
        return invalid(list(_field_errors(error.get_full_details())))
    if isinstance(error, Http404):
        return not_found()
    if isinstance(error, PermissionDenied):
        return Problem(403, "forbidden", str(error) or "Your role does not allow this.")
    if isinstance(error, exceptions.Throttled):
        wait = str(int(getattr(error, "wait", None) or 60))
        return Problem(429, "too_many_requests", f"Wait {wait} seconds and try again.", headers={"Retry-After": wait})
    if isinstance(error, exceptions.APIException):
        return _from_rest_framework(error)
    if isinstance(error, RequestDataTooBig):
        return Problem(413, "too_large", "A field of the form is too large.")
    if isinstance(error, SuspiciousOperation):
        return Problem(400, "malformed_request", "The request cannot be read.")
    if disk.is_full(error):
        return DISK_FULL
    if isinstance(error, OperationalError | InterfaceError):
        return DATABASE_AWAY
    if isinstance(error, BundleError):
        return Problem(503, "model_unavailable", str(error))
    if isinstance(error, MediaError):
        return Problem(422, error.code, str(error), errors=[FieldError("file", error.code, str(error))])
    return None


def first_line(error: Exception) -> str:
    """An error for the log, without what a server adds to it."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def not_found() -> Problem:
    """The one answer for what is not there and for what belongs to somebody else."""
    return Problem(404, "not_found", "There is nothing here under this address, or it is not yours to see.")


def not_authenticated(code: str = "not_authenticated", sentence: str = "") -> Problem:
    """For code outside of REST framework's views, which answers the same."""
    return Problem(401, code, sentence or SENTENCES[code], headers={"WWW-Authenticate": "Bearer"})


def document(problem: Problem) -> dict[str, Any]:
    """The JSON of a problem."""
    body: dict[str, Any] = {
        "type": f"urn:aquarius:problem:{problem.code}",
        "title": HTTPStatus(problem.status_code).phrase,
        "status": problem.status_code,
        "code": problem.code,
        "detail": problem.sentence,
    }
    if problem.errors:
        body["errors"] = [asdict(error) for error in problem.errors]
    return body


def problem_response(problem: Problem) -> JsonResponse:
    """The same document for code outside of REST framework's views."""
    return JsonResponse(
        document(problem), status=problem.status_code, content_type=CONTENT_TYPE, headers=problem.headers
    )


def unknown_path(request: HttpRequest, *args: Any, **kwargs: Any) -> JsonResponse:
    """Any path under /api/ that no endpoint answers."""
    return problem_response(not_found())


SENTENCES = {
    "not_authenticated": "Sign in, or send an API key as `Authorization: Bearer aq_...`.",
    "method_not_allowed": "This address does not answer that method; the Allow header names those it does.",
    "not_acceptable": "This address answers application/json.",
}


def _from_rest_framework(error: exceptions.APIException) -> Problem:
    code = str(error.get_codes()) if isinstance(error.get_codes(), str) else error.default_code
    code = {"parse_error": "malformed_request", "permission_denied": "forbidden"}.get(code, code)
    detail = SENTENCES.get(code, str(error.detail))
    challenge = getattr(error, "auth_header", None)
    headers = {"WWW-Authenticate": challenge} if challenge else {}
    return Problem(error.status_code, code, detail, headers=headers)


def _unsupported_media_type(parsers: Sequence[type[BaseParser]]) -> Problem:
    read = " or ".join(parser.media_type for parser in parsers)
    return Problem(415, "unsupported_media_type", f"This address does not read that Content-Type. Send {read}.")


def _field_errors(details: Any, path: str = "") -> Iterator[FieldError]:
    if isinstance(details, dict) and set(details) == {"message", "code"} and isinstance(details["message"], str):
        yield FieldError(path or "body", str(details["code"]), str(details["message"]))
    elif isinstance(details, dict):
        for name, inner in details.items():
            here = path if name == "non_field_errors" else f"{path}.{name}".lstrip(".")
            yield from _field_errors(inner, here)
    else:
        for inner in details:
            yield from _field_errors(inner, path)
