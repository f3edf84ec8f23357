"""What one layout has saved, another goes on with: weights, moments and average, by DCP."""

import pytest

from tests.trainer.parallel import cases
from tests.trainer.parallel.test_parity import named
from trainer.parallel.layout import Layout

EXACT, WRONG = 1e-10, 1e-6


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Layout(tensor=2), Layout(pipe=2)),
        (Layout(pipe=2), Layout(shard=2)),
        (Layout(ulysses=2), Layout(tensor=2)),
    ],
    ids=named,
)
def test_a_run_goes_on_over_another_layout(ranks, tmp_path, before, after):
    ranks(2).run(cases.saved, before, str(tmp_path))
    assert max(max(errors) for errors in ranks(2).run(cases.resumed, after, str(tmp_path))) <= EXACT


def test_and_on_one_process(ranks, tmp_path):
    ranks(2).run(cases.saved, Layout(tensor=2), str(tmp_path))
    assert max(cases.resumed(Layout(), str(tmp_path))) <= EXACT


@pytest.mark.full
@pytest.mark.parametrize("after", [Layout(pipe=2), Layout(tensor=2), Layout(replicate=2)], ids=named)
@pytest.mark.parametrize("before", [Layout(shard=2, tensor=2), Layout(pipe=2, tensor=2)], ids=named)
def test_so_it_does_on_another_number_of_ranks(ranks, tmp_path, before, after):
    ranks(4).run(cases.saved, before, str(tmp_path))
    assert max(max(errors) for errors in ranks(2).run(cases.resumed, after, str(tmp_path))) <= EXACT


@pytest.mark.parametrize("forget", ["moments", "average"])
def test_what_is_forgotten_is_found(tmp_path, forget):
    cases.saved(Layout(), str(tmp_path))
    assert max(cases.resumed(Layout(), str(tmp_path), forget=forget)) > WRONG


@pytest.mark.full
def test_moments_of_8_bits_are_sharded_and_kept(ranks, tmp_path):
    """Saved and gone on with, the losses have the same bits; over ranks they differ by what 8 bits make of rounding."""
    alone, again = cases.narrow(Layout(), str(tmp_path / "alone"))
    assert again == 0.0
    for losses, again in ranks(2).run(cases.narrow, Layout(shard=2), str(tmp_path / "shard")):
        assert again == 0.0
        assert max(abs(a - b) / a for a, b in zip(alone, losses, strict=True)) < 1e-3
    for said in ranks(2).run(cases.narrow_over_tensor):
        assert "use adamw or fused there" in said
