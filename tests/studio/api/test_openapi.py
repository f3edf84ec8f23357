"""The OpenAPI document: valid, current, and drawn from the engine's own request."""

import io
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.test import Client

from engine.requests import ImageToVideo
from tests.studio.contract import DOCUMENT, document, operations
from tests.studio.rest import Api


def generated() -> str:
    out = io.StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=out)
    return out.getvalue()


def test_the_committed_document_is_current_and_without_warnings() -> None:
    assert yaml.safe_load(generated()) == yaml.safe_load(DOCUMENT.read_text()), "run `make types`"


def test_it_is_openapi_3_1_and_every_operation_may_refuse() -> None:
    assert document()["openapi"].startswith("3.1")
    for method, path in operations():
        responses = document()["paths"][path][method]["responses"]
        assert "application/problem+json" in responses["default"]["content"], f"{method} {path}"


def test_settings_of_a_job_are_the_engines_own_request() -> None:
    schemas = document()["components"]["schemas"]
    settings, request = schemas["ImageToVideoSettings"]["properties"], ImageToVideo.model_json_schema()["properties"]
    assert set(settings) == set(request) - {"kind"} | {"asset_id", "mask"}
    assert settings["seconds"] == request["seconds"]
    assert schemas["Camera"]["properties"]["strength"]["maximum"] == 1.0


@pytest.mark.django_db
def test_the_studio_serves_it() -> None:
    answer = Client().get("/api/v1/schema")
    assert yaml.safe_load(answer.content)["paths"].keys() == document()["paths"].keys()


@pytest.mark.django_db
def test_a_model_tells_the_form_of_each_kind(api: Api) -> None:
    (model,) = api.get("/models").json()["results"]
    form: dict[str, Any] = model["kinds"]["image_to_video"]
    assert (model["id"], model["name"], model["version"]) == ("test-nano", "test-nano", "1")
    assert form["schema"]["required"] == ["asset_id"]
    assert form["schema"]["properties"]["format"]["enum"] == ["9:16", "1:1", "4:5", "16:9"]
    assert "kind" not in form["schema"]["properties"]
    assert form["defaults"]["camera"] == {"move": "auto", "strength": 0.6}
    assert form["defaults"]["seconds"] == 5.0
