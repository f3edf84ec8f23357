"""The OpenAPI 3.1 document: problems on every operation, and the settings of each kind from the engine itself."""

from typing import Any, Literal

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers

from studio.api.authentication import WORKSPACE_HEADER
from studio.generations.settings import SETTINGS

COMPONENT = "#/components/schemas/{model}"


class KeyScheme(OpenApiAuthenticationExtension):
    target_class = "studio.api.authentication.KeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "aq_<prefix>_<secret>"}


class BrowserScheme(OpenApiAuthenticationExtension):
    target_class = "studio.api.authentication.BrowserAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        marked = "The studio of `make run` adds a mark of its own to the name, so that two on one machine do not meet."
        return {"type": "apiKey", "in": "cookie", "name": "aq_session", "description": marked}


class ProblemFieldSerializer(serializers.Serializer[Any]):
    field = serializers.CharField(help_text="The path of the field, as `settings.camera.strength`.")
    code = serializers.CharField()
    detail = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """Why a request was refused (RFC 9457)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField(help_text="Stable; decide by this one.")
    detail = serializers.CharField(help_text="A sentence that says what to do.")
    errors = ProblemFieldSerializer(many=True, required=False)  # type: ignore[assignment]


class Schema(AutoSchema):
    """DRF's views, described. Every operation may answer a problem, and acts in a workspace unless it needs none."""

    def _get_response_bodies(self, direction: Literal["request", "response"] = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        refused = OpenApiResponse(ProblemSerializer, description="The request was refused.")
        bodies["default"] = self._get_response_for_code(refused, "default", ["application/problem+json"])
        return bodies

    def get_auth(self) -> list[dict[str, list[str]]]:
        return [way for way in super().get_auth() if way]  # nothing here is open: `WorkspaceView` asks who it is

    def get_tags(self) -> list[str]:
        return [self.path.removeprefix("/api/v1/").split("/")[0]]


def add_settings_of_kinds(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Replace the free-form settings of a new job by the engine's own schema: one, or any of several kinds."""
    schemas = result["components"]["schemas"]
    references = []
    for model in SETTINGS.values():
        schema = model.model_json_schema(ref_template=COMPONENT)
        schemas.update(schema.pop("$defs", {}))
        del schema["properties"]["kind"]
        schemas[model.__name__] = schema
        references.append({"$ref": COMPONENT.format(model=model.__name__)})
    schemas["NewJobRequest"]["properties"]["settings"] = (
        references[0] if len(references) == 1 else {"oneOf": references}
    )
    schemas["NewJobRequest"]["properties"]["kind"] = {"type": "string", "enum": list(SETTINGS)}
    result["components"]["parameters"] = {"Workspace": WORKSPACE_PARAMETER}
    for operations in result["paths"].values():
        for operation in operations.values():
            operation.setdefault("parameters", []).append({"$ref": "#/components/parameters/Workspace"})
    return result


WORKSPACE_PARAMETER = {
    "in": "header",
    "name": WORKSPACE_HEADER,
    "schema": {"type": "string", "format": "uuid"},
    "description": "Where a member of several workspaces acts; the first one joined unless told. A key needs none.",
}
