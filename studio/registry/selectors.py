"""Reading models."""

from functools import lru_cache
from pathlib import Path

from django.conf import settings

from engine.bundles import MANIFEST, Bundle, read_bundle


def installed_models() -> list[Bundle]:
    """The bundles that jobs may use, verified. Raises BundleError when one is missing or damaged."""
    return [default_model()]


def default_model() -> Bundle:
    """The bundle that new jobs are pinned to. Raises BundleError."""
    manifest = settings.AQ_BUNDLE / MANIFEST
    changed = manifest.stat().st_mtime_ns if manifest.is_file() else 0
    return _verified(settings.AQ_BUNDLE, changed)


@lru_cache(maxsize=4)
def _verified(path: Path, changed: int) -> Bundle:
    """Every weight is hashed once for each version of the manifest, not once for each request."""
    return read_bundle(path)
