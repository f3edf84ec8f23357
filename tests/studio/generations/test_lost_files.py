"""No video is left on the disk without a row that names it: not after a failure, and not for long after a kill."""

import errno
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now

from studio.assets import photos, services, videos
from studio.assets.models import Asset
from studio.generations import image_to_video
from studio.ids import new_id
from studio.jobs import engine_client, files, kinds, sweeper
from studio.jobs.models import Job
from studio.media import file_name, path_of
from studio.workspaces.models import Workspace
from tests.studio.generations.test_image_to_video import Made, ask, work, write_video
from tests.studio.generations.test_mask_of_a_job import paint
from tests.studio.rest import Api, encoded, jpeg, picture

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("media_dir")]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that does its part."""

    def make(inputs: dict[str, Any], run: Any) -> Made:
        write_video(run.workdir / "video.mp4")
        return Made(run.workdir / "video.mp4")

    monkeypatch.setattr(engine_client, "generate_video", make)


def left(media_dir: Path) -> list[Path]:
    return sorted(media_dir.rglob("*.mp4"))


def state_of(job: dict[str, Any]) -> str:
    return Job.objects.values_list("state", flat=True).get(pk=job["id"])


def test_a_video_that_has_no_picture_is_not_kept(api: Api, media_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(inputs: dict[str, Any], run: Any) -> Made:
        (run.workdir / "video.mp4").write_bytes(b"no video at all" * 1000)
        return Made(run.workdir / "video.mp4")

    monkeypatch.setattr(engine_client, "generate_video", damaged)
    job = ask(api, api.photo()["id"])
    work()
    assert (state_of(job), left(media_dir)) == ("queued", [])
    assert api.get(f"/jobs/{job['id']}/events").json()["results"][-1]["data"] == {"reason": "internal_error"}


def test_a_disk_that_fills_up_at_the_end_is_not_kept_full(
    api: Api, engine: None, media_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(videos, "write_thumbnail", full)
    job = ask(api, api.photo()["id"])
    work()
    assert (state_of(job), left(media_dir)) == ("queued", [])
    assert api.get(f"/jobs/{job['id']}/events").json()["results"][-1]["data"] == {"reason": "disk_full"}


@pytest.fixture
def cut_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database ends the connection after the video has its stored name, the first time."""
    cuts: list[int] = []
    real = videos.write_thumbnail

    def cut(*arguments: Any) -> None:
        real(*arguments)
        if not cuts:
            cuts.append(1)
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setattr(videos, "write_thumbnail", cut)


def test_an_end_that_is_written_again_leaves_one_video(api: Api, engine: None, cut_once: None, media_dir: Path) -> None:
    job = ask(api, api.photo()["id"])
    work()
    assert state_of(job) == "succeeded"
    assert left(media_dir) == [path_of(Asset.objects.get(kind="video").file)]


def test_control_with_a_new_name_each_time_the_first_would_be_left(
    api: Api, engine: None, cut_once: None, media_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_to_video, "video_id", lambda *_: new_id())
    ask(api, api.photo()["id"])
    work()
    assert len(left(media_dir)) == 2


# --- the sweeper ------------------------------------------------------------------------------------------------------


def age(folder: Path) -> Path:
    """As if nothing had been added for two hours."""
    long_ago = time.time() - 7200
    os.utime(folder, (long_ago, long_ago))
    return folder


def folder_of(workspace: Workspace, owner: Any) -> Path:
    return path_of(file_name(workspace.id, owner, "x")).parent


def killed_upload(workspace: Workspace, tmp_path: Path) -> Path:
    """What a web process leaves that is killed between giving the files their names and writing the row."""
    upload, asset_id = tmp_path / "upload", new_id()
    upload.write_bytes(jpeg())
    photos.store_photo(upload, workspace.id, asset_id)
    return folder_of(workspace, asset_id)


