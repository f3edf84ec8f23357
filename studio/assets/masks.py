"""The product mask of a photo: found by a job after upload, taken from its transparency, or painted with a brush.

The state is read from the row and its job, so there is nothing that could disagree with them.
"""

from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

from django.db import transaction
from pydantic import BaseModel, ConfigDict

from studio.assets import files
from studio.assets.models import Asset, MaskSource
from studio.jobs.engine_client import MaskOutput
from studio.jobs.errors import Refused
from studio.jobs.kinds import JobKind
from studio.jobs.models import TERMINAL, Job
from studio.jobs.services import cancel_job, create_job
from studio.media import file_name, path_of

KIND = "product_mask"
AUTO = "auto"
ALPHA_MASK = "mask-alpha.png"  # of the photo's own transparency: stays for a reset


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


# A mask's file never changes, so its name tells it from every other mask of the photo: a job keeps it in its settings.


def mask_id(asset: Asset) -> str:
    """The mask that the photo has now; AUTO while it has none, and the product is to be found."""
    return PurePosixPath(asset.mask_file).stem if asset.mask_file else AUTO


def mask_file(asset: Asset, mask_id: str) -> str | None:
    """The stored name of one of the photo's masks; None for AUTO."""
    return None if mask_id == AUTO else file_name(asset.workspace_id, asset.id, f"{mask_id}.png")


def has_mask(asset: Asset, asked: str) -> bool:
    """Whether the photo has this mask, now or still for a job that was made with it. Its row is locked by the caller.

    The rows say so, not the disk: the file of a mask that was replaced goes only after that is committed.
    """
    own = {AUTO, mask_id(asset)} | ({PurePosixPath(ALPHA_MASK).stem} if asset.has_alpha else set())
    return asked in own or is_kept(asset, asked)


def is_kept(asset: Asset, mask_id: str) -> bool:
    """Whether a job was made with this mask, so that it can be made again."""
    jobs = Job.objects.filter(workspace_id=asset.workspace_id, settings__asset_id=str(asset.id))
    return jobs.filter(settings__mask=mask_id).exists()


def remove_unnamed(asset_ids: set[UUID]) -> None:
    """Remove the photos' masks that neither the photo nor a job names: who replaced one was killed before it went.

    Each photo is locked, as by all who give it a mask or make a job with one.
    """
    for asset in Asset.objects.filter(pk__in=asset_ids):
        if _unnamed(asset):
            _remove_unnamed(asset)


@transaction.atomic
def _remove_unnamed(asset: Asset) -> None:
    locked = Asset.objects.select_for_update(of=("self",)).filter(pk=asset.pk).first()
    for mask in _unnamed(locked) if locked else ():
        if not is_kept(asset, mask.stem):
            mask.unlink(missing_ok=True)


def _unnamed(asset: Asset) -> list[Path]:
    """The mask files of a photo that are not its own now."""
    own = {ALPHA_MASK, PurePosixPath(asset.mask_file).name}
    masks = files.asset_folder(asset.workspace_id, asset.id).glob("mask-*.png")
    return [mask for mask in masks if mask.name not in own]


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
        raise Refused("The photo was deleted before its mask was made.")
    return {"photo": path_of(asset.file)}


def _finish(job: Job, output: MaskOutput, fence: int) -> dict[str, Any]:
    """Give the mask to its photo, unless a brush or a newer search has replaced this one meanwhile."""
    asset = Asset.objects.select_for_update(of=("self",)).filter(workspace_id=job.workspace_id, mask_job=job).first()
    if asset is None:
        return {"asset_id": job.settings["asset_id"], "used": False}
    asset.mask_file = files.publish(output.path, asset.workspace_id, asset.id, _file_of(job, fence))
    asset.save(update_fields=["mask_file"])
    return {"asset_id": job.settings["asset_id"], "used": True}


def _discard(job: Job, fence: int) -> None:
    files.remove(file_name(job.workspace_id, UUID(job.settings["asset_id"]), _file_of(job, fence)))


def _file_of(job: Job, fence: int) -> str:
    """Its own for each attempt, and the same when the end of one has to be written again."""
    return f"mask-{job.id.hex[-12:]}-{fence}.png"


PRODUCT_MASK = JobKind(
    name=KIND,
    queue="media",
    settings_model=ProductMaskSettings,
    prepare=_prepare,
    finish=_finish,
    discard=_discard,
)
