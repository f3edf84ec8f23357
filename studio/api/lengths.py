"""The length of a body that was sent without one (`Transfer-Encoding: chunked`).

Django's form parser and REST framework take such a body for empty, and would answer 422 to a photo, or 200 to a change
of which nothing is kept. Django's ASGI handler has read it whole by now, below the cap of `limits`: it can be measured.
"""

import os
from collections.abc import Awaitable, Callable
from typing import Any, cast

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

Answer = Callable[[HttpRequest], Any]


@sync_and_async_middleware
def body_length(answer: Answer) -> Answer:
    """Django middleware, the first: whatever reads the body asks for its length before."""
    if iscoroutinefunction(answer):

        async def measured_async(request: HttpRequest) -> HttpResponseBase:
            _measure(request)
            return await cast(Awaitable[HttpResponseBase], answer(request))

        return measured_async

    def measured(request: HttpRequest) -> HttpResponseBase:
        _measure(request)
        return cast(HttpResponseBase, answer(request))

    return measured


def _measure(request: HttpRequest) -> None:
    body = cast(Any, request)._stream
    if request.META.get("CONTENT_LENGTH") or not body.seekable():  # those of Django's test clients are not
        return
    length = body.seek(0, os.SEEK_END)
    body.seek(0)
    if length:
        request.META["CONTENT_LENGTH"] = str(length)
