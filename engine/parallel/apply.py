"""One call that spreads a model over a mesh, and its undoing."""

from __future__ import annotations

from types import TracebackType

from torch import nn

from engine.attention.dispatch import Attention
from engine.parallel.batch import BatchSharding
from engine.parallel.mesh import Mesh
from engine.parallel.sequence import SequenceSharding


class Parallel:
    """A model spread over a mesh, until `remove` or the end of a `with`. Called and trained as before.

    Every rank holds the same weights and calls the model with the same, whole arguments; every rank gets the whole
    result. For training each rank goes backward through its own loss, and the gradients are averaged over all ranks
    (`collectives.average_gradients`, DDP or FSDP). `attention` says by which backend each rank attends, `over` who
    brings the ranks' tokens together: we ("own") or "xfuser".

    ValueError where the model has no sequence plan, or xfuser cannot be had.
    """

    def __init__(self, model: nn.Module, mesh: Mesh, attention: Attention | None = None, over: str = "own") -> None:
        self.parts: list[SequenceSharding | BatchSharding] = []
        if mesh.sequence.size > 1:
            self.parts.append(SequenceSharding(model, mesh, attention or Attention(), over))
        if mesh.cfg.size * mesh.data.size > 1:
            self.parts.append(BatchSharding(model, mesh))

    def remove(self) -> None:
        """The model as it was."""
        while self.parts:
            self.parts.pop().remove()

    def __enter__(self) -> Parallel:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.remove()
