"""A transformer under the cache of its bundle: the calibration in it, a budget, and what came of each request.

The only place where the engine decides which policy runs; see `apply` for how ranks come to one decision.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from torch import nn

from engine.bundles import MANIFEST, Bundle, explained, read_bundle, write_bundle
from engine.cache.apply import Cache, Report
from engine.cache.budget import FILE, Calibration, of_bundle
from engine.cache.policies import Exact
from engine.parallel.mesh import Mesh


def with_calibration(bundle: Bundle, found: Calibration, out: Path) -> Bundle:
    """The bundle with a calibration as the new folder `out`, whole or not at all; files are linked where possible."""
    unfinished = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        shutil.copytree(bundle.path, unfinished, ignore=shutil.ignore_patterns(MANIFEST, FILE), copy_function=_shared)
        found.save(unfinished / FILE)
        write_bundle(
            unfinished,
            name=bundle.name,
            version=bundle.version,
            kinds=bundle.kinds,
            capabilities=bundle.capabilities,
            provenance={**bundle.provenance, "cache": {"steps": len(found.times), "requests": found.requests}},
            layout=bundle.layout,
        )
        unfinished.rename(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return read_bundle(out)


def _shared(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)


class BundledCache:
    """`budget` is the error that it may cost, as a share of the final latents; 0 computes everything.

    BundleError where there is a budget and no calibration of use, ValueError for what is no budget. A calibration is
    for one number of steps: at others a request raises ValueError or, not `strict`, computes everything, as `saved`
    then tells. `mesh`: that of `Parallel`.
    """

    def __init__(self, bundle: Bundle, budget: float, mesh: Mesh | None = None, *, strict: bool = True) -> None:
        self.budget, self.mesh, self.strict = budget, mesh, strict
        self.calibration = of_bundle(bundle) if budget else None
        if self.calibration:  # what is wrong is refused here, and not by the first request
            self.calibration.setting(budget)
            apart = mesh is not None and mesh.cfg.size * mesh.data.size > 1  # then half of guidance takes a whole call
            with explained(bundle, FILE):
                self.policy = self.calibration.policy(budget, 1.0 if apart else 0.5)
        self.report = Report()

    @property
    def saved(self) -> dict[str, float]:
        """What the last request was spared; empty without a budget."""
        return {"budget": self.budget, **self.report.summary} if self.calibration else {}

    @contextmanager
    def request(self, dit: nn.Module, times: Sequence[float]) -> Iterator[None]:
        """One denoising of the transformer, under the cache within: `times` are those of its calls to come."""
        if self.calibration is None:
            yield
            return
        if self.strict:
            self.calibration.check(times)
        policy = self.policy if self.calibration.fits(times) else Exact()
        with Cache(dit, policy, self.mesh) as cache, cache.request(times) as self.report:
            yield
