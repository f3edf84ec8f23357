"""The committed OpenAPI document, as a judge of every answer that a test gets."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, FormatChecker

DOCUMENT = Path(__file__).parents[2] / "frontend" / "openapi.yaml"


@cache
def document() -> dict[str, Any]:
    return yaml.safe_load(DOCUMENT.read_text())


def operations() -> list[tuple[str, str]]:
    """(method, path template) of every operation."""
    return [(method, path) for path, methods in document()["paths"].items() for method in methods]


def check(method: str, path: str, status: int, content_type: str, body: Any) -> None:
    """Fails when an answer is not what the document says of this operation."""
    operation = _operation(method, path.split("?")[0])
    if operation is None:
        return
    responses = operation["responses"]
    described = responses.get(str(status), responses["default"])
    assert status < 300 or content_type == "application/problem+json", f"{method} {path}: {status} as {content_type}"
    assert str(status) in responses or status >= 400, f"{method} {path} is not said to answer {status}"
    content = described.get("content", {})
    if not content:
        return
    schema = content[content_type.split(";")[0]]["schema"] | {"components": document()["components"]}
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(body)


def _operation(method: str, path: str) -> dict[str, Any] | None:
    for template, methods in document()["paths"].items():
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path) and method.lower() in methods:
            return methods[method.lower()]
    return None
