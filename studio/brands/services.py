"""Changes to brands and products."""

from typing import Any, TypeVar

from studio.brands.models import Brand, Product
from studio.workspaces.access import Actor

Row = TypeVar("Row", Brand, Product)


def create_brand(actor: Actor, name: str, colours: list[str]) -> Brand:
    actor.require("editor")
    return Brand.objects.create(workspace=actor.workspace, name=name, colours=colours)


def create_product(actor: Actor, brand: Brand, name: str, facts: dict[str, str]) -> Product:
    actor.require("editor")
    return Product.objects.create(workspace=actor.workspace, brand=brand, name=name, facts=facts)


def change(row: Row, values: dict[str, Any]) -> Row:
    """Write the given fields of a brand or product and leave the others."""
    for name, value in values.items():
        setattr(row, name, value)
    if values:
        row.save(update_fields=list(values))
    return row
