"""How an asset looks to the browser and to machines."""

from pathlib import PurePosixPath
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from studio.assets.masks import MaskState, mask_error, mask_id, mask_state
from studio.assets.models import Asset, AssetKind, MaskSource
from studio.media import signed_url


class AssetUrlsSerializer(serializers.Serializer[Asset]):
    """Signed for at most an hour, at least 45 minutes; read the asset again for fresh ones. All honour byte ranges."""

    content = serializers.SerializerMethodField()
    thumbnail = serializers.SerializerMethodField()
    download = serializers.SerializerMethodField()

    def get_content(self, asset: Asset) -> str:
        return signed_url(asset.file, download_name(asset))

    def get_thumbnail(self, asset: Asset) -> str:
        return signed_url(asset.thumbnail, "thumbnail.webp")

    def get_download(self, asset: Asset) -> str:
        return signed_url(asset.file, download_name(asset), download=True)


class MaskSerializer(serializers.Serializer[Asset]):
    """Where the product is in the photo: white is product, black is not."""

    id = serializers.SerializerMethodField(
        help_text="Tells this mask from every other of the photo, as the settings of a job name it; auto: none yet."
    )
    state = serializers.SerializerMethodField()
    source = serializers.SerializerMethodField()  # type: ignore[assignment]
    url = serializers.SerializerMethodField()
    job = serializers.UUIDField(source="mask_job_id", allow_null=True)
    error = serializers.SerializerMethodField()

    def get_id(self, asset: Asset) -> str:
        return mask_id(asset)

    @extend_schema_field(serializers.ChoiceField(choices=[state.value for state in MaskState]))
    def get_state(self, asset: Asset) -> str:
        return mask_state(asset)

    @extend_schema_field(
        serializers.ChoiceField(choices=[source for source in MaskSource.values if source], allow_null=True)
    )
    def get_source(self, asset: Asset) -> str | None:
        return asset.mask_source or None

    def get_url(self, asset: Asset) -> str | None:
        return signed_url(asset.mask_file, "mask.png") if asset.mask_file else None

    def get_error(self, asset: Asset) -> str | None:
        return mask_error(asset)


class AssetSerializer(serializers.Serializer[Any]):
    """A photo that was uploaded or a video that was made."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=AssetKind.values)
    name = serializers.CharField()
    content_type = serializers.CharField()
    width = serializers.IntegerField()
    height = serializers.IntegerField()
    bytes = serializers.IntegerField()
    sha256 = serializers.CharField()
    duration = serializers.FloatField(allow_null=True)
    created_at = serializers.DateTimeField()
    product_id = serializers.UUIDField(allow_null=True)
    urls = AssetUrlsSerializer(source="*")
    mask = serializers.SerializerMethodField()

    @extend_schema_field(MaskSerializer(allow_null=True))
    def get_mask(self, asset: Asset) -> dict[str, Any] | None:
        return MaskSerializer(asset).data if asset.kind == AssetKind.IMAGE else None


class AssetPageSerializer(serializers.Serializer[dict[str, Any]]):
    results = AssetSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class UploadSerializer(serializers.Serializer[dict[str, Any]]):
    file = serializers.FileField(help_text="A JPEG, PNG or WebP. Transparency is taken as the product mask.")
    product_id = serializers.UUIDField(required=False, help_text="The product that the photo shows.")


def download_name(asset: Asset) -> str:
    """The name under which a file is saved: the asset's own, with the suffix of what is really stored."""
    return f"{PurePosixPath(asset.name).stem or 'file'}{asset.file_suffix}"
