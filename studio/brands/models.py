"""A brand's look, and the products it sells with the facts that copy may state."""

from typing import ClassVar

from django.db import models

from studio.workspaces.models import WorkspaceOwned


class Brand(WorkspaceOwned):
    name = models.CharField(max_length=200)
    colours = models.JSONField(default=list)  # ["#1f6f5c", ...], the most important first

    class Meta:
        ordering: ClassVar = ["created_at", "id"]

    def __str__(self) -> str:
        return self.name


class Product(WorkspaceOwned):
    brand = models.ForeignKey(Brand, on_delete=models.CASCADE, related_name="products")
    name = models.CharField(max_length=200)
    facts = models.JSONField(default=dict)  # {"volume": "250 ml", ...}: what is true of it, and nothing else

    class Meta:
        ordering: ClassVar = ["created_at", "id"]

    def __str__(self) -> str:
        return self.name
