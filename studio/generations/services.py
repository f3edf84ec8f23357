"""Asking for a generation."""

from typing import Any
from uuid import UUID

from django.db import transaction
from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from studio.assets.masks import has_mask, mask_id
from studio.assets.models import Asset, AssetKind
from studio.assets.services import lock_for_job
from studio.generations.capabilities import filled_settings, require_possible
from studio.generations.settings import SETTINGS, ImageToVideoSettings
from studio.jobs.errors import UnknownKind
from studio.jobs.models import Job
from studio.jobs.services import asked_before, create_job
from studio.registry.selectors import default_model
from studio.workspaces.access import Actor


class AssetMissing(ValueError):
    """There is no such photo in the workspace, or not any more, or it is another workspace's: which, is not said."""


@transaction.atomic
def create_generation(
    actor: Actor, kind: str, settings: dict[str, Any], *, metadata: dict[str, Any], idempotency: str | None
) -> Job:
    """A queued job, pinned to the model that is installed now and to the mask that the photo has now.

    A request that is sent again gets its job, also where the photo was deleted or the model replaced since.
    Raises Forbidden, UnknownKind, pydantic.ValidationError, AssetMissing and IdempotencyConflict.
    """
    actor.require("editor")
    first = asked_before(actor.workspace, kind, settings, metadata, idempotency) if idempotency else None
    if first is not None:
        return first
    model = default_model()
    if kind not in SETTINGS or kind not in model.kinds:
        known = ", ".join(name for name in model.kinds if name in SETTINGS)
        raise UnknownKind(f"This studio makes no {kind!r}. It makes: {known}.")
    valid = checked_settings(kind, settings, model.capabilities.get(kind, {}))
    mask = _mask_of(_require_photo(actor, valid.asset_id), valid.mask)
    return create_job(
        actor.workspace,
        kind,
        valid.model_dump(mode="json"),
        created_by=actor.user,
        metadata=metadata,
        model=model.identity,
        pinned={"mask": mask},
        idempotency=idempotency,
        sent=settings,
    )


def checked_settings(kind: str, settings: dict[str, Any], can: dict[str, Any]) -> ImageToVideoSettings:
    """The whole settings of a job that a bundle with the capabilities `can` makes. Raises pydantic.ValidationError."""
    valid = SETTINGS[kind].model_validate(filled_settings(SETTINGS[kind], can, settings))
    require_possible(valid, can)
    return valid


def _require_photo(actor: Actor, asset_id: UUID) -> Asset:
    asset = lock_for_job(actor.workspace.id, asset_id)
    if asset is None or asset.kind != AssetKind.IMAGE:
        raise AssetMissing("There is no photo with this id in your workspace. Upload it first.")
    return asset


def _mask_of(asset: Asset, asked: str | None) -> str:
    if asked is not None and not has_mask(asset, asked):
        missing = PydanticCustomError("not_found", "The photo has no such mask any more. Leave this out to use its own")
        raise ValidationError.from_exception_data("mask", [InitErrorDetails(type=missing, loc=("mask",), input=asked)])
    return asked or mask_id(asset)
