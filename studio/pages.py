"""The single page, and the few plain pages that must work without it."""

import logging

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.deprecation import MiddlewareMixin
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

from studio import disk

UNKNOWN_HOST = (
    "The studio does not know the host name of this address. "
    "Whoever runs it adds the name to AQ_ALLOWED_HOSTS and starts the studio again."
)
PROBLEM = "application/problem+json"
log = logging.getLogger(__name__)


@require_safe
@never_cache
@ensure_csrf_cookie
def index(request: HttpRequest) -> HttpResponse:
    """The built page for every path: the browser's router reads the rest."""
    built = settings.AQ_FRONTEND_DIR / "index.html"
    if not built.is_file():
        return render(request, "page_not_built.html", status=503)
    return HttpResponse(built.read_bytes(), content_type="text/html; charset=utf-8")


def refused(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A request that Django does not read: most often it came under a host name that the studio does not know."""
    if not isinstance(exception, DisallowedHost):
        return _problem(400, "malformed_request", "The request cannot be read.")
    if request.path.startswith("/api/"):
        return _problem(400, "unknown_host", UNKNOWN_HOST)
    return render(request, "unknown_host.html", status=400)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _problem(404, "not_found", "There is nothing at this address.")


def broken(request: HttpRequest) -> HttpResponse:
    return _problem(500, "internal_error", "Something broke on our side. Please try again; the error is in the log.")


class DatabaseAway(MiddlewareMixin):
    """Says so where a page outside the API cannot reach the database; REST framework's views answer for themselves."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, OperationalError | InterfaceError):
            return None
        if disk.is_full(exception):
            log.error("The database's disk is full: %s", str(exception).split("\n", 1)[0])
            return render(request, "disk_full.html", status=507)
        log.warning("The database is away: %s", str(exception).split("\n", 1)[0])
        answer = render(request, "database_away.html", status=503)
        answer.headers["Retry-After"] = "5"
        return answer


def _problem(status: int, code: str, detail: str) -> HttpResponse:
    body = {"type": "about:blank", "title": detail, "status": status, "code": code, "detail": detail}
    return JsonResponse(body, status=status, content_type=PROBLEM)
