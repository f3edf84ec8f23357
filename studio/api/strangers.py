"""Who may send a large body at all: asked from the headers alone, before anything of the body is read or stored.

The views decide everything else as ever; this only keeps who is not signed in from filling the disk with uploads.
"""

import io
from importlib import import_module
from typing import Any

from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib import auth
from django.core.handlers.asgi import ASGIRequest
from django.db import InterfaceError, OperationalError

from studio.accounts.models import User
from studio.api.authentication import INVALID_KEY, bearer_of
from studio.api.problems import Problem, as_problem, not_authenticated
from studio.workspaces.services import verify_api_key


async def refusal(scope: Any) -> Problem | None:
    """Why nothing of this request's body is read; None when it comes from somebody we know."""
    request = ASGIRequest(scope, io.BytesIO())
    try:
        return await database_sync_to_async(_refusal)(request)
    except (OperationalError, InterfaceError) as error:
        return as_problem(error)


def _refusal(request: ASGIRequest) -> Problem | None:
    key = bearer_of(request.headers.get("Authorization", ""))
    if key is not None:
        return None if verify_api_key(key) else not_authenticated(*INVALID_KEY)
    return None if _is_signed_in(request) else not_authenticated()


def _is_signed_in(request: ASGIRequest) -> bool:
    cookie = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    if not cookie:
        return False
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(cookie)
    return isinstance(auth.get_user(request), User)
