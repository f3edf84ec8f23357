"""A model over a mesh is the model alone, forward and backward: real gloo processes, no gate or projection at zero."""

import pytest
import torch

from engine.parallel.mesh import MeshShape
from tests.engine.parallel import cases

EXACT = {torch.float64: 1e-10, torch.float32: 1e-5}
WRONG = 1e-3  # what a planted fault has to exceed
PAIRS = [MeshShape(ulysses=2), MeshShape(ring=2), MeshShape(cfg=2), MeshShape(data=2)]
FOURS = [
    MeshShape(ring=2, ulysses=2),
    MeshShape(ring=4),
    MeshShape(ulysses=4),
    MeshShape(cfg=2, ulysses=2),
    MeshShape(data=2, ring=2),
    MeshShape(data=2, cfg=2),
]
SEQUENCES = [MeshShape(ulysses=2), MeshShape(ring=2), MeshShape(ring=2, ulysses=2)]
MODELS = ["single", "multimodal"]


def named(value):
    if isinstance(value, MeshShape):
        return "-".join(f"{axis}{size}" for axis, size in vars(value).items() if size > 1)
    return str(value).removeprefix("torch.")


def assert_exact(errors, dtype):
    worst = max(error.worst for error in errors)
    assert worst <= EXACT[dtype], errors


# --- the whole model ---


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("shape", PAIRS + FOURS, ids=named)
def test_a_model_over_a_mesh_is_the_model_alone(ranks, shape, model):
    """31 tokens, 5 heads, texts of 0 to 5 words: nothing divides evenly."""
    errors = ranks(shape.world).run(cases.model_parity, shape, model, "odd", torch.float64)
    assert_exact(errors, torch.float64)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("shape", [MeshShape(ring=2, ulysses=2), MeshShape(cfg=2, ulysses=2)], ids=named)
@pytest.mark.parametrize(
    ("length", "dtype"), [("packed", torch.float64), ("tiny", torch.float64), ("even", torch.float32)], ids=named
)
def test_so_it_is_packed_with_ranks_left_empty_and_in_fp32(ranks, shape, model, length, dtype):
    errors = ranks(shape.world).run(cases.model_parity, shape, model, length, dtype)
    assert_exact(errors, dtype)


@pytest.mark.full
@pytest.mark.parametrize("dtype", list(EXACT), ids=named)
@pytest.mark.parametrize("length", ["odd", "even", "tiny", "packed"])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("shape", [*PAIRS, MeshShape(ulysses=3), MeshShape(ring=3), *FOURS], ids=named)
def test_the_whole_matrix(ranks, shape, model, length, dtype):
    errors = ranks(shape.world).run(cases.model_parity, shape, model, length, dtype)
    assert_exact(errors, dtype)


# --- attention alone ---


@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize(("heads", "tokens"), [(5, 31), (1, 2)])
@pytest.mark.parametrize("shape", [*SEQUENCES, MeshShape(ring=4), MeshShape(ulysses=4)], ids=named)
def test_attention_is_exact_for_any_heads_length_and_mask(ranks, shape, heads, tokens, masked):
    """One head or two tokens leave ranks with nothing to do; they take part all the same."""
    errors = ranks(shape.world).run(cases.attention_parity, shape, heads, tokens, torch.float64, masked)
    assert_exact(errors, torch.float64)


