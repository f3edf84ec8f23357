"""All ranks choose one bucket, steps cost alike, nothing is dropped, and a run goes on in the same order anywhere."""

from collections import Counter

import numpy as np
import pytest

from engine.costs import token_count
from tests.trainer import bucket_cases as cases
from trainer.buckets import BucketPlan, Schedule, balanced_rows, evenness


def epochs_of(plan: BucketPlan, epochs: int) -> list[Counter]:
    """How often each record was drawn until an epoch's end, epoch by epoch."""
    seen, found = Counter(), []
    for epoch in range(epochs):
        for number in range(plan.batches_before(epoch), plan.batches_before(epoch + 1)):
            batch = plan.batch(number)
            assert batch.epoch == epoch
            seen.update(batch.items.tolist())
        found.append(Counter(seen))
    return found


def dropped(plan: BucketPlan, epochs: int = 4) -> int:
    """Draws that are missing at the epochs' ends and that no count of what is left over tells of."""
    found = 0
    for epoch, seen in enumerate(epochs_of(plan, epochs)):
        for grid, items in plan.items.items():
            drawn = sum(seen[item] for item in items.tolist())
            found += (epoch + 1) * len(items) - plan.left_over(epoch)[grid] - drawn
    return found


def test_nothing_is_dropped_and_what_is_left_over_is_counted_and_comes_first():
    plan = cases.plan()
    assert dropped(plan) == 0
    for epoch, seen in enumerate(epochs_of(plan, 4)):
        assert max(seen.values()) == epoch + 1
        assert sum(plan.left_over(epoch).values()) > 0
        for grid, items in plan.items.items():
            late = [item for item in items.tolist() if seen[item] <= epoch]
            assert len(late) == plan.left_over(epoch)[grid]
            batches = (plan.batch(k) for k in range(plan.batches_before(epoch + 1), plan.batches_before(epoch + 2)))
            first = next(batch for batch in batches if batch.grid == grid)
            assert set(first.items[: len(late)].tolist()) == set(late)


def test_control_a_plan_that_drops_the_tail_is_found():
    assert dropped(cases.plan(cases.DropsTheTail)) > 20


def test_all_ranks_choose_the_same_and_one_that_draws_for_itself_is_found(ranks):
    alone = cases.chosen(BucketPlan, 40)
    assert ranks(2).run(cases.chosen, BucketPlan, 40) == [alone, alone]
    first, second = ranks(2).run(cases.chosen, cases.EachRankItsOwn, 40)
    assert first != second, "the control"


def test_every_bucket_comes_in_every_epoch_as_often_as_it_has_batches():
    plan = cases.plan()
    grids = [plan.batch(k).grid for k in range(plan.batches_before(3))]
    assert {grid: grids.count(grid) for grid in cases.GRIDS} == {
        grid: 3 * count // cases.ROWS[grid] for grid, count in zip(cases.GRIDS, cases.COUNTS, strict=True)
    }
    assert any(one != other for one, other in zip(grids, sorted(grids), strict=True)), "they are mixed"


def test_few_records_fill_a_batch_over_several_epochs():
    plan = BucketPlan("few", {(1, 2, 2): np.arange(3)}, {(1, 2, 2): 8}, seed=0)
    drawn = np.concatenate([plan.batch(k).items for k in range(9)])
    assert Counter(drawn.tolist()) == {0: 24, 1: 24, 2: 24}
    assert [plan.epoch_of(k) for k in range(4)] == [2, 5, 7, 10]


def test_steps_cost_alike_by_operations_and_not_by_tokens():
    rows = balanced_rows(cases.COSTS, cases.GRIDS[0], batch=64)
    assert evenness(cases.COSTS, rows) < 1.1
    tokens = {grid: token_count(cases.MODEL, *grid) for grid in cases.GRIDS}
    by_tokens = balanced_rows(tokens, cases.GRIDS[0], batch=64)
    assert evenness(cases.COSTS, by_tokens) > 1.3, "the control: attention is quadratic"
    same = dict.fromkeys(cases.GRIDS, 64)
    assert evenness(cases.COSTS, same) > 2


def test_batches_are_shared_evenly_by_as_many_ranks_as_asked_for():
    rows = balanced_rows(cases.COSTS, cases.GRIDS[0], batch=64, multiple=8)
    assert all(count % 8 == 0 for count in rows.values())
    assert evenness(cases.COSTS, rows, ranks=8) == pytest.approx(evenness(cases.COSTS, rows))
    odd = {grid: count + 1 for grid, count in rows.items()}
    assert evenness(cases.COSTS, odd, ranks=8) > evenness(cases.COSTS, rows, ranks=8)
    with pytest.raises(ValueError, match="give a multiple"):
        balanced_rows(cases.COSTS, cases.GRIDS[0], batch=12, multiple=8)


def test_stages_follow_one_another():
    plans = [BucketPlan(name, cases.items(), cases.ROWS, seed) for seed, name in enumerate("abc")]
    schedule = Schedule(list(zip(plans, (3, 4, 5), strict=True)))
    assert "".join(schedule.batch(k).stage for k in range(14)) == "aaabbbbccccccc"
    assert schedule.steps == 12
    assert schedule.batch(5).items.tolist() == plans[1].batch(2).items.tolist()
    ends = [k for k in range(200) if schedule.left_over(k) is not None]
    assert ends[0] == 7 + plans[2].batches_before(1)
    assert schedule.left_over(ends[1]) == plans[2].left_over(1)


def test_a_stage_without_samples_says_so():
    with pytest.raises(ValueError, match=r"The stage x has no samples of \[\(1, 2, 2\)\]"):
        BucketPlan("x", {(1, 2, 2): np.arange(0)}, {(1, 2, 2): 4}, seed=0)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    return cases.trained(str(folder)), cases.samples(folder)


def test_two_ranks_learn_what_one_does(ranks, tmp_path, alone):
    losses, samples = alone
    found = ranks(2).run(cases.trained, str(tmp_path))[0]
    assert cases.samples(tmp_path) == samples
    assert found == pytest.approx(losses, rel=2e-2)  # the sums of bf16 products are in another order
    assert len({len(batch) for batch in samples.values()}) > 2, "batches of several sizes"


def test_a_run_goes_on_in_the_same_order_on_another_number_of_ranks(ranks, tmp_path, alone):
    losses, samples = alone
    ranks(2).run(cases.trained, str(tmp_path), 10)
    found = cases.trained(str(tmp_path))
    assert list(found) == list(losses)
    assert cases.samples(tmp_path) == samples
