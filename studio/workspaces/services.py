"""Making workspaces, members and API keys."""

import hashlib
import hmac
import secrets
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.text import slugify

from studio.accounts.models import User
from studio.workspaces.access import Actor, access_membership, as_now, maker_of
from studio.workspaces.models import ApiKey, Membership, Role, Workspace

KEY_MARK = "aq"
LAST_USED_EVERY = timedelta(minutes=1)  # `last_used_at` is not worth a write for each request


@transaction.atomic
def create_workspace(name: str, slug: str, *, owner: User) -> Workspace:
    workspace = Workspace.objects.create(name=name, slug=slug)
    Membership.objects.create(workspace=workspace, user=owner, role=Role.OWNER)
    return workspace


def free_slug(name: str) -> str:
    """A slug for a workspace of this name that no other has."""
    base = slugify(name)[:50] or "workspace"
    taken = set(Workspace.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    numbered = (f"{base}-{number}" for number in range(2, len(taken) + 3))
    return next(slug for slug in (base, *numbered) if slug not in taken)


class AlreadyMember(ValueError):
    """A user is in a workspace once, with one role."""


class LastOwner(ValueError):
    """A workspace always has somebody who may do everything in it."""


def add_member(workspace: Workspace, user: User, role: Role) -> Membership:
    """Raises AlreadyMember."""
    membership, made = Membership.objects.get_or_create(workspace=workspace, user=user, defaults={"role": role})
    if not made:
        raise AlreadyMember(f"{user.email} already belongs to {workspace.name}, as {membership.role}.")
    return membership


@transaction.atomic
def change_role(actor: Actor, membership: Membership, role: Role) -> Membership:
    """Raises NotFound, Forbidden and LastOwner, of what holds once nobody else changes the workspace's members."""
    actor = _alone(actor)
    membership = access_membership(actor, membership.pk)
    actor.require(role)
    if role != Role.OWNER:
        _require_another_owner(membership)
    membership.role = role
    membership.save(update_fields=["role"])
    return membership


@transaction.atomic
def remove_member(actor: Actor, membership: Membership) -> None:
    """The account stays, and so does what it made. Raises as `change_role`."""
    membership = access_membership(_alone(actor), membership.pk)
    _require_another_owner(membership)
    membership.delete()


def _alone(actor: Actor) -> Actor:
    """Who asks, as it stands now, with a lock on the workspace: two owners cannot remove each other at once.

    Who waited for it may have been removed meanwhile, or made less, and so may the member that is asked about.
    """
    Workspace.objects.select_for_update().get(pk=actor.workspace.pk)
    return as_now(actor)


def _require_another_owner(membership: Membership) -> None:
    owners = Membership.objects.filter(
        workspace_id=membership.workspace_id, role=Role.OWNER.value, user__is_active=True
    )
    if membership.role == Role.OWNER and not owners.exclude(pk=membership.pk).exists():
        raise LastOwner("This is the workspace's only owner. Make somebody else an owner first.")


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
    """The valid key behind `aq_<prefix>_<secret>`.

    None when it is malformed, unknown, wrong or revoked, or when who made it has left the workspace.
    """
    mark, _, rest = text.partition("_")
    prefix, _, secret = rest.partition("_")
    if mark != KEY_MARK or not secret or len(text) > 200:
        return None
    key = ApiKey.objects.select_related("workspace").filter(prefix=prefix, revoked_at=None).first()
    if key is None or not hmac.compare_digest(key.hash, _hash(secret)):
        return None
    if key.created_by_id is not None and maker_of(key) is None:
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
