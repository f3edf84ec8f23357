"""Who asks: a browser with its session and CSRF token, or a machine with an API key."""

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, PermissionDenied
from rest_framework.request import Request

from studio.accounts.models import User
from studio.api.problems import Problem
from studio.workspaces.access import Actor, key_actor, member_actor
from studio.workspaces.models import ApiKey
from studio.workspaces.services import verify_api_key

WORKSPACE_HEADER = "X-Workspace"
INVALID_KEY = (
    "invalid_key",
    "This API key is unknown or revoked, or who made it has left the workspace. Make a new one in the studio.",
)


def bearer_of(authorization: str) -> str | None:
    """The key in an Authorization header; None when there is none of that scheme."""
    scheme, _, text = authorization.partition(" ")
    return text.strip() if scheme.lower() == "bearer" else None


class KeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer aq_...`. A key that is wrong is refused, never passed over."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, ApiKey] | None:
        text = bearer_of(request.headers.get("Authorization", ""))
        if text is None:
            return None
        key = verify_api_key(text)
        if key is None:
            code, sentence = INVALID_KEY
            raise AuthenticationFailed(sentence, code)
        return AnonymousUser(), key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class BrowserAuthentication(SessionAuthentication):
    """Django's session cookie; writes carry the CSRF token in X-CSRFToken."""

    def authenticate_header(self, request: Request) -> str:
        return "Session"  # without a challenge REST framework would answer 403 to who is not signed in

    def enforce_csrf(self, request: Request) -> None:
        try:
            super().enforce_csrf(request)
        except PermissionDenied as error:
            sentence = "The CSRF token is missing or old. Reload the page and try again."
            raise Problem(403, "csrf_failed", sentence) from error


def actor_of(request: Request) -> Actor:
    """The member or key that asks, in its workspace. Raises NotAuthenticated, or NotFound for a workspace of others."""
    asked = request.headers.get(WORKSPACE_HEADER)
    if isinstance(request.auth, ApiKey):
        return _key_actor(request.auth, asked)
    if not isinstance(request.user, User):
        raise NotAuthenticated()
    return member_actor(request.user, asked)


def _key_actor(key: ApiKey, asked: str | None) -> Actor:
    if asked is not None and asked != str(key.workspace_id):
        raise Problem(404, "not_found", f"This key belongs to another workspace. Leave {WORKSPACE_HEADER} out.")
    return key_actor(key)