def test_files_without_a_row_go_after_an_hour(api: Api, home: Workspace, tmp_path: Path) -> None:
    mine = age(folder_of(home, api.photo()["id"]))
    old, fresh = age(killed_upload(home, tmp_path)), killed_upload(home, tmp_path)
    assert sweeper.clear_orphans() == 1
    assert [folder.exists() for folder in (mine, old, fresh)] == [True, False, True]
    assert len(list(mine.iterdir())) == 2  # the photo and its thumbnail


@pytest.mark.parametrize(("keep", "stays"), [(sweeper.KEEP_DRAFTS, True), (timedelta(0), False)])
def test_a_draft_goes_when_it_is_old_and_not_while_it_is_being_published(
    api: Api, home: Workspace, monkeypatch: pytest.MonkeyPatch, keep: timedelta, stays: bool
) -> None:
    """The folder was looked at before the draft came into it. When it came cannot be set back as a file's time can."""
    folder = folder_of(home, api.photo()["id"])
    draft = folder / ".mask.png.123"
    draft.write_bytes(b"half a mask")
    os.utime(draft, (0, 0))  # a link to what was written long ago
    age(folder)
    monkeypatch.setattr(sweeper, "KEEP_DRAFTS", keep)
    sweeper.clear_orphans()
    assert draft.exists() is stays
    assert len(list(folder.glob("[!.]*"))) == 2  # the photo and its thumbnail


def test_files_of_another_database_are_left_alone(home: Workspace, tmp_path: Path) -> None:
    """The control is the test above: the same folder of a workspace that is known goes."""
    foreign = age(killed_upload(Workspace(name="Of another database"), tmp_path))
    assert sweeper.clear_orphans() == 0
    assert len(list(foreign.iterdir())) == 2


def test_what_goes_lies_aside_for_some_days(home: Workspace, tmp_path: Path, media_dir: Path) -> None:
    orphan = age(killed_upload(home, tmp_path))
    sweeper.clear_orphans()
    aside = media_dir / "trash" / orphan.relative_to(media_dir)
    assert not orphan.exists()
    sweeper.clear_orphans()
    assert len(list(aside.iterdir())) == 2  # it counts from the day on which it was put there
    long_ago = time.time() - sweeper.KEEP_TRASH.total_seconds() - 60
    os.utime(aside, (long_ago, long_ago))
    sweeper.clear_orphans()
    assert not aside.exists()


def test_masks_that_neither_photo_nor_job_names_go_too(
    api: Api, home: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "_drop_mask_file", lambda asset: None)  # killed before it came to that
    photo = api.upload(encoded(picture(320, 240, "RGBA"), "PNG")).json()
    of_a_job = paint(api, photo, 100)
    ask(api, photo["id"])
    unnamed, now = paint(api, photo, 150), paint(api, photo, 200)
    folder = folder_of(home, photo["id"])
    sweeper.clear_orphans()
    assert path_of(unnamed).exists()  # who adds one may not have written the row yet
    age(folder)
    sweeper.clear_orphans()
    assert [path_of(file).exists() for file in (of_a_job, unnamed, now)] == [True, False, True]
    assert (folder / "mask-alpha.png").exists()


def test_previews_of_an_earlier_attempt_go_with_the_job(api: Api, home: Workspace) -> None:
    ended, waiting = (ask(api, api.photo()["id"]) for _ in range(2))
    for job in (ended, waiting):
        files.write_preview(home.id, job["id"], "preview-1-0.jpg", b"x")
        age(folder_of(home, job["id"]))
    Job.objects.filter(pk=ended["id"]).update(state="failed", finished_at=Now() - sweeper.KEEP_PREVIEWS * 2)
    sweeper.clear_orphans()
    assert [folder_of(home, job["id"]).exists() for job in (ended, waiting)] == [False, True]


def test_a_sweeper_that_knows_no_room_removes_nothing(
    home: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orphan = age(killed_upload(home, tmp_path))
    monkeypatch.setattr(kinds, "_owners", [])
    with pytest.raises(AssertionError, match="registered"):
        sweeper.clear_orphans()
    assert orphan.exists()
