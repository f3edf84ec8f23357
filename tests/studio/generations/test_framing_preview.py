"""What the form is told of a framing: for photos of every shape, and without keeping large pictures in memory."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.media.background import background_kind
from engine.media.framing import plan_framing
from engine.media.photo import open_photo
from engine.requests import ImageToVideo
from studio.assets.models import Asset
from studio.assets.photos import DECODING
from studio.generations import framing, views
from studio.media import path_of
from tests.studio.rest import Api, encoded, jpeg, picture

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_dir")]


@pytest.fixture(autouse=True)
def empty_caches() -> None:
    framing._product.cache_clear()
    framing._background.cache_clear()
    framing._backdrop.cache_clear()


def frame(api: Api, asset_id: str, **settings: Any) -> Any:
    return api.post("/framings", {"asset_id": asset_id, "settings": settings})


def mask_png(width: int, height: int, box: tuple[int, int, int, int]) -> bytes:
    mask = np.zeros((height, width), np.uint8)
    mask[box[1] : box[3], box[0] : box[2]] = 255
    return encoded(Image.fromarray(mask), "PNG")


def noise(width: int, height: int) -> bytes:
    """A photo whose background is no plain one."""
    small = np.random.default_rng(7).integers(0, 255, (height // 20 + 1, width // 20 + 1, 3), np.uint8)
    return encoded(Image.fromarray(small).resize((width, height)), "JPEG", quality=90)


@pytest.mark.parametrize(("width", "height"), [(3200, 100), (100, 3200), (4000, 16), (200, 200)])
@pytest.mark.parametrize("painted", [False, True])
def test_every_photo_that_is_accepted_has_a_framing(api: Api, width: int, height: int, painted: bool) -> None:
    asset = api.upload(jpeg(width, height)).json()
    if painted:
        box = (width // 3, height // 3, width // 2, height // 2)
        assert api.put(f"/assets/{asset['id']}/mask", mask_png(width, height, box)).status_code == 200
    answer = frame(api, asset["id"], format="9:16", camera={"move": "dolly-out", "strength": 1})
    assert answer.status_code == 200, answer.content


@pytest.mark.parametrize("move", ["static", "orbit-left", "pan-right"])
@pytest.mark.parametrize("photo", ["scene", "plain", "large", "transparent"])
def test_it_is_the_engines_own_plan(api: Api, monkeypatch: pytest.MonkeyPatch, photo: str, move: str) -> None:
    monkeypatch.setattr(framing, "WORKING_PIXELS", 400_000)
    pictures = {
        "scene": lambda: noise(900, 700),
        "plain": lambda: encoded(Image.new("RGB", (900, 700), "#d8d4cc"), "JPEG"),
        "large": lambda: noise(1600, 1200),
        "transparent": lambda: encoded(picture(640, 480, "RGBA"), "PNG"),
    }
    asset = api.upload(pictures[photo]()).json()
    width, height = asset["width"], asset["height"]
    box = (width // 3, height // 4, width // 2, height * 3 // 4)
    api.put(f"/assets/{asset['id']}/mask", mask_png(width, height, box))
    settings = {"format": "4:5", "camera": {"move": move, "strength": 1}}
    told = frame(api, asset["id"], **settings).json()

    stored = Asset.objects.get(pk=asset["id"])
    opened = open_photo(path_of(stored.file))
    with Image.open(path_of(stored.mask_file)) as file:
        mask = np.asarray(file)
    request = ImageToVideo.model_validate(settings)
    plan = plan_framing(opened.size, mask, "4:5", request.camera, background=background_kind(opened, mask))
    window = np.array(plan.window) / [width, height, width, height]
    assert np.abs(window - told["window"]).max() < 0.003
    assert told["extended"] == plan.extended
    assert told["strength_scale"] == pytest.approx(plan.strength_scale, abs=0.021)


def test_what_is_kept_of_large_masks_is_small(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert framing._product.cache_info().maxsize * framing.WORKING_PIXELS <= 32_000_000
    monkeypatch.setattr(framing, "WORKING_PIXELS", 50_000)
    ids = []
    for _ in range(4):
        asset = api.upload(jpeg(1500, 1000)).json()
        api.put(f"/assets/{asset['id']}/mask", mask_png(1500, 1000, (500, 250, 900, 800)))
        ids.append(asset["id"])
    tracemalloc.start()
    for asset_id in ids:
        assert frame(api, asset_id).status_code == 200
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 1_500_000  # whole, the masks alone are 6 MB


def test_masks_are_decoded_in_turn_with_uploads(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asset = api.upload(jpeg()).json()
    api.put(f"/assets/{asset['id']}/mask", mask_png(320, 240, (100, 60, 200, 180)))
    free: list[int] = []
    opened = Image.open

    def watched(*arguments: Any, **options: Any) -> Any:
        free.append(DECODING._value)
        return opened(*arguments, **options)

    monkeypatch.setattr(framing.Image, "open", watched)
    assert frame(api, asset["id"]).status_code == 200
    assert free == [1, 1]  # of two: mask and photo, one after the other


@pytest.mark.parametrize("level", [40, 250])
def test_it_says_what_a_see_through_photo_is_laid_over(api: Api, level: int) -> None:
    cut_out = np.full((240, 320, 4), level, np.uint8)
    cut_out[..., 3] = 0
    cut_out[60:180, 100:220, 3] = 255
    asset = api.upload(encoded(Image.fromarray(cut_out), "PNG")).json()
    told = frame(api, asset["id"]).json()["backdrop"]
    laid_over = open_photo(path_of(Asset.objects.get().file)).rgb[0, 0]
    assert told == "#" + bytes(laid_over).hex()


def test_an_opaque_photo_is_laid_over_nothing(api: Api) -> None:
    assert frame(api, api.upload(jpeg()).json()["id"]).json()["backdrop"] is None


def meanwhile(monkeypatch: pytest.MonkeyPatch, change: Callable[[], Any]) -> None:
    """Once, after the row of the photo was read and before its files are."""
    left, framed = [change], views.preview_framing

    def changed(asset: Asset, request: ImageToVideo) -> Any:
        while left:
            left.pop()()
        return framed(asset, request)

    monkeypatch.setattr(views, "preview_framing", changed)


@pytest.mark.django_db(transaction=True)
def test_a_mask_that_is_painted_meanwhile_is_the_one_that_counts(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = api.upload(jpeg(900, 300)).json()
    left, right = (mask_png(900, 300, (x, 100, x + 100, 200)) for x in (20, 780))
    settings = {"format": "1:1", "camera": {"move": "static"}}
    api.put(f"/assets/{photo['id']}/mask", left)
    meanwhile(monkeypatch, lambda: api.put(f"/assets/{photo['id']}/mask", right))
    told = frame(api, photo["id"], **settings)
    assert (told.status_code, told.json()["window"][0] > 0.5) == (200, True)
    assert told.json() == frame(api, photo["id"], **settings).json()  # the control: nothing changes any more


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("see_through", [False, True])
def test_a_photo_that_is_deleted_meanwhile_is_none(
    api: Api, monkeypatch: pytest.MonkeyPatch, see_through: bool
) -> None:
    content = {False: jpeg(), True: encoded(picture(mode="RGBA"), "PNG")}[see_through]
    photo = api.upload(content).json()
    frame(api, photo["id"])
    framing._background.cache_clear()  # the mask is remembered, the photo is not
    framing._backdrop.cache_clear()
    meanwhile(monkeypatch, lambda: api.delete(f"/assets/{photo['id']}"))
    answer = frame(api, photo["id"])
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["field"], error["code"]) == (422, "asset_id", "not_found")
