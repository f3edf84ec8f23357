"""From a job to a video asset: what the engine is given, and what becomes of what it makes. Here it is a small one."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from engine.bundles import Bundle, write_bundle
from engine.requests import ImageToVideo
from studio.assets.models import Asset
from studio.ids import new_id
from studio.jobs import engine_client
from studio.jobs.errors import Canceled
from studio.jobs.lease import claim
from studio.jobs.models import Job
from studio.jobs.run import run_job
from studio.media import path_of
from studio.workspaces.models import Workspace
from tests.studio.rest import Api, encoded, picture

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_dir")]


@dataclass
class Made:
    path: Path
    width: int = 64
    height: int = 48
    seconds: float = 1.0
    fps: int = 24
    settings: dict[str, Any] = field(default_factory=lambda: {"seed": 7, "camera": {"move": "static"}})
    timings: dict[str, float] = field(default_factory=lambda: {"denoise": 0.1, "total": 0.2})
    model: dict[str, str] = field(default_factory=lambda: {"name": "small", "version": "1", "digest": "sha256:0"})


def write_video(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in range(24):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), level * 10, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


class SmallEngine:
    """Writes a one-second video, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def __call__(self, inputs: dict[str, Any], run: Any) -> Made:
        self.asked.append(inputs)
        run.progress("denoise", 0.5, step=6, steps=12, eta_seconds=1.0)
        run.preview(encoded(picture(), "JPEG"), 6)
        run.notice("motion_fitted", "The motion was made smaller.")
        write_video(run.workdir / "video.mp4")
        return Made(run.workdir / "video.mp4")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> SmallEngine:
    small = SmallEngine()
    monkeypatch.setattr(engine_client, "generate_video", small)
    return small


def work() -> None:
    job = claim(new_id(), "engine")
    assert job is not None
    run_job(job)


def ask(api: Api, asset_id: str, **settings: Any) -> dict[str, Any]:
    answer = api.post("/jobs", {"kind": "image_to_video", "settings": {"asset_id": asset_id, **settings}})
    assert answer.status_code == 202, answer.content
    return answer.json()


def test_a_finished_job_has_its_video(api: Api, engine: SmallEngine, home: Workspace) -> None:
    asked = ask(api, api.photo("lamp.jpg")["id"])
    work()
    job = api.get(f"/jobs/{asked['id']}").json()
    video = job["result"]["asset"]

    assert (job["state"], job["progress"], job["error"]) == ("succeeded", 1.0, None)
    assert job["result"]["settings"] == {"seed": 7, "camera": {"move": "static"}}
    assert job["result"]["timings"]["total"] == 0.2
    assert job["notices"] == [{"code": "motion_fitted", "message": "The motion was made smaller."}]
    assert job["preview_url"].startswith("/media/")
    assert (video["kind"], video["name"], video["content_type"]) == ("video", "lamp.mp4", "video/mp4")
    assert (video["width"], video["height"], video["duration"], video["mask"]) == (64, 48, 1.0, None)
    stored = Asset.objects.get(kind="video")
    with av.open(str(path_of(stored.file))) as container:
        assert container.streams.video[0].frames == 24
    with Image.open(path_of(stored.thumbnail)) as poster:
        assert (poster.format, poster.size) == ("WEBP", (64, 48))
    assert api.get("/assets?kind=video").json()["results"] == [video]


def test_the_event_of_the_end_carries_the_result(api: Api, engine: SmallEngine) -> None:
    asked = ask(api, api.photo()["id"])
    work()
    events = api.get(f"/jobs/{asked['id']}/events").json()["results"]
    assert [event["type"] for event in events] == ["queued", "started", "progress", "preview", "notice", "succeeded"]
    assert events[-1]["data"]["result"]["asset"]["kind"] == "video"
    assert events[3]["data"]["url"].startswith("/media/")


def test_the_engine_gets_the_photo_the_request_and_no_mask_while_there_is_none(api: Api, engine: SmallEngine) -> None:
    asset = api.photo()
    ask(api, asset["id"], seconds=4, prompt="slowly", seed=3)
    work()
    (asked,) = engine.asked
    assert asked["photo"] == path_of(Asset.objects.get(pk=asset["id"]).file)
    assert asked["mask"] is None
    assert asked["request"] == ImageToVideo(seconds=4, prompt="slowly", seed=3)


class LoadedEngine:
    """Stands for `engine.generate.Engine`: what it makes names the bundle that it was loaded from."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def generate(self, request: Any, photo: Path, out: Path, **_: Any) -> Made:
        write_video(out)
        return Made(out, model=self.bundle.identity)

    def close(self) -> None:
        """Nothing to end."""


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The real `engine_client`, with an engine that has no weights."""
    module = ModuleType("engine.generate")
    module.Engine = LoadedEngine  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "engine.generate", module)
    engine_client.engines.forget()
    yield
    engine_client.engines.forget()


