"""The only way to an asset."""

from uuid import UUID

from studio.assets.models import Asset
from studio.workspaces.access import Actor, access_owned


def access_asset(actor: Actor, id: UUID | str, *, role: str = "viewer") -> Asset:
    """The asset with this id in the actor's workspace. Raises NotFound, then Forbidden."""
    return access_owned(actor, Asset.objects.select_related("mask_job"), id, role=role)
