"""The product mask of a photo: found by a job after upload, taken from its transparency, or painted with a brush.

The state is read from the row and its job, so there is nothing that could disagree with them.
"""

from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import transaction
from pydantic import BaseModel, ConfigDict

from studio.assets import files
from studio.assets.models import Asset, MaskSource
from studio.jobs.engine_client import MaskOutput
from studio.jobs.kinds import JobKind
from studio.jobs.models import TERMINAL, Job
from studio.jobs.services import cancel_job, create_job
from studio.media import path_of

KIND = "product_mask"


class MaskState(StrEnum):
    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"
    NONE = "none"


class ProductMaskSettings(BaseModel):
    """The photo whose product is to be found."""

    model_config = ConfigDict(extra="forbid")

    asset_id: UUID


def mask_state(asset: Asset) -> MaskState:
    """Whether the photo's mask can be used now."""
    if asset.mask_file:
        return MaskState.READY
    if asset.mask_source == MaskSource.NONE:
        return MaskState.NONE
    job = asset.mask_job
    return MaskState.FAILED if job is None or job.state in TERMINAL else MaskState.PENDING


def mask_error(asset: Asset) -> str | None:
    """Why there is no mask, as a sentence; None unless the state is failed."""
    if mask_state(asset) != MaskState.FAILED:
        return None
    error = asset.mask_job.error if asset.mask_job else None
    return error["message"] if error else "The mask was not made. Paint it with the brush, or reset it to try again."


def queue_mask(asset: Asset) -> None:
    """Start the search for the product, in the transaction that writes the asset; save the asset after it."""
    asset.mask_source = MaskSource.AUTO
    asset.mask_file = ""
    asset.mask_job = create_job(asset.workspace, KIND, {"asset_id": str(asset.id)}, created_by=asset.created_by)


def drop_mask_job(asset: Asset) -> None:
    """The mask comes from elsewhere now: stop a search that still runs, and listen to it no more.

    The job is canceled after the commit, because a worker that finishes locks the job first and the asset second.
    """
    job = asset.mask_job
    if job is not None:
        transaction.on_commit(lambda: _cancel(job))
        asset.mask_job = None


def _cancel(job: Job) -> None:
    cancel_job(job)


def _prepare(job: Job) -> dict[str, Any]:
    asset = Asset.objects.filter(workspace_id=job.workspace_id, pk=job.settings["asset_id"]).first()
    if asset is None:
        raise ValueError("The photo was deleted before its mask was made.")
    return {"photo": path_of(asset.file)}


def _finish(job: Job, output: MaskOutput, fence: int) -> dict[str, Any]:
    """Give the mask to its photo, unless a brush or a newer search has replaced this one meanwhile."""
    asset = Asset.objects.select_for_update(of=("self",)).filter(workspace_id=job.workspace_id, mask_job=job).first()
    if asset is None:
        return {"asset_id": job.settings["asset_id"], "used": False}
    asset.mask_file = files.publish(output.path, asset.workspace_id, asset.id, files.fresh_name("mask", ".png"))
    asset.save(update_fields=["mask_file"])
    return {"asset_id": job.settings["asset_id"], "used": True}


PRODUCT_MASK = JobKind(
    name=KIND,
    queue="media",
    settings_model=ProductMaskSettings,
    prepare=_prepare,
    finish=_finish,
)
