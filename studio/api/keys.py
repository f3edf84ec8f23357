"""Endpoints of API keys, for administrators."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from studio.api.forms import JsonForm
from studio.api.pagination import PAGE_PARAMETERS, page_of
from studio.api.problems import FieldError, invalid
from studio.api.sessions import UserSerializer
from studio.api.views import WorkspaceView
from studio.workspaces.access import access_owned
from studio.workspaces.models import ApiKey, Role
from studio.workspaces.services import create_api_key, revoke_api_key


class KeySerializer(serializers.Serializer[Any]):
    """A machine's key. Its secret is never shown again after it was made."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    role = serializers.ChoiceField(choices=Role.values)
    prefix = serializers.CharField(help_text="The start of the key, to recognise it by.")
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)
    created_by = UserSerializer(
        allow_null=True, help_text="Who made it: it may do no more than they may now. Null for one of the command line."
    )


class NewKeySerializer(JsonForm):
    name = serializers.CharField(max_length=200)
    role = serializers.ChoiceField(choices=Role.values, default=Role.EDITOR.value)


class MadeKeySerializer(KeySerializer):
    key = serializers.CharField(help_text="The whole key. Keep it now: it is shown this once.")


class KeyPageSerializer(serializers.Serializer[Any]):
    results = KeySerializer(many=True)
    next = serializers.CharField(allow_null=True)


class KeyListView(WorkspaceView):
    """API keys of the workspace."""

    role = "admin"

    @extend_schema(operation_id="api_keys_list", parameters=PAGE_PARAMETERS, responses=KeyPageSerializer)
    def get(self, request: Request) -> Response:
        """List API keys, newest first, revoked ones too."""
        keys = ApiKey.objects.filter(workspace=self.actor.workspace).select_related("created_by")
        rows, following = page_of(keys, request)
        return Response({"results": KeySerializer(rows, many=True).data, "next": following})

    @extend_schema(operation_id="api_keys_create", request=NewKeySerializer, responses={201: MadeKeySerializer})
    def post(self, request: Request) -> Response:
        """Make an API key with a role of at most your own."""
        form = NewKeySerializer(data=request.data)
        form.is_valid(raise_exception=True)
        role = Role(form.validated_data["role"])
        if not self.actor.may(role.value):
            raise invalid(
                [FieldError("role", "too_high", f"Your own role is {self.actor.role.value}: choose up to it.")]
            )
        maker = self.actor.person
        key, text = create_api_key(self.actor.workspace, form.validated_data["name"], role=role, created_by=maker)
        return Response({**KeySerializer(key).data, "key": text}, status=201)


class KeyView(WorkspaceView):
    """One API key."""

    role = "admin"

    @extend_schema(operation_id="api_keys_revoke", responses={204: None})
    def delete(self, request: Request, key_id: UUID) -> Response:
        """Revoke an API key, at once and for ever."""
        revoke_api_key(access_owned(self.actor, ApiKey.objects.all(), key_id, role="admin"))
        return Response(status=204)