def test_a_job_does_not_change_its_model_and_a_new_one_takes_the_new(api: Api, loaded: None, bundle: Path) -> None:
    photo = api.photo()["id"]
    done, waiting = ask(api, photo), ask(api, photo)
    work()
    write_bundle(bundle, name="test-nano", version="2", kinds=("image_to_video",), capabilities={}, provenance={})
    work()
    new = ask(api, photo)
    work()
    done, waiting, new = (api.get(f"/jobs/{job['id']}").json() for job in (done, waiting, new))
    assert [job["state"] for job in (done, waiting, new)] == ["succeeded", "failed", "succeeded"]
    assert (waiting["error"]["code"], waiting["model"]["version"]) == ("model_replaced", "1")
    assert [job["model"]["version"] for job in (done, new)] == ["1", "2"]


def test_a_deleted_video_leaves_its_job_readable(api: Api, engine: SmallEngine) -> None:
    asked = ask(api, api.photo()["id"])
    work()
    video = api.get(f"/jobs/{asked['id']}").json()["result"]["asset"]
    assert api.delete(f"/assets/{video['id']}").status_code == 204
    result = api.get(f"/jobs/{asked['id']}").json()["result"]
    assert (result["asset"], result["settings"]["seed"]) == (None, 7)


def test_a_canceled_run_leaves_no_asset_and_no_file(api: Api, media_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def canceled(inputs: dict[str, Any], run: Any) -> Made:
        (run.workdir / "video.mp4").write_bytes(b"half a video")
        raise Canceled

    monkeypatch.setattr(engine_client, "generate_video", canceled)
    asked = ask(api, api.photo()["id"])
    work()
    assert api.get(f"/jobs/{asked['id']}").json()["state"] == "canceled"
    assert not Asset.objects.filter(kind="video").exists()
    assert not list(media_dir.rglob("*.mp4"))


def test_a_worker_without_the_lease_publishes_nothing(
    api: Api, media_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaken(inputs: dict[str, Any], run: Any) -> Made:
        Job.objects.filter(kind="image_to_video").update(fence=99)  # another worker has claimed it meanwhile
        write_video(run.workdir / "video.mp4")
        return Made(run.workdir / "video.mp4")

    monkeypatch.setattr(engine_client, "generate_video", overtaken)
    asked = ask(api, api.photo()["id"])
    work()
    assert api.get(f"/jobs/{asked['id']}").json()["state"] == "running"
    assert not Asset.objects.filter(kind="video").exists()
    assert not list(media_dir.rglob("*.mp4"))


# --- framing ----------------------------------------------------------------------------------------------------------


def frame(api: Api, asset_id: str, **settings: Any) -> Any:
    return api.post("/framings", {"asset_id": asset_id, "settings": settings})


def test_a_framing_is_told_before_anything_is_made(api: Api) -> None:
    asset = api.photo()
    framing = frame(api, asset["id"], format="1:1", camera={"move": "static"}).json()
    x0, y0, x1, y1 = framing["window"]
    assert abs((x1 - x0) * 320 - (y1 - y0) * 240) < 1  # square, in pixels of the photo
    assert (framing["extended"], framing["strength_scale"]) == (False, 1.0)
    assert [notice["code"] for notice in framing["notices"]] == ["photo_small"]  # 240 px high, shown 1080 high
    large = api.upload(encoded(picture(900, 700), "JPEG")).json()
    sharp = frame(api, large["id"], format="1:1", camera={"move": "static"}).json()
    assert sharp["notices"] == []
    assert not Job.objects.filter(kind="image_to_video").exists()


def test_a_move_that_has_no_room_is_said_to_be_smaller_or_extended(api: Api) -> None:
    asset = api.upload(encoded(picture(400, 300, "RGBA"), "PNG")).json()
    framing = frame(api, asset["id"], format="9:16", camera={"move": "dolly-out", "strength": 1}).json()
    assert framing["extended"] is True
    assert [notice["code"] for notice in framing["notices"]] == ["background_extended", "photo_small"]


def test_the_painted_mask_decides_the_framing(api: Api) -> None:
    asset = api.upload(encoded(picture(900, 300), "JPEG")).json()
    before = frame(api, asset["id"], format="1:1", camera={"move": "static"}).json()["window"]
    left = np.zeros((300, 900), np.uint8)
    left[100:200, 20:120] = 255
    api.put(f"/assets/{asset['id']}/mask", encoded(Image.fromarray(left), "PNG"))
    after = frame(api, asset["id"], format="1:1", camera={"move": "static"}).json()["window"]
    assert before[0] > 0.2 and after[0] < 0.05


@pytest.mark.parametrize(
    ("given", "field"), [({"format": "3:2"}, "settings.format"), ({"camera": {"move": 3}}, "settings.camera.move")]
)
def test_a_framing_checks_its_settings(api: Api, given: dict[str, Any], field: str) -> None:
    answer = frame(api, api.photo()["id"], **given)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


def test_a_framing_of_another_workspaces_photo_is_refused(api: Api, foreign_api: Api) -> None:
    asset = api.photo()
    foreign, missing = frame(foreign_api, asset["id"]), frame(foreign_api, str(new_id()))
    assert (foreign.status_code, foreign.json()) == (422, missing.json())
    assert frame(api, asset["id"]).status_code == 200
