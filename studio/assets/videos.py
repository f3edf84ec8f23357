"""From a finished video file to a video asset."""

from pathlib import Path, PurePosixPath

import av

from studio.assets import files
from studio.assets.models import Asset, AssetKind
from studio.assets.photos import write_thumbnail
from studio.ids import new_id
from studio.media import CONTENT_TYPES, file_name


def add_video(source: Asset, video: Path, *, width: int, height: int, seconds: float) -> Asset:
    """The asset of a video that was made from `source`. Call it in the transaction that ends the job.

    The file is linked or copied, never moved, so that a transaction that is tried again finds it.
    """
    asset_id = new_id()
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


def _write_poster(video: Path, poster: Path) -> None:
    with av.open(str(video), format="mp4") as container:
        frame = next(container.decode(video=0))
        write_thumbnail(frame.to_image(), poster)
