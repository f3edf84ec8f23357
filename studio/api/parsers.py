"""JSON bodies that can be stored: what PostgreSQL cannot hold is refused with a sentence, not with a 500."""

import math
import re
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser, JSONParser

from studio.api.problems import FieldError, Problem, invalid

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
DEEPEST = 16


class StorableJSONParser(JSONParser):
    """Strict JSON (no NaN, no Infinity), nested at most 16 deep: valid Unicode without NUL, finite numbers."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        try:
            body = super().parse(stream, media_type, parser_context)
        except RecursionError:
            raise Problem(400, "malformed_request", "The JSON is nested too deeply.") from None
        except ParseError as error:
            raise Problem(400, "malformed_request", _sentence(str(error.detail))) from None
        refuse_unstorable(body)
        if not isinstance(body, dict):
            raise Problem(400, "malformed_request", "The body must be a JSON object.")
        return body


class ImageParser(BaseParser):
    """A body that is the file itself. The type it claims decides nothing: the bytes are looked at later."""

    media_type = "image/*"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        return {"file": stream}


def _sentence(reason: str) -> str:
    if "Out of range float" in reason:
        return "JSON has no NaN and no Infinity: send a number."
    return f"The body is not valid JSON: {reason.removeprefix('JSON parse error - ')}"


def refuse_unstorable(value: Any, path: str = "", depth: int = 0) -> None:
    """Raise Problem for what PostgreSQL cannot hold anywhere in `value`, and for nesting without end."""
    if depth > DEEPEST:
        raise Problem(400, "malformed_request", f"The JSON is nested more than {DEEPEST} deep.")
    if isinstance(value, str) and UNSTORABLE.search(value):
        raise invalid([FieldError(path, "unstorable_text", "This text holds a NUL or half of a surrogate pair.")])
    if isinstance(value, float) and not math.isfinite(value):  # 1e400 is valid JSON, and infinite as a float
        raise Problem(400, "malformed_request", f"The number at {path or 'body'} is too large: send a smaller one.")
    if isinstance(value, dict):
        for name, inner in value.items():
            refuse_unstorable(name, f"{path}.key".lstrip("."), depth)
            refuse_unstorable(inner, f"{path}.{name}".lstrip("."), depth + 1)
    if isinstance(value, list):
        for index, inner in enumerate(value):
            refuse_unstorable(inner, f"{path}.{index}".lstrip("."), depth + 1)
