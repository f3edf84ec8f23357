"""Endpoints of the browser's session: sign in with a password, sign out, who am I; and tickets for the feed."""

from typing import Any

from django.conf import settings
from django.contrib.auth import authenticate, login, logout
from django.middleware.csrf import get_token
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from studio.accounts.models import User
from studio.api.authentication import BrowserAuthentication, actor_of
from studio.api.forms import JsonForm
from studio.api.guesses import count_guess, forgive
from studio.api.problems import Problem
from studio.api.views import WorkspaceView
from studio.jobs.identity import TICKET_SECONDS, issue_ticket
from studio.workspaces.models import Role
from studio.workspaces.selectors import memberships_of


class UserSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    email = serializers.EmailField()
    name = serializers.CharField()


class SessionWorkspaceSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    role = serializers.ChoiceField(choices=Role.values)


class SessionSerializer(serializers.Serializer[Any]):
    """Who is signed in, and where."""

    user = UserSerializer()
    workspaces = SessionWorkspaceSerializer(many=True)
    workspace = serializers.UUIDField(allow_null=True, help_text="The one that this request acts in.")
    upload_bytes = serializers.IntegerField(help_text="How large a photo may be, in bytes.")


class SignInSerializer(JsonForm):
    email = serializers.EmailField(max_length=254)
    password = serializers.CharField(max_length=1024, trim_whitespace=False)


class SessionView(APIView):
    """The session of a browser."""

    authentication_classes = [BrowserAuthentication]

    @extend_schema(operation_id="session_read", responses={200: SessionSerializer})
    def get(self, request: Request) -> Response:
        """Read who is signed in. Sets the CSRF cookie, also for who is not."""
        get_token(request._request)
        if not isinstance(request.user, User):
            raise NotAuthenticated()
        return Response(_session(request, request.user))

    @extend_schema(
        operation_id="session_sign_in", request=SignInSerializer, responses={200: SessionSerializer}, auth=[]
    )
    def post(self, request: Request) -> Response:
        """Sign in with e-mail address and password."""
        BrowserAuthentication().enforce_csrf(request)
        form = SignInSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        user = _sign_in(request, form.validated_data["email"].lower(), form.validated_data["password"])
        login(request._request, user)
        return Response(_session(request, user))

    @extend_schema(operation_id="session_sign_out", responses={204: None})
    def delete(self, request: Request) -> Response:
        """Sign out."""
        logout(request._request)
        return Response(status=204)


class TicketSerializer(serializers.Serializer[Any]):
    """A pass for `/ws/v1/feed?ticket=`."""

    ticket = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds. A ticket opens one connection.")


class TicketsView(WorkspaceView):
    """Tickets for the WebSocket feed, for clients without a session cookie."""

    @extend_schema(operation_id="tickets_create", request=None, responses={201: TicketSerializer})
    def post(self, request: Request) -> Response:
        """Make a ticket that opens one feed connection with the rights of who asks."""
        return Response({"ticket": issue_ticket(self.actor), "expires_in": TICKET_SECONDS}, status=201)


def _session(request: Request, user: User) -> dict[str, Any]:
    memberships = memberships_of(user)
    chosen = actor_of(request).workspace.id if memberships and request.user == user else None
    return {
        "user": {"id": str(user.id), "email": user.email, "name": user.name},
        "workspaces": [
            {"id": str(member.workspace_id), "name": member.workspace.name, "role": member.role}
            for member in memberships
        ],
        "workspace": str(chosen or memberships[0].workspace_id) if memberships else None,
        "upload_bytes": settings.AQ_MAX_UPLOAD_BYTES,
    }


def _sign_in(request: Request, email: str, password: str) -> User:
    """The user with this password. After too many failures nobody gets in for a while, not even with the right one."""
    guess = count_guess(email, request.META.get("REMOTE_ADDR", ""))
    user = authenticate(request._request, username=email, password=password)
    if not isinstance(user, User):
        raise Problem(401, "wrong_credentials", "This address and password do not belong together. Try again.")
    forgive(guess)
    return user
