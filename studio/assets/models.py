"""Photos that were uploaded and videos that were made: rows that point at files which never change."""

from pathlib import PurePosixPath

from django.db import models

from studio.jobs.models import Job
from studio.workspaces.models import WorkspaceOwned


class AssetKind(models.TextChoices):
    IMAGE = "image"
    VIDEO = "video"


class MaskSource(models.TextChoices):
    NONE = ""
    AUTO = "auto"
    ALPHA = "alpha"
    BRUSH = "brush"


class Asset(WorkspaceOwned):
    """A file of a workspace. `file`, `thumbnail` and `mask_file` are stored names (studio/media.py), sizes in pixels.

    The row is written after its files have their final names, so a file that a row names is whole.
    """

    kind = models.CharField(max_length=8, choices=AssetKind.choices)
    name = models.CharField(max_length=160)
    content_type = models.CharField(max_length=32)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    bytes = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    duration = models.FloatField(null=True, help_text="Seconds; photos have none.")
    file = models.CharField(max_length=160)
    thumbnail = models.CharField(max_length=160)
    product = models.ForeignKey(
        "brands.Product", null=True, blank=True, on_delete=models.SET_NULL, related_name="assets"
    )
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")

    mask_source = models.CharField(max_length=8, choices=MaskSource.choices, default=MaskSource.NONE, blank=True)
    mask_file = models.CharField(max_length=160, blank=True, default="")
    mask_job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="+")
    has_alpha = models.BooleanField(default=False)

    class Meta:
        indexes = [models.Index(fields=["workspace", "-created_at", "-id"], name="assets_newest_first")]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def file_suffix(self) -> str:
        """`.jpg`, `.png`, `.webp` or `.mp4`."""
        return PurePosixPath(self.file).suffix
