"""Reading models."""

import logging
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from engine.bundles import MANIFEST, Bundle, BundleError, check_sees, read_bundle

logger = logging.getLogger(__name__)


class ModelUnavailable(BundleError):
    """No model can be used now. It tells users so; what is wrong with which folder is for the log."""


def installed_models() -> list[Bundle]:
    """The bundles that jobs may use, verified. Raises ModelUnavailable when one is missing, damaged or too old."""
    return [default_model()]


def default_model() -> Bundle:
    """The bundle that new jobs are pinned to. Raises ModelUnavailable."""
    manifest = settings.AQ_BUNDLE / MANIFEST
    changed = manifest.stat().st_mtime_ns if manifest.is_file() else 0
    try:
        return _verified(settings.AQ_BUNDLE, changed)
    except BundleError as error:
        logger.error("the model cannot be used: %s", error)
        sentence = "The studio's model is missing, damaged or too old. Ask the studio's administrator to renew it."
        raise ModelUnavailable(sentence) from error


@lru_cache(maxsize=4)
def _verified(path: Path, changed: int) -> Bundle:
    """Every weight is hashed once for each version of the manifest, not once for each request."""
    bundle = read_bundle(path)
    if "motion_vae.json" in bundle.files:
        check_sees(bundle)
    return bundle
