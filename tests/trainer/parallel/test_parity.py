"""A run over any layout is the run of one process: real gloo processes, no gate or projection at zero.

Losses, norms, gradients at optimiser steps 1 and 5, and the averaged weights at the end; 31 tokens, 5 heads, 6 rows.
"""

import pytest
import torch

from tests.trainer.parallel import cases
from trainer.parallel.layout import Layout
from trainer.parallel.policy import Memory
from trainer.parallel.spread import Spread

LOSSES = {torch.float64: 1e-10, torch.float32: 1e-5}
GRADIENTS = {torch.float64: 1e-10, torch.float32: 1e-4}
WRONG = 1e-2  # what a planted fault has to exceed, in the gradients
AXES = ("replicate", "shard", "pipe", "ring", "ulysses", "tensor")
PAIRS = [Layout(**{axis: 2}) for axis in AXES]
FOURS = [Layout(**{a: 2, b: 2}) for i, a in enumerate(AXES) for b in AXES[i + 1 :]]  # replicate x shard is HSDP
EIGHT = [Layout(shard=2, pipe=2, tensor=2), Layout(shard=2, ulysses=2, tensor=2)]
KEEP, FULL, SELECTIVE = Memory(), Memory("full"), Memory("selective")
MODELS = ["single", "multimodal"]


def named(value):
    if isinstance(value, Layout):
        return "-".join(f"{axis}{size}" for axis, size in vars(value).items() if size > 1) or "alone"
    return value.recompute if isinstance(value, Memory) else str(value).removeprefix("torch.")


def assert_parity(errors, dtype):
    assert max(max(e.losses, e.norms) for e in errors) <= LOSSES[dtype], errors
    # AdamW's first steps go by a gradient's sign: where that is near zero, its rounding is in the weights' average.
    assert max(max(*e.grads, e.average) for e in errors) <= GRADIENTS[dtype], errors


def test_on_one_process_not_a_bit_differs():
    errors = cases.parity(Layout())
    assert errors.worst == 0.0


@pytest.mark.parametrize(
    ("layout", "model", "dtype", "parts", "memory"),
    [
        (Layout(shard=2), "multimodal", torch.float64, 2, FULL),
        pytest.param(Layout(ulysses=2), "single", torch.float64, 1, SELECTIVE, marks=pytest.mark.full),
        pytest.param(Layout(ring=2), "multimodal", torch.float32, 1, KEEP, marks=pytest.mark.full),
        (Layout(tensor=2), "single", torch.float64, 2, KEEP),
        (Layout(pipe=2), "multimodal", torch.float64, 3, KEEP),
    ],
    ids=named,
)
def test_a_spread_run_is_the_run_of_one_process(ranks, layout, model, dtype, parts, memory):
    errors = ranks(2).run(cases.parity, layout, model, dtype, parts, memory)
    assert_parity(errors, dtype)


@pytest.mark.parametrize(
    "layout", [Layout(shard=2), pytest.param(Layout(ulysses=2), marks=pytest.mark.full), Layout(pipe=2)], ids=named
)
def test_and_wrong_attention_is_found(ranks, layout):
    errors = ranks(2).run(cases.parity, layout, fault="wrong attention")
    assert min(max(e.grads) for e in errors) > WRONG


@pytest.mark.parametrize(
    ("fault", "layout"),
    [
        ("a mean of means", Layout(shard=2)),
        ("no sums over axes", Layout(pipe=2)),
        ("no sums over axes", Layout(replicate=2)),
        ("no sums over axes", Layout(tensor=2)),
    ],
    ids=named,
)
def test_so_are_wrong_sums(ranks, fault, layout):
    errors = ranks(2).run(cases.parity, layout, parts=2, fault=fault)
    assert min(max(e.grads) for e in errors) > WRONG


def test_what_cannot_be_spread_is_refused(ranks):
    said = ranks(2).run(cases.refused, Layout(shard=3))
    assert all("for 3 ranks, and there are 2" in sentence for sentence in said)
    said = ranks(2).run(cases.refused, Layout(tensor=2), second=True)
    assert all("one video transformer can be split, and there are 2" in sentence for sentence in said)
    with pytest.raises(ValueError, match="at least one rank"):
        Layout(pipe=0)


def test_rows_are_shared_and_none_is_dropped():
    spread = Spread({})
    assert spread.share(7, 3) == [range(3), range(3, 5), range(5, 7)]
    with pytest.raises(ValueError, match="2 rows cannot be spread over 1 ranks x 3 microbatches"):
        spread.share(2, 3)


@pytest.mark.full
@pytest.mark.parametrize(
    ("dtype", "parts", "memory"),
    [
        (torch.float64, 1, KEEP),
        (torch.float64, 1, SELECTIVE),
        (torch.float64, 3, KEEP),
        (torch.float64, 3, FULL),
        (torch.float32, 1, KEEP),
        (torch.float32, 3, FULL),
    ],
    ids=named,
)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("layout", [*PAIRS, *FOURS], ids=named)
def test_the_whole_matrix(ranks, layout, model, dtype, parts, memory):
    parts = parts if layout.data < 4 else 1  # six rows
    assert_parity(ranks(layout.world).run(cases.parity, layout, model, dtype, parts, memory), dtype)


@pytest.mark.full
@pytest.mark.parametrize(("parts", "memory"), [(1, KEEP), (3, FULL)], ids=named)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("layout", EIGHT, ids=named)
def test_so_are_products_of_three(ranks, layout, model, parts, memory):
    assert_parity(ranks(8).run(cases.parity, layout, model, torch.float64, parts, memory), torch.float64)


@pytest.mark.full
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("layout", [*PAIRS, *FOURS, *EIGHT], ids=named)
def test_wrong_attention_is_found_in_every_layout(ranks, layout, model):
    errors = ranks(layout.world).run(cases.parity, layout, model, fault="wrong attention")
    assert min(max(e.grads) for e in errors) > WRONG


@pytest.mark.full
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "layout", [Layout(shard=2, ring=2), Layout(pipe=2, ulysses=2), Layout(shard=2, tensor=2)], ids=named
)
def test_so_are_packed_samples_of_any_size(ranks, layout, model):
    errors = ranks(4).run(cases.parity, layout, model, torch.float64, 3, FULL, length="packed")
    assert_parity(errors, torch.float64)
