"""Reading assets."""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import QuerySet

from studio.assets.models import Asset
from studio.workspaces.access import Actor


def list_assets(actor: Actor, *, kind: str | None = None) -> QuerySet[Asset]:
    """The assets of the actor's workspace, of one kind or of all, with what their presentation needs."""
    rows = Asset.objects.filter(workspace=actor.workspace).select_related("mask_job")
    return rows if kind is None else rows.filter(kind=kind)


def assets_by_id(workspace_id: UUID, ids: Iterable[str]) -> dict[str, Asset]:
    """Those of the named assets that are still there and belong to the workspace, in one query."""
    rows = Asset.objects.filter(workspace_id=workspace_id, pk__in=set(ids)).select_related("mask_job")
    return {str(asset.id): asset for asset in rows}


def existing(ids: set[UUID]) -> set[UUID]:
    """Those of the ids that are assets, of whichever workspace: the sweeper asks whose files are still needed."""
    return set(Asset.objects.filter(pk__in=ids).values_list("pk", flat=True))
