"""A model of split weights is the model alone: forward, backward, and after steps of an optimiser."""

import pytest
import torch

from engine.parallel.mesh import MeshShape
from tests.engine.parallel import cases, memory_cases
from tests.engine.parallel.test_parallel import EXACT, MODELS, WRONG, assert_exact, named

PAIR = MeshShape(tensor=2)
FOURS = [
    MeshShape(ulysses=2, tensor=2),
    MeshShape(ring=2, tensor=2),
    MeshShape(cfg=2, tensor=2),
    MeshShape(data=2, tensor=2),
    MeshShape(tensor=4),
]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("shape", [PAIR, *FOURS], ids=named)
def test_a_model_of_split_weights_is_the_model_alone(ranks, shape, model):
    """5 heads are 3 and 2, of which Ulysses makes 2, 1 and 1, 1; 31 tokens; texts of 0 to 5 words."""
    errors = ranks(shape.world).run(cases.model_parity, shape, model, "odd", torch.float64)
    assert_exact(errors, torch.float64)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("length", "dtype"), [("packed", torch.float64), ("even", torch.float32)], ids=named)
def test_so_it_is_packed_and_in_fp32(ranks, model, length, dtype):
    errors = ranks(4).run(cases.model_parity, MeshShape(ulysses=2, tensor=2), model, length, dtype)
    assert_exact(errors, dtype)


@pytest.mark.full
@pytest.mark.parametrize("dtype", list(EXACT), ids=named)
@pytest.mark.parametrize("length", ["odd", "even", "tiny", "packed"])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("shape", [PAIR, MeshShape(tensor=3), *FOURS], ids=named)
def test_the_whole_matrix(ranks, shape, model, length, dtype):
    errors = ranks(shape.world).run(cases.model_parity, shape, model, length, dtype)
    assert_exact(errors, dtype)


@pytest.mark.parametrize("shape", [PAIR, MeshShape(ulysses=2, tensor=2)], ids=named)
def test_what_an_optimiser_learns_over_the_mesh_is_what_it_learns_alone(ranks, shape):
    assert max(ranks(shape.world).run(memory_cases.learnt, shape)) <= 1e-10


@pytest.mark.parametrize("shape", [PAIR, MeshShape(data=2, tensor=2)], ids=named)
def test_weights_that_were_frozen_when_they_were_split_learn_as_others_do(ranks, shape):
    assert max(ranks(shape.world).run(memory_cases.unfrozen, shape)) <= 1e-10


@pytest.mark.parametrize("shape", [PAIR, MeshShape(ulysses=2, tensor=2)], ids=named)
def test_taken_off_the_mesh_the_weights_are_whole_and_the_same(ranks, shape):
    assert all(ranks(shape.world).run(cases.removed, shape))


def test_each_rank_holds_its_part_and_sums_once_a_pair_of_layers(ranks):
    """Two blocks of attention, cross-attention and feed-forward: six sums. What is split is split to a third."""
    for held, whole, sums in ranks(4).run(memory_cases.split, MeshShape(data=2, tensor=2)):
        assert sums == 6
        assert held < 0.62 * whole  # 3 of 5 heads
    with_none = ranks(4).run(memory_cases.heads, MeshShape(tensor=4), 3)
    assert with_none == [1, 1, 1, 0]


@pytest.mark.parametrize("model", MODELS)
def test_a_rank_without_heads_takes_part(ranks, model):
    """3 heads on 4 ranks."""
    errors = ranks(4).run(cases.model_parity, MeshShape(tensor=4), model, "odd", torch.float64, heads=3)
    assert_exact(errors, torch.float64)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "fault", ["missing sum", "sum without gradient", "bias on every rank", "swapped heads of a layer"]
)
def test_a_planted_fault_is_found(ranks, fault, model):
    errors = ranks(2).run(cases.model_parity, PAIR, model, "odd", torch.float64, fault=fault)
    assert max(error.worst for error in errors) > WRONG


@pytest.mark.parametrize("shape", [MeshShape(ulysses=2), MeshShape(ring=2, ulysses=2)], ids=named)
def test_the_text_encoder_over_the_ranks_of_the_sequence_is_the_encoder_alone(ranks, shape):
    """3 heads, so that the fourth rank has none; texts of 1 to 7 words."""
    for error, held, whole in ranks(shape.world).run(memory_cases.text_parity, shape):
        assert error <= 1e-10
        assert held < (0.75 if shape.world == 2 else 0.5) * whole


def test_a_model_with_nothing_to_split_is_refused(ranks):
    said = ranks(2).run(memory_cases.nothing_to_split)
    assert all("Nothing of Linear can be split" in sentence for sentence in said)
