"""From a finished video file to a video asset."""

from pathlib import Path, PurePosixPath
from uuid import UUID, uuid5

import av

from studio.assets import files
from studio.assets.models import Asset, AssetKind
from studio.assets.photos import write_thumbnail
from studio.media import CONTENT_TYPES, file_name


def video_id(job_id: UUID, fence: int) -> UUID:
    """The asset that one attempt at a job makes, however often its end has to be written: the same files each time.

    Of each attempt its own, since a worker that lost its lease may still be writing while the next one ends the job.
    """
    return uuid5(job_id, f"video {fence}")


def add_video(asset_id: UUID, source: Asset, video: Path, *, width: int, height: int, seconds: float) -> Asset:
    """The asset of a video that was made from `source`. Call it in the transaction that ends the job.

    The file is linked or copied, never moved, so that a transaction that is tried again finds it.
    """
    stored = files.publish(video, source.workspace_id, asset_id, "video.mp4")
    thumbnail = file_name(source.workspace_id, asset_id, "thumbnail.webp")
    with files.draft_folder() as draft:
        _write_poster(video, draft / "thumbnail.webp")
        files.publish(draft / "thumbnail.webp", source.workspace_id, asset_id, "thumbnail.webp")
    return Asset.objects.create(
        id=asset_id,
        workspace_id=source.workspace_id,
        kind=AssetKind.VIDEO,
        name=f"{PurePosixPath(source.name).stem}.mp4",
        product_id=source.product_id,
        created_by_id=source.created_by_id,
        content_type=CONTENT_TYPES[".mp4"],
        width=width,
        height=height,
        duration=seconds,
        bytes=video.stat().st_size,
        sha256=files.sha256_of(video),
        file=stored,
        thumbnail=thumbnail,
    )


def discard_video(workspace_id: UUID, asset_id: UUID) -> None:
    """Remove the files of a video whose row was not written after all."""
    files.remove_asset_folder(workspace_id, asset_id)


def _write_poster(video: Path, poster: Path) -> None:
    with av.open(str(video), format="mp4") as container:
        frame = next(container.decode(video=0))
        write_thumbnail(frame.to_image(), poster)
