"""The shipped bundle with a calibration that no measurement stands behind: for what only needs one."""

from __future__ import annotations

import shutil
from pathlib import Path

from engine.bundles import SHIPPED, Bundle, read_bundle, write_bundle
from engine.cache.budget import FILE, Calibration, Setting
from engine.samplers import shifted_times

STEPS = 6


def calibrated(folder: Path, *settings: Setting) -> Bundle:
    """In the new `folder`, for STEPS steps."""
    shutil.copytree(SHIPPED, folder)
    shipped = read_bundle(SHIPPED)
    Calibration(tuple(shifted_times(STEPS).tolist()[:-1]), 2.0, 1, settings).save(folder / FILE)
    return write_bundle(
        folder,
        name=shipped.name,
        version="0.0.1",
        kinds=shipped.kinds,
        capabilities=shipped.capabilities,
        provenance={},
    )
