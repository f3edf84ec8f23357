"""Endpoints of a workspace's members, for its administrators."""

from typing import Any
from uuid import UUID

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from studio.accounts.services import create_sign_in_link, find_or_create_user
from studio.api.forms import JsonForm
from studio.api.pagination import PAGE_PARAMETERS, page_of
from studio.api.problems import FieldError, Problem, invalid
from studio.api.sessions import UserSerializer
from studio.api.views import WorkspaceView
from studio.workspaces import services
from studio.workspaces.access import Actor, access_membership
from studio.workspaces.models import Membership, Role

INVITED_ELSEWHERE = (
    "This account was made by an invitation to another workspace, and whoever sent that may hold a way into it. "
    "Ask who runs the studio to add this person, by `manage.py create_user`: that ends any such way."
)


class MemberSerializer(serializers.Serializer[Any]):
    """A person in the workspace."""

    id = serializers.UUIDField(help_text="Of the membership, not of the user.")
    user = UserSerializer()
    role = serializers.ChoiceField(choices=Role.values)
    created_at = serializers.DateTimeField()


class NewMemberSerializer(JsonForm):
    email = serializers.EmailField(max_length=254)
    name = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)
    role = serializers.ChoiceField(choices=Role.values, default=Role.EDITOR.value)


class AddedMemberSerializer(MemberSerializer):
    sign_in_url = serializers.CharField(
        allow_null=True,
        help_text="Signs the new person in once; shown this once. Null for who had an account already.",
    )


class MemberChangeSerializer(JsonForm):
    role = serializers.ChoiceField(choices=Role.values, required=False)


class MemberPageSerializer(serializers.Serializer[Any]):
    results = MemberSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class MemberListView(WorkspaceView):
    """Members of the workspace."""

    role = "admin"

    @extend_schema(operation_id="members_list", parameters=PAGE_PARAMETERS, responses=MemberPageSerializer)
    def get(self, request: Request) -> Response:
        """List members, newest first."""
        members = Membership.objects.filter(workspace=self.actor.workspace).select_related("user")
        rows, following = page_of(members, request)
        return Response({"results": MemberSerializer(rows, many=True).data, "next": following})

    @extend_schema(operation_id="members_add", request=NewMemberSerializer, responses={201: AddedMemberSerializer})
    def post(self, request: Request) -> Response:
        """Add a person with a role of at most your own. Who has no account yet gets one, and a sign-in link."""
        form = NewMemberSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        asked = form.validated_data
        role = _role(self.actor, asked["role"])
        member, token = _add(self.actor, asked["email"], asked["name"], role)
        link = request.build_absolute_uri(f"/sign-in/{token}") if token else None
        return Response({**MemberSerializer(member).data, "sign_in_url": link}, status=201)


class MemberView(WorkspaceView):
    """One member."""

    role = "admin"

    @extend_schema(operation_id="members_change", request=MemberChangeSerializer, responses={200: MemberSerializer})
    def patch(self, request: Request, member_id: UUID) -> Response:
        """Change a member's role. Refused for the last owner."""
        member = access_membership(self.actor, member_id)
        form = MemberChangeSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        if "role" in form.validated_data:
            role = _role(self.actor, form.validated_data["role"])
            try:
                member = services.change_role(self.actor, member, role)
            except services.LastOwner as error:
                raise _last_owner(error) from error
        return Response(MemberSerializer(member).data)

    @extend_schema(operation_id="members_remove", responses={204: None})
    def delete(self, request: Request, member_id: UUID) -> Response:
        """Take a member out of the workspace, at once. Refused for the last owner."""
        try:
            services.remove_member(self.actor, access_membership(self.actor, member_id))
        except services.LastOwner as error:
            raise _last_owner(error) from error
        return Response(status=204)


@transaction.atomic
def _add(actor: Actor, email: str, name: str, role: Role) -> tuple[Membership, str | None]:
    """The membership, and for a new account the token of a sign-in link.

    Never for one that existed: its owner may belong to other workspaces, which are not the inviter's to enter. For the
    same reason no account is added that somebody else's invitation made: whoever invited first may be signed in by it.
    """
    here = actor.workspace.id
    user, made = find_or_create_user(email, name=name, invited_to=here)
    if user.invited_to not in (None, here):
        raise Problem(409, "invited_elsewhere", INVITED_ELSEWHERE)
    try:
        member = services.add_member(actor.workspace, user, role)
    except services.AlreadyMember as error:
        raise Problem(409, "already_member", str(error)) from error
    return member, create_sign_in_link(user) if made else None


def _role(actor: Actor, asked: str) -> Role:
    if not actor.may(asked):
        raise invalid([FieldError("role", "too_high", f"Your own role is {actor.role.value}: choose up to it.")])
    return Role(asked)


def _last_owner(error: services.LastOwner) -> Problem:
    return Problem(409, "last_owner", str(error))
