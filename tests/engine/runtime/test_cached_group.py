"""A diffusion cache on ranks that stay: what one process makes, one decision, nothing left of a broken request."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial

import pytest
import torch

from engine.bundles import SHIPPED, Bundle, BundleError, read_bundle
from engine.cache.budget import Setting
from engine.denoise import Denoiser
from engine.events import Canceled
from engine.parallel.mesh import MeshShape
from engine.runtime.denoise import GroupDenoiser, engine_on
from engine.runtime.group import Limits
from tests.engine.cache.calibrated import STEPS, calibrated
from tests.engine.runtime.programs import Deciding, DecidingAlone, rows_of

BUDGET, LIMITS = 0.05, Limits(start=120, order=60)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The policy whose decisions hang on numbers that no rank has alone."""
    setting = Setting("first-block", {"threshold": 0.5}, 0.04, 0.05, 0.6, 0.0)
    return calibrated(tmp_path_factory.mktemp("bundle") / "nano", setting)


@pytest.fixture(scope="module")
def group(bundle: Bundle) -> Iterator[GroupDenoiser]:
    made = GroupDenoiser(bundle, MeshShape(ulysses=2), cache=BUDGET, limits=LIMITS)
    made.group.program = partial(Deciding, bundle, cache=BUDGET)
    made.group.close()  # it starts anew, with a program that can be asked what it did
    yield made
    made.close()


def test_ranks_cache_as_one_process_does_and_decide_alike(bundle: Bundle, group: GroupDenoiser) -> None:
    rows, alone = rows_of(1), Denoiser(bundle, cache=BUDGET)
    (*_, wanted), (*_, got) = alone.denoise(rows, STEPS), group.denoise(rows, STEPS)
    (*_, whole) = Denoiser(bundle).denoise(rows, STEPS)
    (decided,) = group.group.run("decided")

    scale = wanted.abs().max()
    assert (got - wanted).abs().max() < 1e-5 * scale < (got - whole).abs().max()  # the last is the control
    assert group.saved == alone.saved and 0 < alone.saved["hits"] < STEPS
    assert decided[0] == decided[1] and decided[0].changes


def test_ranks_that_look_at_their_own_tokens_see_other_changes(bundle: Bundle) -> None:
    """The control of `decide alike`."""
    alone = GroupDenoiser(bundle, MeshShape(ulysses=2), cache=BUDGET, limits=LIMITS)
    alone.group.close()
    alone.group.program = partial(DecidingAlone, calibrated(bundle.path.parent / "sure", _always()), cache=BUDGET)
    list(alone.denoise(rows_of(1), STEPS))
    (decided,) = alone.group.run("decided")
    alone.close()

    assert decided[0].changes != decided[1].changes


def _always() -> Setting:
    """Reuses whatever the change is, so that ranks that differ still take the same steps and none waits."""
    return Setting("first-block", {"threshold": 1e9}, 0.04, 0.05, 0.6, 0.0)


def test_after_a_cancel_nothing_is_left_of_the_request(group: GroupDenoiser) -> None:
    (*_, before) = group.denoise(rows_of(1), STEPS)
    told = []

    def visit() -> None:
        if len(told) == 3:
            raise Canceled

    with pytest.raises(Canceled):
        for data in group.denoise(rows_of(2), STEPS, visit):
            told.append(data)
    (*_, after) = group.denoise(rows_of(1), STEPS)

    assert torch.equal(before, after)


def test_a_rank_killed_in_a_cached_request_costs_no_bit(group: GroupDenoiser) -> None:
    wanted, told = list(group.denoise(rows_of(1), STEPS)), []
    saved = group.saved
    for step, data in enumerate(group.denoise(rows_of(1), STEPS), 1):
        told.append(data)
        if step == 3:
            assert group.group.ranks is not None
            os.kill(group.group.ranks.processes[1].pid or 0, signal.SIGKILL)

    assert all(map(torch.equal, wanted, told)) and len(told) == STEPS
    assert group.saved == saved


def test_ranks_that_cannot_keep_a_budget_say_so() -> None:
    with pytest.raises(BundleError, match="brings no calibration: leave it out"):
        engine_on(read_bundle(SHIPPED), {"cfg": 2}, cache=BUDGET)
