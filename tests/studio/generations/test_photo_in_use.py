"""A photo is never deleted from under a job that is just being made."""

from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError, connection, transaction

from studio.assets.models import Asset
from studio.assets.services import AssetInUse, delete_asset, lock_for_job
from studio.jobs.services import create_job
from studio.workspaces.models import Workspace
from tests.studio.rest import Api, run_beside

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("media_dir")]


def delete_now(asset_id: UUID) -> Exception | None:
    """Try to delete, and wait at most half a second for who holds the row."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '500ms'")
        delete_asset(Asset.objects.get(pk=asset_id))
    except (OperationalError, AssetInUse) as error:
        return error
    return None


def make_job(home: Workspace, asset: Asset) -> None:
    create_job(home, "image_to_video", {"asset_id": str(asset.id)}, created_by=None)


def test_deleting_waits_for_the_job_that_is_being_made_and_then_gives_way(api: Api, home: Workspace) -> None:
    asset = Asset.objects.get(pk=api.photo()["id"])
    with transaction.atomic():
        assert lock_for_job(home.id, asset.id) == asset
        make_job(home, asset)
        meanwhile = run_beside(lambda: delete_now(asset.id))
    afterwards = run_beside(lambda: delete_now(asset.id))
    assert isinstance(meanwhile, OperationalError) and "lock timeout" in str(meanwhile)
    assert isinstance(afterwards, AssetInUse)
    assert Asset.objects.filter(pk=asset.id).exists()


def test_without_the_lock_the_photo_would_be_gone(api: Api, home: Workspace) -> None:
    """The control."""
    asset = Asset.objects.get(pk=api.photo()["id"])
    with transaction.atomic():
        make_job(home, asset)
        meanwhile: Any = run_beside(lambda: delete_now(asset.id))
    assert meanwhile is None
    assert not Asset.objects.filter(pk=asset.id).exists()
