"""Making workspaces, members and API keys."""

import hashlib
import hmac
import secrets
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from studio.accounts.models import User
from studio.workspaces.models import ApiKey, Membership, Role, Workspace

KEY_MARK = "aq"
LAST_USED_EVERY = timedelta(minutes=1)  # `last_used_at` is not worth a write for each request


@transaction.atomic
def create_workspace(name: str, slug: str, *, owner: User) -> Workspace:
    workspace = Workspace.objects.create(name=name, slug=slug)
    Membership.objects.create(workspace=workspace, user=owner, role=Role.OWNER)
    return workspace


def create_api_key(
    workspace: Workspace, name: str, *, role: Role = Role.EDITOR, created_by: User | None = None
) -> tuple[ApiKey, str]:
    """The key's row and its text, which is shown this once and cannot be read again."""
    prefix, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        workspace=workspace, name=name, role=role, prefix=prefix, hash=_hash(secret), created_by=created_by
    )
    return key, f"{KEY_MARK}_{prefix}_{secret}"


def verify_api_key(text: str) -> ApiKey | None:
    """The valid key behind `aq_<prefix>_<secret>`, or None when it is malformed, unknown, wrong or revoked."""
    mark, _, rest = text.partition("_")
    prefix, _, secret = rest.partition("_")
    if mark != KEY_MARK or not secret or len(text) > 200:
        return None
    key = ApiKey.objects.select_related("workspace").filter(prefix=prefix, revoked_at=None).first()
    if key is None or not hmac.compare_digest(key.hash, _hash(secret)):
        return None
    now = timezone.now()
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - LAST_USED_EVERY)
    ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)
    return key


def revoke_api_key(key: ApiKey) -> None:
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())


def _hash(secret: str) -> str:
    # 256 random bits: a plain hash is as strong as a slow one, and every request pays for it.
    return hashlib.sha256(secret.encode()).hexdigest()
