"""Changes to assets: upload, mask, delete, and the video that a job has made."""

import re
import unicodedata
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

from django.db import transaction

from studio.assets import files
from studio.assets.masks import ALPHA_MASK, drop_mask_job, is_kept, mask_id, queue_mask
from studio.assets.masks import KIND as MASK_KIND
from studio.assets.models import Asset, AssetKind, MaskSource
from studio.assets.photos import store_painted_mask, store_photo
from studio.brands.models import Product
from studio.ids import new_id
from studio.jobs.models import Job, State
from studio.workspaces.access import Actor, NotFound

LONGEST_NAME = 120


class AssetInUse(ValueError):
    """A job that has not ended needs the asset."""


def add_photo(actor: Actor, upload: Path, name: str, product: Product | None = None) -> Asset:
    """Store an uploaded photo and start the search for its product. Raises MediaError for what is no usable photo."""
    asset_id = new_id()
    stored = store_photo(upload, actor.workspace.id, asset_id)
    with transaction.atomic():
        try:
            return _write_photo(actor, asset_id, stored.__dict__, clean_name(name), product)
        except BaseException:
            # Nothing is committed yet. Where the commit itself fails nobody knows: the sweeper sees what is left.
            files.remove_asset_folder(actor.workspace.id, asset_id)
            raise


def _write_photo(actor: Actor, asset_id: UUID, stored: dict[str, Any], name: str, product: Product | None) -> Asset:
    alpha_mask = stored.pop("alpha_mask")
    asset = Asset(
        id=asset_id,
        workspace=actor.workspace,
        kind=AssetKind.IMAGE,
        name=name,
        product=product,
        created_by=actor.user,
        has_alpha=alpha_mask is not None,
        **stored,
    )
    _use_own_mask(asset, alpha_mask)
    asset.save(force_insert=True)
    return asset


@transaction.atomic
def paint_mask(asset: Asset, upload: Path) -> Asset:
    """Replace the photo's mask by a painted one. Raises MediaError."""
    asset = _locked(asset)
    mask = store_painted_mask(upload, asset.workspace_id, asset.id, asset.width, asset.height)
    _drop_mask_file(asset)
    drop_mask_job(asset)
    asset.mask_source, asset.mask_file = MaskSource.BRUSH, mask
    asset.save(update_fields=["mask_source", "mask_file", "mask_job"])
    return asset


@transaction.atomic
def reset_mask(asset: Asset) -> Asset:
    """Forget the painted mask: the photo's transparency counts again, or its product is searched anew."""
    asset = _locked(asset)
    _drop_mask_file(asset)
    drop_mask_job(asset)
    _use_own_mask(asset, f"{PurePosixPath(asset.file).parent}/{ALPHA_MASK}" if asset.has_alpha else None)
    asset.save(update_fields=["mask_source", "mask_file", "mask_job"])
    return asset


@transaction.atomic
def delete_asset(asset: Asset) -> None:
    """Delete an asset and its files. Raises AssetInUse while a job that has not ended needs it."""
    asset = _locked(asset)
    if jobs_using(asset):
        raise AssetInUse("A job that has not ended needs this asset. Cancel the job first, or wait for it.")
    drop_mask_job(asset)
    workspace_id, asset_id = asset.workspace_id, asset.id
    asset.delete()
    transaction.on_commit(lambda: files.remove_asset_folder(workspace_id, asset_id))


def jobs_using(asset: Asset) -> bool:
    """Whether a job that waits or runs was given this asset. Its own mask search does not count."""
    jobs = Job.objects.filter(workspace_id=asset.workspace_id, state__in=(State.QUEUED, State.RUNNING))
    return jobs.exclude(kind=MASK_KIND).filter(settings__asset_id=str(asset.id)).exists()


def lock_for_job(workspace_id: UUID, asset_id: UUID) -> Asset | None:
    """The asset, kept from being deleted until the caller's transaction has written the job that needs it."""
    rows = Asset.objects.select_for_update(of=("self",), no_key=True)
    return rows.filter(workspace_id=workspace_id, pk=asset_id).first()


def clean_name(name: str) -> str:
    """The last part of an uploaded file's name, without what could trouble a header or a screen."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode()))[-1]
    visible = "".join(letter for letter in last if unicodedata.category(letter)[0] != "C" or letter == "\u200d")
    return visible.strip()[:LONGEST_NAME] or "photo"


def _locked(asset: Asset) -> Asset:
    rows = Asset.objects.select_for_update(of=("self",)).select_related("mask_job", "workspace")
    found = rows.filter(pk=asset.pk).first()
    if found is None:
        raise NotFound("The asset has just been deleted.")
    return found


def _use_own_mask(asset: Asset, alpha_mask: str | None) -> None:
    if alpha_mask is not None:
        asset.mask_source, asset.mask_file = MaskSource.ALPHA, alpha_mask
    else:
        queue_mask(asset)


def _drop_mask_file(asset: Asset) -> None:
    """The file of a mask that is replaced goes after the commit, unless a job was made with it; the photo's own
    transparency stays for a reset."""
    old = asset.mask_file
    if old and PurePosixPath(old).name != ALPHA_MASK and not is_kept(asset, mask_id(asset)):
        transaction.on_commit(lambda: files.remove(old))
