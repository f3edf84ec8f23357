"""What sequence parallelism sends, counted on real gloo ranks, beside what the two algorithms have to send.

Ulysses (arXiv 2309.14509): of q, k, v and the output all but a rank's own heads. Ring (2310.01889): a group's keys and
values once to each other place. All that is sent by an attention is counted, masks too.
"""

from __future__ import annotations

from typing import Any

from engine.parallel.mesh import MeshShape
from tests.engine.parallel import cases
from tests.engine.parallel.ranks import Ranks

HEADS, TOKENS, WIDTH = 8, 64, 8  # of the attention in `cases.numbers_sent`
SHAPES = [
    MeshShape(ulysses=2),
    MeshShape(ring=2),
    MeshShape(ulysses=4),
    MeshShape(ring=4),
    MeshShape(ring=2, ulysses=2),
]


def rows(reduced: bool) -> list[dict[str, Any]]:
    """Numbers that a rank sends in one attention."""
    made = []
    for world in (2, 4):
        ranks = Ranks(world)
        try:
            made += [_row(ranks, shape) for shape in SHAPES if shape.world == world]
        finally:
            ranks.stop()
    return made


def _row(ranks: Ranks, layout: MeshShape) -> dict[str, Any]:
    sent = max(ranks.run(cases.numbers_sent, MeshShape(**vars(layout)), HEADS, TOKENS))
    own = HEADS * TOKENS * WIDTH / layout.sequence
    least = 4 * own * (layout.ulysses - 1) / layout.ulysses + 2 * own * (layout.ring - 1)
    return {
        "what": f"numbers sent by a rank in one attention, {layout}",
        "ours": sent,
        "peer": least,
        "ratio": sent / least,
        "unit": "numbers",
        "goal": "<= 1.05 x the minimum",
        "met": sent <= 1.05 * least,
    }
