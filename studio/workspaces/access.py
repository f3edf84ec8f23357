"""Who asks, and what they may do. Every room's `access_*` function takes an `Actor` from here.

What an actor must not see is answered like what does not exist (`NotFound`), so that ids of other workspaces
cannot be probed; what it may see but not do is `Forbidden`.
"""

import uuid
from dataclasses import dataclass
from typing import TypeVar

from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404

from studio.accounts.models import User
from studio.workspaces.models import ApiKey, Membership, Role, Workspace, WorkspaceOwned


class NotFound(Http404):
    """It does not exist, or not for this actor."""


class Forbidden(PermissionDenied):
    """The actor's role is too low."""


@dataclass(frozen=True)
class Actor:
    """A member (user) or a machine (API key), acting in one workspace with one role."""

    workspace: Workspace
    role: Role
    user: User | None = None
    api_key: ApiKey | None = None

    @property
    def person(self) -> User | None:
        """The user, or who made the key: what a key makes is that person's too. None for one of the command line."""
        return self.user or (self.api_key.created_by if self.api_key else None)

    def may(self, role: str) -> bool:
        return self.role.rank >= Role(role).rank

    def require(self, role: str) -> None:
        """Raises Forbidden when the actor's role is below `role`."""
        if not self.may(role):
            raise Forbidden(f"This needs the role {Role(role).value}; yours is {self.role.value}.")


def member_actor(user: User, workspace_id: uuid.UUID | str | None = None) -> Actor:
    """The user in the asked-for workspace, or in the first one joined. Raises NotFound."""
    memberships = Membership.objects.filter(user=user, user__is_active=True).select_related("workspace")
    if workspace_id is not None:
        memberships = memberships.filter(workspace_id=parse_id(workspace_id))
    membership = memberships.first()
    if membership is None:
        raise NotFound("You are not a member of this workspace.")
    return Actor(workspace=membership.workspace, role=Role(membership.role), user=user)


def key_actor(key: ApiKey) -> Actor:
    """The machine that holds `key` (see `studio.workspaces.services.verify_api_key`).

    With at most the role that the key's maker has now: nobody keeps rights by a key that were taken from them. Keys of
    the command line have no maker. Raises NotFound when the maker has left.
    """
    roles = [Role(key.role)]
    if key.created_by_id is not None:
        maker = maker_of(key)
        if maker is None:
            raise NotFound("Who made this key is no longer a member of its workspace.")
        roles.append(Role(maker.role))
    return Actor(workspace=key.workspace, role=min(roles, key=lambda role: role.rank), api_key=key)


def as_now(actor: Actor) -> Actor:
    """The same actor with the role that it has now. Raises NotFound when it has left, or its key was revoked."""
    if actor.api_key is None:
        assert actor.user is not None, "a member or a key acts"
        return member_actor(actor.user, actor.workspace.pk)
    key = ApiKey.objects.select_related("workspace").filter(pk=actor.api_key.pk, revoked_at=None).first()
    if key is None:
        raise NotFound("This key has been revoked.")
    return key_actor(key)


def maker_of(key: ApiKey) -> Membership | None:
    """The membership of who made the key; None for a key of the command line, and when its maker is no member now."""
    if key.created_by_id is None:
        return None
    members = Membership.objects.filter(workspace_id=key.workspace_id, user__is_active=True)
    return members.filter(user_id=key.created_by_id).first()


Owned = TypeVar("Owned", bound=WorkspaceOwned)


def access_owned(actor: Actor, rows: "models.QuerySet[Owned]", id: uuid.UUID | str, *, role: str = "viewer") -> Owned:
    """The row of `rows` with this id in the actor's workspace. Raises NotFound, then Forbidden.

    What a room's `access_*` function is made of: `access_owned(actor, Asset.objects.all(), id, role="editor")`.
    """
    found = rows.filter(workspace=actor.workspace, pk=parse_id(id)).first()
    if found is None:
        raise NotFound(f"There is no {rows.model._meta.verbose_name} {id} in this workspace.")
    actor.require(role)
    return found


def access_membership(actor: Actor, id: uuid.UUID | str) -> Membership:
    """A member of the actor's workspace. Raises NotFound, then Forbidden: administrators, and none above themselves."""
    membership = access_owned(actor, Membership.objects.select_related("user", "workspace"), id, role=Role.ADMIN)
    actor.require(membership.role)
    return membership


def parse_id(value: uuid.UUID | str) -> uuid.UUID:
    """A UUID from a URL or header; what is none cannot exist. Raises NotFound."""
    if isinstance(value, uuid.UUID):
        return value
    try:
        return uuid.UUID(value)
    except (ValueError, AttributeError, TypeError):
        raise NotFound("There is nothing with this id.") from None
