"""The kind `image_to_video`: from the job's settings to the engine's inputs, and from its output to a video asset."""

from pathlib import Path
from typing import Any, Protocol

from studio.assets.models import Asset
from studio.assets.selectors import assets_by_id
from studio.assets.videos import add_video
from studio.generations.presenting import present_result
from studio.generations.settings import ImageToVideoSettings
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


class ModelReplaced(ValueError):
    """The model that the job was promised is not installed any more."""

    code = "model_replaced"


def _prepare(job: Job) -> dict[str, Any]:
    """The photo and its mask as they are now. Without a mask the engine makes one itself."""
    _require_model(job)
    asset = Asset.objects.get(workspace_id=job.workspace_id, pk=job.settings["asset_id"])
    return {
        "request": ImageToVideoSettings.model_validate(job.settings).request(),
        "photo": path_of(asset.file),
        "mask": path_of(asset.mask_file) if asset.mask_file else None,
    }


def _require_model(job: Job) -> None:
    installed = default_model()
    if job.model is not None and job.model["digest"] != installed.digest:
        raise ModelReplaced(
            f"This job was made for {job.model['name']} {job.model['version']}, which has been replaced. Send it again."
        )


def _finish(job: Job, output: MadeVideo, fence: int) -> dict[str, Any]:
    source = Asset.objects.get(workspace_id=job.workspace_id, pk=job.settings["asset_id"])
    video = add_video(source, output.path, width=output.width, height=output.height, seconds=output.seconds)
    return {"asset_id": str(video.id), "settings": output.settings, "timings": output.timings}


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
    present=_present,
)
