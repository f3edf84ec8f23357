"""Every mesh with every cache with weights that are whole, sharded or offloaded: what one process makes, exactly.

Real gloo processes, two denoising runs of six steps each, weights with no zero gate or projection. `make test` runs
a third of all pairs of mesh and cache, the rest of a combination taken in turn; `make test-full` runs all.
"""

from itertools import product

import pytest
import torch

from engine.cache.policies import Compute
from engine.parallel.mesh import MeshShape
from tests.engine.cache import cases
from tests.engine.parallel.test_parallel import named

MESHES = [
    MeshShape(),
    MeshShape(cfg=2),
    MeshShape(data=2),
    MeshShape(tensor=2),
    MeshShape(ulysses=2),
    MeshShape(ring=2),
    MeshShape(ring=2, ulysses=2),
    MeshShape(cfg=2, ulysses=2),
]
CACHES = [None, *(name for name in cases.POLICIES if name != "exact")]
WEIGHTS = ["whole", "sharded", "offloaded"]
LENGTHS = ["odd", "even"]
MODELS = ["single", "multimodal"]
LIMITS = {torch.float64: 1e-10, torch.float32: 1e-5}

ALL = list(product(MESHES, CACHES, WEIGHTS, LENGTHS, MODELS))
REST = list(product(WEIGHTS, LENGTHS, MODELS))


def in_turn(pairs):
    """What stands beside each pair. 7 and 12 have no common divisor: twelve pairs meet all of REST."""
    return [(*pair, *REST[7 * i % len(REST)]) for i, pair in enumerate(pairs)]


PAIRS = list(product(MESHES, CACHES))


def asserted(ranks, shape, cache, weights, length, model, dtype=torch.float64):
    answers = ranks(shape.world).run(cases.parity, cache, model, length, shape, weights=weights, dtype=dtype)
    assert max(error for error, _ in answers) <= LIMITS[dtype], answers
    assert all(decisions == answers[0][1] for _, decisions in answers)
    decided = [step for request in answers[0][1] for step in request]
    # Guidance's halves on two ranks are computed in every step: what a cache of guidance alone would save is not there.
    spared = cache is not None and not (cache.startswith("guidance") and shape.cfg * shape.data > 1)
    assert (Compute.ALL in decided, len(set(decided)) > 1) == (cache is not None, spared)


@pytest.mark.parametrize(("shape", "cache", "weights", "length", "model"), in_turn(PAIRS[::3]), ids=named)
def test_a_combination_is_what_one_process_makes(ranks, shape, cache, weights, length, model):
    asserted(ranks, shape, cache, weights, length, model)


@pytest.mark.parametrize(("shape", "cache", "weights", "length", "model"), in_turn(PAIRS[1::9]), ids=named)
def test_so_it_is_in_fp32(ranks, shape, cache, weights, length, model):
    asserted(ranks, shape, cache, weights, length, model, torch.float32)


@pytest.mark.full
@pytest.mark.parametrize("dtype", list(LIMITS), ids=named)
@pytest.mark.parametrize(("shape", "cache", "weights", "length", "model"), ALL, ids=named)
def test_all_combinations(ranks, shape, cache, weights, length, model, dtype):
    asserted(ranks, shape, cache, weights, length, model, dtype)
