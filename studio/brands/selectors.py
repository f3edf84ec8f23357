"""Reading brands and products."""

from django.db.models import QuerySet

from studio.brands.models import Brand, Product
from studio.workspaces.access import Actor


def list_brands(actor: Actor) -> QuerySet[Brand]:
    return Brand.objects.filter(workspace=actor.workspace)


def list_products(actor: Actor, *, brand: Brand | None = None) -> QuerySet[Product]:
    rows = Product.objects.filter(workspace=actor.workspace)
    return rows if brand is None else rows.filter(brand=brand)
