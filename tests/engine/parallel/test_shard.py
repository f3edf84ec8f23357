"""A model whose weights come and go computes with the bits of one whose weights stay, and holds so much less."""

import pytest
import torch

from engine.parallel.mesh import MeshShape
from tests.engine.parallel import memory_cases
from tests.engine.parallel.test_parallel import EXACT, MODELS, WRONG, named

PAIRS = [MeshShape(ulysses=2), MeshShape(ring=2), MeshShape(cfg=2)]
FOURS = [MeshShape(ring=2, ulysses=2), MeshShape(cfg=2, ulysses=2), MeshShape(ulysses=2, tensor=2)]
BLOCKS = 6
SLACK = 400_000  # bytes of activations


@pytest.mark.parametrize(
    ("shape", "length", "model", "how"),
    [
        *((PAIRS[0], "odd", model, how) for model in MODELS for how in ("shard", "offload")),
        (PAIRS[0], "packed", "multimodal", "shard"),
        (MeshShape(ring=2), "odd", "single", "shard"),
        (MeshShape(cfg=2), "odd", "multimodal", "shard"),
        (MeshShape(ring=2, ulysses=2), "odd", "multimodal", "shard"),
        (MeshShape(cfg=2, ulysses=2), "odd", "single", "offload"),
        (MeshShape(tensor=2), "odd", "multimodal", "offload"),
        *((MeshShape(ulysses=2, tensor=2), "odd", model, "shard") for model in MODELS),
    ],
    ids=named,
)
def test_the_weights_come_and_go_and_not_a_bit_of_them_changes(ranks, shape, length, model, how):
    for same, error, restored in ranks(shape.world).run(
        memory_cases.kept_parity, shape, model, length, torch.float64, how
    ):
        assert same
        assert restored
        assert error <= EXACT[torch.float64]


@pytest.mark.full
@pytest.mark.parametrize("dtype", list(EXACT), ids=named)
@pytest.mark.parametrize("how", ["shard", "offload"])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("length", ["odd", "even", "tiny", "packed"])
@pytest.mark.parametrize("shape", [*PAIRS, *FOURS], ids=named)
def test_the_whole_matrix(ranks, shape, length, model, how, dtype):
    answers = ranks(shape.world).run(memory_cases.kept_parity, shape, model, length, dtype, how)
    assert all(same and restored and error <= EXACT[dtype] for same, error, restored in answers)


@pytest.mark.parametrize(("group", "bits"), [(2, None), (1, "int8"), (1, "fp8")])
@pytest.mark.parametrize("how", ["shard", "offload"])
def test_so_do_groups_of_blocks_and_quantised_weights(ranks, how, group, bits):
    answers = ranks(2).run(
        memory_cases.kept_parity, PAIRS[0], "single", "odd", torch.float32, how, group=group, bits=bits
    )
    assert all(same and restored and error <= EXACT[torch.float32] for same, error, restored in answers)


@pytest.mark.parametrize("how", ["shard", "offload"])
@pytest.mark.parametrize("fault", ["the first block for all", "not a byte comes"])
def test_a_planted_fault_is_found(ranks, fault, how):
    answers = ranks(2).run(memory_cases.kept_parity, PAIRS[0], "single", "odd", torch.float64, how, fault=fault)
    assert all(not same and error > WRONG for same, error, _ in answers)


@pytest.mark.parametrize("shape", [MeshShape(ulysses=2), MeshShape(ring=2, ulysses=2)], ids=named)
def test_a_rank_holds_its_part_and_two_blocks_at_most(ranks, shape):
    for most, after, whole, one in ranks(shape.world).run(memory_cases.peak, shape, "shard", BLOCKS):
        rest = whole - BLOCKS * one
        assert most <= rest + BLOCKS * one // shape.world + 2 * one + SLACK
        assert after <= rest + BLOCKS * one // shape.world + SLACK


def test_offloaded_a_rank_holds_two_blocks_at_most(ranks):
    for most, after, whole, one in ranks(2).run(memory_cases.peak, PAIRS[0], "offload", BLOCKS):
        assert most <= whole - BLOCKS * one + 2 * one + SLACK
        assert after <= whole - BLOCKS * one + SLACK


def test_and_the_count_finds_weights_that_stay(ranks):
    for most, after, whole, _ in ranks(2).run(memory_cases.peak, PAIRS[0], "stay", BLOCKS):
        assert whole <= after <= most <= whole + SLACK


def test_a_gradient_is_refused_and_so_is_what_is_elsewhere_already(ranks):
    assert all("for inference" in said for said in ranks(2).run(memory_cases.refused, "gradient"))
    assert all("shard or offload it, not both" in said for said in ranks(2).run(memory_cases.refused, "twice"))
