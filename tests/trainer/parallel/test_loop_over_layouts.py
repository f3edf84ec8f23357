"""The one loop over sharded and split transformers: stopped, and gone on with by one process and by other layouts."""

import pytest

from tests.trainer.parallel import loop_cases
from tests.trainer.parallel.test_parity import named
from trainer.parallel.layout import Layout
from trainer.parallel.policy import Memory


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return loop_cases.trained(Layout(), str(tmp_path_factory.mktemp("alone")))


@pytest.mark.full
@pytest.mark.parametrize(
    ("first", "then"), [(Layout(shard=2), Layout()), (Layout(tensor=2), Layout(shard=2))], ids=named
)
def test_a_run_goes_on_over_another_layout(ranks, tmp_path, alone, first, then):
    ranks(2).run(loop_cases.trained, first, str(tmp_path), until=5)
    whole = loop_cases.trained(then, str(tmp_path)) if then.world == 1 else go_on(ranks, then, tmp_path)
    assert list(whole) == list(range(1, loop_cases.STEPS + 1))
    assert whole == pytest.approx(alone, rel=1e-9)


@pytest.mark.parametrize(
    "then",
    [Layout(shard=2), *(pytest.param(layout, marks=pytest.mark.full) for layout in (Layout(tensor=2), Layout(pipe=2)))],
    ids=named,
)
def test_the_file_of_one_process_goes_on_over_a_layout(ranks, tmp_path, alone, then):
    loop_cases.trained(Layout(), str(tmp_path), until=5, checkpoints="auto")
    assert (tmp_path / "stage" / "checkpoint.pt").exists()
    whole = ranks(2).run(loop_cases.trained, then, str(tmp_path), checkpoints="auto")[0]
    assert list(whole) == list(range(1, loop_cases.STEPS + 1))
    assert whole == pytest.approx(alone, rel=1e-9)


def test_a_run_that_keeps_less_has_the_same_bits(tmp_path, alone):
    assert loop_cases.trained(Layout(), str(tmp_path), memory=Memory("full", offload=True)) == alone


def go_on(ranks, layout, folder):
    return ranks(2).run(loop_cases.trained, layout, str(folder))[0]
