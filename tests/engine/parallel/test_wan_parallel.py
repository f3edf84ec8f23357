"""Wan's transformer over two ranks is exact: any length, heads that do not divide, photo and per-token times."""

import pytest
import torch

from engine.parallel.mesh import MeshShape
from engine.pretrained.wan import Spread
from tests.engine.pretrained import cases

SHAPES = {"ulysses2": MeshShape(ulysses=2), "ring2": MeshShape(ring=2)}
ODD, EVEN = (3, 6, 10), (2, 4, 8)  # 45 and 16 tokens


@pytest.mark.parametrize("kind", ["plain", "photo", "times"])
@pytest.mark.parametrize("shape", SHAPES)
def test_wan_is_exact_for_odd_lengths(ranks, shape, kind):
    for error, restored in ranks(2).run(cases.parity, SHAPES[shape], kind, ODD, torch.float64):
        assert error < 1e-10
        assert restored


@pytest.mark.parametrize("shape", SHAPES)
def test_wan_is_exact_in_single_precision(ranks, shape):
    for error, _ in ranks(2).run(cases.parity, SHAPES[shape], "plain", EVEN, torch.float32):
        assert error < 1e-5


def test_swapped_heads_are_found(ranks):
    assert all(
        error > 1e-3
        for error, _ in ranks(2).run(cases.parity, SHAPES["ulysses2"], "plain", ODD, torch.float64, "swapped heads")
    )


def test_another_model_is_refused():
    with pytest.raises(ValueError, match="no sequence plan for Linear"):
        Spread(torch.nn.Linear(2, 2), None)
