"""Uploads: what is a photo is stored clean, what is none is refused with a code and a sentence."""

import hashlib
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from PIL import Image

from studio.assets import services
from studio.assets.models import Asset
from studio.brands.models import Brand, Product
from studio.jobs.models import Job
from studio.media import path_of
from studio.workspaces.models import Role, Workspace
from tests.studio.rest import Api, encoded, jpeg, key_client, picture

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_dir")]


def opened(path: Path) -> Image.Image:
    """A stored picture; its file is closed again."""
    with Image.open(path) as picture:
        picture.load()
        return picture


def test_a_photo_is_stored_with_thumbnail_hash_and_a_mask_job(api: Api) -> None:
    answer = api.upload(jpeg(640, 480), "lamp.jpg")
    asset = answer.json()
    stored = path_of(Asset.objects.get().file)

    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/api/v1/assets/{asset['id']}"
    assert (asset["kind"], asset["name"], asset["content_type"]) == ("image", "lamp.jpg", "image/jpeg")
    assert (asset["width"], asset["height"], asset["duration"]) == (640, 480, None)
    assert asset["sha256"] == hashlib.sha256(stored.read_bytes()).hexdigest()
    assert asset["bytes"] == stored.stat().st_size
    assert opened(path_of(Asset.objects.get().thumbnail)).size == (480, 360)
    assert asset["mask"] | {"job": None} == {
        "id": "auto",
        "state": "pending",
        "source": "auto",
        "url": None,
        "job": None,
        "error": None,
    }
    job = Job.objects.get()
    assert (str(job.id), job.kind, job.queue) == (asset["mask"]["job"], "product_mask", "media")


def test_files_lie_in_the_folder_of_workspace_and_asset(api: Api, home: Workspace, media_dir: Path) -> None:
    asset = api.photo()
    found = sorted(str(path.relative_to(media_dir)) for path in media_dir.rglob("*") if path.is_file())
    assert found == [f"{home.id}/{asset['id']}/{name}" for name in ("photo.jpg", "thumbnail.webp")]


def test_a_photo_is_on_the_disk_before_its_row_is_written(
    api: Api, home: Workspace, media_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, rename, written = os.fsync, Path.rename, services._write_photo
    drafts, own = media_dir / "drafts", media_dir / str(home.id)

    def flushed(descriptor: int) -> None:
        place = Path(f"/proc/self/fd/{descriptor}").readlink()
        named = {media_dir: "media", own: "workspace"}.get(place) or ("draft" if place.parent == drafts else place.name)
        done.append(named)
        fsync(descriptor)

    def moved(self: Path, target: Path) -> Any:
        done.extend(["named"] if target.parent == own else [])
        return rename(self, target)

    def row(*arguments: Any) -> Asset:
        done.append("row")
        return written(*arguments)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "rename", moved)
    monkeypatch.setattr(services, "_write_photo", row)
    api.photo()
    assert sorted(done[:2]) == ["photo.jpg", "thumbnail.webp"]
    assert done[2:] == ["draft", "named", "workspace", "media", "row"]


def test_transparency_is_the_mask(api: Api) -> None:
    asset = api.upload(encoded(picture(200, 200, "RGBA"), "PNG"), "cup.png").json()
    mask = opened(path_of(Asset.objects.get().mask_file))

    assert asset["content_type"] == "image/png"
    assert (asset["mask"]["state"], asset["mask"]["source"], asset["mask"]["job"]) == ("ready", "alpha", None)
    assert (mask.mode, mask.size, mask.getpixel((100, 100)), mask.getpixel((2, 2))) == ("L", (200, 200), 255, 0)
    assert not Job.objects.exists()


def test_webp_is_a_photo(api: Api) -> None:
    assert api.upload(encoded(picture(), "WEBP"), "cup.webp").json()["content_type"] == "image/jpeg"


def test_orientation_is_applied_and_metadata_dropped(api: Api) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    exif[0x010E] = "a secret caption"
    asset = api.upload(jpeg(320, 240, exif=exif)).json()
    stored = path_of(Asset.objects.get().file)

    assert (asset["width"], asset["height"]) == (240, 320)
    assert not dict(opened(stored).getexif())
    assert b"secret" not in stored.read_bytes()


def test_cmyk_becomes_rgb(api: Api) -> None:
    assert api.upload(encoded(picture(mode="CMYK"), "JPEG")).status_code == 201
    assert opened(path_of(Asset.objects.get().file)).mode == "RGB"


