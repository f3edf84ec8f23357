"""Two workspaces, clients of the API in each, and a bundle that names the kinds."""

from pathlib import Path
from typing import Any

import pytest

from engine.bundles import write_bundle
from studio.accounts.models import User
from studio.workspaces.models import Membership, Role, Workspace
from studio.workspaces.services import create_workspace
from tests.studio.rest import Api, key_client


@pytest.fixture
def home(db: None) -> Workspace:
    return create_workspace("Home", "home", owner=User.objects.create_user("ana@example.com", "correct horse"))


@pytest.fixture
def abroad(db: None) -> Workspace:
    return create_workspace("Abroad", "abroad", owner=User.objects.create_user("bo@example.com", "battery staple"))


@pytest.fixture
def ana(home: Workspace) -> User:
    return Membership.objects.select_related("user").get(workspace=home).user


@pytest.fixture
def api(home: Workspace, bundle: Path) -> Api:
    """An editor's key of the workspace `home`."""
    return key_client(home)


@pytest.fixture
def foreign_api(abroad: Workspace, bundle: Path) -> Api:
    """An editor's key of the workspace `abroad`."""
    return key_client(abroad)


@pytest.fixture
def admin_api(home: Workspace, bundle: Path) -> Api:
    return key_client(home, Role.ADMIN)


@pytest.fixture
def bundle(tmp_path_factory: pytest.TempPathFactory, settings: Any) -> Path:
    """A verified bundle that says it makes videos from photos. It holds no weights: these tests load none."""
    settings.AQ_BUNDLE = without_weights(tmp_path_factory.mktemp("bundle") / "test-nano")
    return settings.AQ_BUNDLE


def without_weights(folder: Path) -> Path:
    folder.mkdir()
    (folder / "README.md").write_text("For tests.\n")
    kinds = ("image_to_video",)
    write_bundle(folder, name="test-nano", version="1", kinds=kinds, capabilities={}, provenance={})
    return folder


@pytest.fixture
def media_dir(tmp_path: Path, settings: Any) -> Path:
    """The media folder, of this test alone."""
    settings.AQ_MEDIA_DIR = tmp_path / "media"
    return settings.AQ_MEDIA_DIR
