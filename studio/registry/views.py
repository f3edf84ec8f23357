"""Endpoints of models."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from engine.bundles import Bundle
from studio.api.views import WorkspaceView
from studio.generations.settings import SETTINGS, form_of
from studio.registry.selectors import installed_models


class FormSerializer(serializers.Serializer[Any]):
    """What a form needs to ask for one kind of job."""

    title = serializers.CharField()
    schema = serializers.DictField(help_text="JSON Schema of the settings.")
    defaults = serializers.DictField()


class ModelSerializer(serializers.Serializer[Any]):
    """An installed model and what it can make."""

    id = serializers.CharField()
    name = serializers.CharField()
    version = serializers.CharField()
    digest = serializers.CharField()
    kinds = serializers.DictField(child=FormSerializer())


class ModelPageSerializer(serializers.Serializer[Any]):
    results = ModelSerializer(many=True)


class ModelListView(WorkspaceView):
    """The models of this studio."""

    @extend_schema(operation_id="models_list", responses=ModelPageSerializer)
    def get(self, request: Request) -> Response:
        """List installed models, with the form of each kind of job that they can run."""
        return Response({"results": [_present(bundle) for bundle in installed_models()]})


def _present(bundle: Bundle) -> dict[str, Any]:
    kinds = {kind: form_of(kind, bundle.capabilities.get(kind, {})) for kind in bundle.kinds if kind in SETTINGS}
    return {"id": bundle.name, **bundle.identity, "kinds": kinds}