def test_the_content_decides_not_the_name(api: Api) -> None:
    asset = api.upload(encoded(picture(), "PNG"), "really.exe").json()
    assert (asset["content_type"], asset["name"]) == ("image/jpeg", "really.exe")
    assert asset["urls"]["content"].endswith("/really.jpg")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd.jpg", "passwd.jpg"),
        ("C:\\photos\\lamp.jpg", "lamp.jpg"),
        ("lamp\r\nX-Evil: 1.jpg", "lampX-Evil: 1.jpg"),
        ("🏺 مصباح.jpg", "🏺 مصباح.jpg"),
        ("a" * 300 + ".jpg", "a" * 120),
    ],
)
def test_a_name_is_only_a_name(given: str, kept: str) -> None:
    from studio.assets.services import clean_name

    assert clean_name(given) == kept


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds hardly any data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 10)) + chunk(b"IEND", b"")
    )


def animated() -> bytes:
    frames = [picture(), picture().rotate(90)]
    return encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=100)


BAD = {
    "text": (lambda: b"hello, I am not a picture", "not_an_image"),
    "html": (lambda: b"<html><script>alert(1)</script></html>", "not_an_image"),
    "gif": (lambda: encoded(picture(), "GIF"), "unsupported_type"),
    "tiff named jpg": (lambda: encoded(picture(), "TIFF"), "unsupported_type"),
    "truncated": (lambda: jpeg(640, 480)[:4000], "truncated"),
    "a header alone": (lambda: jpeg()[:20], "truncated"),
    "bomb": (lambda: png_header(60_000, 60_000), "too_many_pixels"),
    "1x1": (lambda: jpeg(1, 1), "too_small"),
    "animated": (animated, "animated"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_usable_photo_is_refused_and_leaves_nothing(api: Api, media_dir: Path, case: str) -> None:
    make, code = BAD[case]
    answer = api.upload(make(), "photo.jpg")
    problem = answer.json()

    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem["code"] == code
    assert problem["errors"][0]["field"] == "file"
    assert problem["detail"].endswith(".")
    assert "Traceback" not in answer.content.decode()
    assert not Asset.objects.exists()
    assert [path for path in media_dir.rglob("*") if path.is_file()] == []


def test_an_empty_file_is_refused(api: Api) -> None:
    answer = api.upload(b"")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "file")


def test_a_form_without_a_file_is_refused(api: Api) -> None:
    answer = api.client.post("/api/v1/assets", {"name": "x"}, headers=api.headers)
    assert (answer.status_code, answer.json()["errors"][0]) == (
        422,
        {"field": "file", "code": "required", "detail": "No file was submitted."},
    )


def test_a_photo_may_belong_to_a_product_of_the_workspace(api: Api, home: Workspace) -> None:
    brand = Brand.objects.create(workspace=home, name="Brand")
    product = Product.objects.create(workspace=home, brand=brand, name="Cup")
    assert api.upload(jpeg(), product_id=str(product.id)).json()["product_id"] == str(product.id)


def test_a_product_of_another_workspace_is_not_there(api: Api, abroad: Workspace) -> None:
    brand = Brand.objects.create(workspace=abroad, name="Brand")
    product = Product.objects.create(workspace=abroad, brand=brand, name="Cup")
    answer = api.upload(jpeg(), product_id=str(product.id))
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "not_found")


def test_a_full_disk_is_told_and_leaves_nothing(api: Api, media_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("studio.assets.photos.write_thumbnail", full)
    answer = api.upload(jpeg())
    assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")
    assert not Asset.objects.exists()
    assert [path for path in media_dir.rglob("*") if path.is_file()] == []


def test_files_go_when_the_row_cannot_be_written(api: Api, media_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the database said no")

    monkeypatch.setattr("studio.assets.services.queue_mask", broken)
    answer = api.upload(jpeg())
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "database said no" not in answer.content.decode()
    assert [path for path in media_dir.rglob("*") if path.is_file()] == []


@pytest.mark.django_db(transaction=True)
def test_a_photo_whose_commit_was_not_heard_keeps_its_files(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control is the test above: what fails before the commit leaves no files."""
    commit = connection.commit

    def cut_off_after_it() -> None:
        commit()
        raise OperationalError("the connection was lost")

    monkeypatch.setattr(connection, "commit", cut_off_after_it)
    answer = api.upload(jpeg())
    monkeypatch.undo()
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert path_of(Asset.objects.get().file).is_file()


def test_what_a_killed_upload_left_is_cleared_away_by_a_later_one(api: Api, media_dir: Path) -> None:
    old, fresh = media_dir / "drafts" / "old", media_dir / "drafts" / "fresh"
    for folder in (old, fresh):
        folder.mkdir(parents=True)
        (folder / "photo").write_bytes(b"half")
    os.utime(old, (0, 0))
    api.photo()
    assert (old.exists(), fresh.exists()) == (False, True)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.REVIEWER])
def test_who_may_not_edit_may_not_upload(home: Workspace, role: Role) -> None:
    answer = key_client(home, role).upload(jpeg())
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
