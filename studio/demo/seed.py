"""Fill an empty database, once. What a user deletes later does not come back."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from django.db import transaction

from studio.accounts.models import User
from studio.assets.services import add_photo
from studio.brands.models import Brand, Product
from studio.workspaces.access import Actor, member_actor
from studio.workspaces.models import Role, Workspace
from studio.workspaces.services import create_workspace

PHOTOS = Path(__file__).parent / "photos"
OWNER_EMAIL = "owner@studio.example"
SLUG = "demo"

PRODUCTS: list[dict[str, Any]] = [
    {
        "name": "Fig & Cedar hand wash",
        "facts": {"volume": "300 ml", "scent": "fig leaf, cedar wood", "bottle": "amber glass, refillable"},
        "photo": "fig-and-cedar.jpg",
    },
    {
        "name": "Harbour mug",
        "facts": {"volume": "350 ml", "material": "stoneware", "care": "dishwasher safe"},
        "photo": "harbour-mug.jpg",
    },
]


def seed_demo() -> User | None:
    """Make the demo workspace when there is no workspace at all. The active owner of the oldest one, for sign-in."""
    if not Workspace.objects.exists():
        make_demo()
    return User.objects.filter(is_active=True, memberships__role=Role.OWNER).order_by("created_at").first()


@transaction.atomic
def make_demo() -> Workspace:
    owner = User.objects.create_user(OWNER_EMAIL, name="Studio owner")
    workspace = create_workspace("Northlight", SLUG, owner=owner)
    actor = member_actor(owner)
    brand = Brand.objects.create(workspace=workspace, name="Northlight", colours=["#7a3b12", "#1f4a5e", "#f1e9dc"])
    for entry in PRODUCTS:
        product = Product.objects.create(workspace=workspace, brand=brand, name=entry["name"], facts=entry["facts"])
        upload_photo(actor, PHOTOS / entry["photo"], product)
    return workspace


def upload_photo(actor: Actor, photo: Path, product: Product) -> None:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(photo, folder))
        add_photo(actor, copy, photo.name, product)
