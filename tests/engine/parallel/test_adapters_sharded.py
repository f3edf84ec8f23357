"""Adapters beside sharded weights of another type: two real ranks against one process."""

from collections.abc import Callable

from tests.engine.parallel.adapter_cases import adapter_parity
from tests.engine.parallel.ranks import Ranks

TOLERANCE = 2e-2  # the bfloat16 model's own rounding, which differs with the batch


def test_a_sharded_adapter_beside_sharded_bfloat16_weights_learns_as_on_one_process(
    ranks: Callable[[int], Ranks],
) -> None:
    for error, types, stepped, said in ranks(2).run(adapter_parity, sharded=True):
        assert error < TOLERANCE
        assert types == {"torch.float32"}
        assert stepped < 1e-3
        assert "is sharded, offloaded or quantised: merge before that" in said


def test_control_ranks_that_do_not_meet_have_other_gradients(ranks: Callable[[int], Ranks]) -> None:
    assert all(error > 5 * TOLERANCE for error, *_ in ranks(2).run(adapter_parity, sharded=False))
