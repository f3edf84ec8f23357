"""Reading workspaces."""

from studio.accounts.models import User
from studio.workspaces.models import Membership, Workspace


def memberships_of(user: User) -> list[Membership]:
    """In the order in which they were joined: the first is the default workspace."""
    return list(Membership.objects.filter(user=user).select_related("workspace"))


def find_workspace(id_or_slug: str) -> Workspace | None:
    """For the command line, where whoever runs it owns the database. Requests use `access` instead."""
    by_slug = Workspace.objects.filter(slug=id_or_slug).first()
    if by_slug is not None or not _is_uuid(id_or_slug):
        return by_slug
    return Workspace.objects.filter(pk=id_or_slug).first()


def _is_uuid(text: str) -> bool:
    return len(text.replace("-", "")) == 32 and all(c in "0123456789abcdef-" for c in text.lower())
