"""The only way to a brand or product."""

import uuid

from studio.brands.models import Brand, Product
from studio.workspaces.access import Actor, access_owned


def access_brand(actor: Actor, id: uuid.UUID | str, *, role: str = "viewer") -> Brand:
    return access_owned(actor, Brand.objects.all(), id, role=role)


def access_product(actor: Actor, id: uuid.UUID | str, *, role: str = "viewer") -> Product:
    return access_owned(actor, Product.objects.select_related("brand"), id, role=role)
