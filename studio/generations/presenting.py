"""A generation's stored result, with its asset as it is now."""

from typing import Any

from studio.assets.models import Asset
from studio.assets.serializers import AssetSerializer


def present_result(result: dict[str, Any], assets: dict[str, Asset]) -> dict[str, Any]:
    """`asset` is null where it has been deleted since."""
    asset = assets.get(result["asset_id"])
    return {
        "asset": AssetSerializer(asset).data if asset else None,
        "settings": result["settings"],
        "timings": result["timings"],
    }
