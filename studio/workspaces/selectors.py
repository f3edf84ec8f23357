"""Reading workspaces."""

from studio.accounts.models import User
from studio.workspaces.models import Membership, Workspace


def memberships_of(user: User) -> list[Membership]:
    """In the order in which they were joined: the first is the default workspace."""
    return list(Membership.objects.filter(user=user).select_related("workspace"))


def find_workspace(asked: str) -> Workspace | None:
    """By id, slug, or name where only one has it.

    For the command line, where whoever runs it owns the database. Requests use `access` instead.
    """
    by_slug = Workspace.objects.filter(slug=asked).first()
    if by_slug is not None:
        return by_slug
    if _is_uuid(asked):
        return Workspace.objects.filter(pk=asked).first()
    by_name = list(Workspace.objects.filter(name=asked)[:2])
    return by_name[0] if len(by_name) == 1 else None


def _is_uuid(text: str) -> bool:
    return len(text.replace("-", "")) == 32 and all(c in "0123456789abcdef-" for c in text.lower())
