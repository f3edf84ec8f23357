"""`engine.costs` says what is really sent: a whole model's forward, counted on every rank."""

import pytest

from engine.axes import MeshShape
from engine.costs import sent_bytes
from tests.engine.parallel import cases, sent_cases

CONFIG = {**cases.SMALL, "hidden": 40, "heads": 5, "depth": 2}


@pytest.mark.parametrize(
    "shape",
    [
        MeshShape(ulysses=2),
        MeshShape(ring=2),
        MeshShape(cfg=2),
        MeshShape(data=2),
        MeshShape(ring=2, ulysses=2),
        MeshShape(cfg=2, ulysses=2),
    ],
    ids=lambda shape: "-".join(f"{axis}{size}" for axis, size in vars(shape).items() if size > 1),
)
def test_costs_count_what_all_ranks_send(ranks, shape):
    """Five heads: a rank of two sends another number than its neighbour, so all ranks are summed."""
    sent = sum(ranks(shape.world).run(sent_cases.numbers_sent_by_a_forward, shape, 4))
    counted = sent_bytes(CONFIG, MeshShape(**vars(shape)), tokens=16, text_tokens=7, batch=4, width=1)
    assert sent == sum(counted.values()) * shape.world > 0