@pytest.mark.full
@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize("tokens", [1, 2, 7, 16, 31, 64])
@pytest.mark.parametrize("heads", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("shape", [*SEQUENCES, MeshShape(ring=3), MeshShape(ulysses=3), MeshShape(ring=4)], ids=named)
def test_attention_over_the_whole_matrix(ranks, shape, heads, tokens, masked):
    errors = ranks(shape.world).run(cases.attention_parity, shape, heads, tokens, torch.float64, masked)
    assert_exact(errors, torch.float64)


@pytest.mark.parametrize("world", [2, 4])
def test_block_sparse_attention_over_ulysses_is_that_of_one_device(ranks, world):
    assert max(ranks(world).run(cases.sparse_parity, MeshShape(ulysses=world))) <= 1e-10


def test_block_sparse_attention_is_refused_where_keys_or_streams_are_parted(ranks):
    for said in ranks(2).run(cases.sparse_parity, MeshShape(ring=2)):
        assert "use ulysses, not a ring" in said
    for said in ranks(2).run(cases.sparse_parity, MeshShape(ulysses=2), "multimodal"):
        assert "block-sparse is for `self`" in said


@pytest.mark.parametrize("shape", [*SEQUENCES, MeshShape(ulysses=4), MeshShape(ring=4)], ids=named)
def test_no_more_is_sent_than_has_to_be(ranks, shape):
    """Ulysses: of q, k, v and the output all but the own heads. Ring: the group's keys and values to all others."""
    own = 64 * 8 * 8 // shape.world  # 64 tokens, 8 heads of width 8
    ulysses, ring = 4 * own * (shape.ulysses - 1) // shape.ulysses, 2 * own * (shape.ring - 1)
    assert ranks(shape.world).run(cases.numbers_sent, shape, 8, 64) == [ulysses + ring] * shape.world


@pytest.mark.parametrize("world", [2, 4])
@pytest.mark.parametrize(("length", "dim"), [(31, 1), (8, 0), (3, 2), (1, 1)])
def test_cut_and_gathered_not_a_bit_has_changed(ranks, world, length, dim):
    assert all(ranks(world).run(cases.round_trip, length, dim))


@pytest.mark.parametrize("dtypes", [(), (torch.bfloat16, torch.float32)], ids=["nothing", "mixed"])
def test_gradients_are_averaged_in_their_own_types_and_none_at_all_too(ranks, dtypes):
    wanted = [(dtype, [0.5] * 3) for dtype in dtypes]
    assert ranks(2).run(cases.averaged, *dtypes) == [wanted] * 2


# --- controls: each fault is found ---


@pytest.mark.parametrize(
    ("fault", "shape"),
    [
        ("wrong merge", MeshShape(ring=2)),
        ("empty ring", MeshShape(ring=2)),
        ("wrong scale in the ring", MeshShape(ring=2)),
        ("lost gradient of keys", MeshShape(ring=2)),
        ("missing rank", MeshShape(ulysses=2)),
        ("wrong scale", MeshShape(ulysses=2)),
        ("swapped heads", MeshShape(ulysses=2)),
        ("padding is seen", MeshShape(ulysses=2)),
        ("padding is seen", MeshShape(ring=2)),
    ],
    ids=named,
)
@pytest.mark.parametrize("model", MODELS)
def test_a_planted_fault_is_found(ranks, fault, shape, model):
    errors = ranks(2).run(cases.model_parity, shape, model, "odd", torch.float64, fault=fault)
    assert max(error.worst for error in errors) > WRONG


# --- the mesh, and what is refused ---


def test_the_ranks_of_a_ulysses_group_are_neighbours(ranks):
    layout = ranks(4).run(cases.mesh_layout, MeshShape(ring=2, ulysses=2))
    assert [(at["ring"], at["ulysses"], at["sequence"]) for at in layout] == [
        (0, 0, 0),
        (0, 1, 1),
        (1, 0, 2),
        (1, 1, 3),
    ]
    halves = ranks(4).run(cases.mesh_layout, MeshShape(cfg=2, ulysses=2))
    assert [(at["cfg"], at["sequence"]) for at in halves] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_off_the_mesh_the_model_is_as_it_was(ranks):
    assert all(ranks(4).run(cases.removed, MeshShape(ulysses=2, cfg=2)))


@pytest.mark.parametrize(
    ("shape", "rows", "sentence"),
    [
        (MeshShape(cfg=2), 3, "as many asked as unasked rows, not 3"),
        (MeshShape(data=2), 1, "1 rows cannot be spread over the 2 ranks of `data`"),
    ],
    ids=named,
)
def test_a_batch_that_cannot_be_spread_is_refused_on_every_rank(ranks, shape, rows, sentence):
    assert all(sentence in said for said in ranks(2).run(cases.refused, shape, rows))


def test_a_mesh_of_another_size_is_refused(ranks):
    assert all("has 3 ranks, the process group 2" in said for said in ranks(2).run(cases.wrong_mesh, MeshShape(ring=3)))


@pytest.mark.parametrize(
    ("axes", "sentence"),
    [({"cfg": 3}, "two halves"), ({"ring": 0}, "at least one rank")],
)
def test_a_mesh_that_cannot_be_is_refused(axes, sentence):
    with pytest.raises(ValueError, match=sentence):
        MeshShape(**axes)
