"""What a new studio starts with, and the commands that let people in."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from django.core.management import CommandError, call_command
from PIL import Image

from studio.accounts.services import use_sign_in_link
from studio.assets.models import Asset
from studio.brands.models import Brand, Product
from studio.demo.drawing import bottle, mug
from studio.demo.drawing.render import Camera
from studio.demo.seed import PHOTOS, SLUG, seed_demo
from studio.embedded.addresses import write_address
from studio.workspaces.models import Role, Workspace
from studio.workspaces.services import verify_api_key


@pytest.fixture
def media(tmp_path: Path, settings) -> Path:  # type: ignore[no-untyped-def]
    settings.AQ_MEDIA_DIR = tmp_path / "media"
    return tmp_path


@pytest.mark.django_db
def test_an_empty_studio_gets_a_workspace_with_brand_products_and_photos(media: Path) -> None:
    owner = seed_demo()
    workspace = Workspace.objects.get(slug=SLUG)
    assert owner is not None
    assert workspace.memberships.get().role == Role.OWNER
    assert workspace.memberships.get().user == owner
    assert Brand.objects.count() == 1
    assert [asset.product for asset in Asset.objects.order_by("id")] == list(Product.objects.order_by("id"))
    assert min(min(asset.width, asset.height) for asset in Asset.objects.all()) >= 1600


@pytest.mark.django_db
def test_what_was_deleted_does_not_come_back(media: Path) -> None:
    owner = seed_demo()
    Product.objects.all().delete()
    Asset.objects.all().delete()
    assert seed_demo() == owner
    assert Asset.objects.count() == 0


@pytest.mark.parametrize(("module", "name"), [(bottle, "fig-and-cedar"), (mug, "harbour-mug")])
def test_the_photos_are_what_the_project_draws(module, name: str, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    def small(size: tuple[int, int], eye: np.ndarray, target: np.ndarray, lens: float) -> Camera:
        return Camera((size[0] // 20, size[1] // 20), eye, target, lens)

    monkeypatch.setattr(module, "Camera", small)
    drawn = module.draw().astype(np.float32)
    with Image.open(PHOTOS / f"{name}.jpg", formats=("JPEG",)) as file:
        photo = np.asarray(file)
    shown = cv2.resize(photo, drawn.shape[1::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
    error = np.sqrt(np.mean((drawn - shown) ** 2))
    other = np.sqrt(np.mean((drawn - shown[:, ::-1]) ** 2))  # the control: its mirror image is another picture
    assert error < 8 < other


@pytest.mark.django_db
def test_a_key_is_made_for_a_workspace_by_slug_or_id(media: Path) -> None:
    seed_demo()
    workspace = Workspace.objects.get(slug=SLUG)
    for named in (SLUG, str(workspace.id)):
        printed = io.StringIO()
        call_command("create_api_key", named, "shop", "--role", "viewer", stdout=printed)
        key = verify_api_key(printed.getvalue().strip())
        assert key is not None
        assert (key.workspace, key.role) == (workspace, Role.VIEWER)


@pytest.mark.django_db
def test_a_key_for_no_workspace_is_told() -> None:
    with pytest.raises(CommandError, match="no workspace nowhere"):
        call_command("create_api_key", "nowhere", "shop")


@pytest.mark.django_db
def test_a_sign_in_link_names_the_running_studio(media: Path, settings) -> None:  # type: ignore[no-untyped-def]
    owner = seed_demo()
    settings.AQ_DATA_DIR = media
    with pytest.raises(CommandError, match="not running"):
        call_command("sign_in_link")
    (media / "run").mkdir()
    write_address(media, "http://127.0.0.1:8000")
    printed = io.StringIO()
    call_command("sign_in_link", stdout=printed)
    address, _, token = printed.getvalue().strip().rpartition("/")
    assert address == "http://127.0.0.1:8000/sign-in"
    assert use_sign_in_link(token) == owner
