"""The kind `image_to_video`: from the job's settings to the engine's inputs, and from its output to a video asset."""

from pathlib import Path
from typing import Any, Protocol

from studio.assets.masks import mask_file, mask_id
from studio.assets.models import Asset
from studio.assets.selectors import assets_by_id
from studio.assets.videos import add_video, discard_video, video_id
from studio.generations.presenting import present_result
from studio.generations.settings import ImageToVideoSettings
from studio.jobs.errors import ModelReplaced
from studio.jobs.kinds import JobKind
from studio.jobs.models import Job
from studio.media import path_of
from studio.registry.selectors import default_model


class MadeVideo(Protocol):
    """What of the engine's output is kept."""

    path: Path
    width: int
    height: int
    seconds: float
    settings: dict[str, Any]
    timings: dict[str, float]


def _prepare(job: Job) -> dict[str, Any]:
    """The photo, with the mask that it had when the job was made. Without one the engine finds the product itself."""
    _require_model(job)
    asset = Asset.objects.get(workspace_id=job.workspace_id, pk=job.settings["asset_id"])
    settings = ImageToVideoSettings.model_validate(job.settings)
    mask = mask_file(asset, settings.mask or mask_id(asset))
    return {
        "request": settings.request(),
        "photo": path_of(asset.file),
        "mask": path_of(mask) if mask else None,
        "digest": job.model["digest"] if job.model else None,
    }


def _require_model(job: Job) -> None:
    installed = default_model()
    if job.model is not None and job.model["digest"] != installed.digest:
        raise ModelReplaced(
            f"This job was made for {job.model['name']} {job.model['version']}, which has been replaced. Send it again."
        )


def _finish(job: Job, output: MadeVideo, fence: int) -> dict[str, Any]:
    source = Asset.objects.get(workspace_id=job.workspace_id, pk=job.settings["asset_id"])
    size = {"width": output.width, "height": output.height}
    video = add_video(video_id(job.id, fence), source, output.path, **size, seconds=output.seconds)
    return {"asset_id": str(video.id), "settings": output.settings, "timings": output.timings}


def _discard(job: Job, fence: int) -> None:
    discard_video(job.workspace_id, video_id(job.id, fence))


def _present(job: Job) -> dict[str, Any] | None:
    if job.result is None:
        return None
    return present_result(job.result, assets_by_id(job.workspace_id, [job.result["asset_id"]]))


IMAGE_TO_VIDEO = JobKind(
    name="image_to_video",
    queue="engine",
    settings_model=ImageToVideoSettings,
    prepare=_prepare,
    finish=_finish,
    discard=_discard,
    present=_present,
)
