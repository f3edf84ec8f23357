"""Asking for a generation."""

from typing import Any
from uuid import UUID

from django.db import transaction

from studio.assets.models import AssetKind
from studio.assets.services import lock_for_job
from studio.generations.settings import SETTINGS
from studio.jobs.errors import UnknownKind
from studio.jobs.models import Job
from studio.jobs.services import create_job
from studio.registry.selectors import default_model
from studio.workspaces.access import Actor


class AssetMissing(ValueError):
    """There is no such photo in the workspace, or not any more, or it is another workspace's: which, is not said."""


@transaction.atomic
def create_generation(
    actor: Actor, kind: str, settings: dict[str, Any], *, metadata: dict[str, Any], idempotency: str | None
) -> Job:
    """A queued job, pinned to the model that is installed now.

    Raises Forbidden, UnknownKind, pydantic.ValidationError, AssetMissing and IdempotencyConflict.
    """
    actor.require("editor")
    model = default_model()
    if kind not in SETTINGS or kind not in model.kinds:
        known = ", ".join(name for name in model.kinds if name in SETTINGS)
        raise UnknownKind(f"This studio makes no {kind!r}. It makes: {known}.")
    valid = SETTINGS[kind].model_validate(settings)
    if idempotency is None or not _was_used(actor, idempotency):
        _require_photo(actor, valid.model_dump()["asset_id"])
    return create_job(
        actor.workspace,
        kind,
        valid.model_dump(mode="json"),
        created_by=actor.user,
        metadata=metadata,
        model=model.identity,
        idempotency=idempotency,
    )


def _was_used(actor: Actor, idempotency: str) -> bool:
    """A request that is sent again gets its job even where the photo has been deleted since."""
    return Job.objects.filter(workspace=actor.workspace, idempotency_key=idempotency).exists()


def _require_photo(actor: Actor, asset_id: UUID) -> None:
    asset = lock_for_job(actor.workspace.id, asset_id)
    if asset is None or asset.kind != AssetKind.IMAGE:
        raise AssetMissing("There is no photo with this id in your workspace. Upload it first.")
