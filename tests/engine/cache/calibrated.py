"""The shipped bundle with a calibration that no measurement stands behind: for what only needs one."""

from __future__ import annotations

from pathlib import Path

from engine.bundles import SHIPPED, Bundle, read_bundle, sampling_of
from engine.cache.budget import Calibration, Setting
from engine.cache.bundled import with_calibration
from engine.samplers import shifted_times

STEPS = 6


def calibrated(folder: Path, *settings: Setting) -> Bundle:
    """In the new `folder`, for STEPS steps."""
    shipped = read_bundle(SHIPPED)
    sampling = sampling_of(shipped)
    times = shifted_times(STEPS, sampling["shift"]).tolist()[:-1]
    return with_calibration(shipped, Calibration(tuple(times), sampling["guidance"], 1, settings), folder)
