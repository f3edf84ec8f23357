"""One call that spreads a model over a mesh, and its undoing."""

from __future__ import annotations

from types import TracebackType

from torch import nn

from engine.attention.dispatch import Attention
from engine.parallel.batch import BatchSharding
from engine.parallel.collectives import average_gradients
from engine.parallel.mesh import Mesh
from engine.parallel.sequence import SequenceSharding
from engine.parallel.tensor import TensorSharding


class Parallel:
    """A model spread over a mesh, until `remove` or the end of a `with`. Called and trained as before.

    Every rank calls the model with the same, whole arguments, and every rank gets the whole result. Every rank holds
    the same weights, or with `tensor` its part of them. For training each rank goes backward through its own loss, and
    `average_gradients` (or DDP, or FSDP) makes the gradients those of one process. `attention` says by which backend
    each rank attends, `over` who brings the ranks' tokens together: we ("own") or "xfuser". Made and removed by every
    rank alike.

    ValueError where the model has no sequence plan or nothing to split over `tensor`, or xfuser cannot be had.
    """

    def __init__(self, model: nn.Module, mesh: Mesh, attention: Attention | None = None, over: str = "own") -> None:
        self.model, self.mesh = model, mesh
        self.parts: list[SequenceSharding | BatchSharding | TensorSharding] = []
        if mesh.sequence.size > 1:
            self.parts.append(SequenceSharding(model, mesh, attention or Attention(), over))
        if mesh.cfg.size * mesh.data.size > 1:
            self.parts.append(BatchSharding(model, mesh))
        if mesh.tensor.size > 1:
            self.parts.append(TensorSharding(model, mesh.tensor))

    def average_gradients(self) -> None:
        """Every gradient as one process would have it; of a split weight, its part on each rank."""
        split = {p for part in self.parts if isinstance(part, TensorSharding) for p in part.cuts}
        average_gradients((p for p in self.model.parameters() if p not in split), self.mesh.shape.world)
        if split and self.mesh.replicas.size > 1:
            of_the_model = (p for p in self.model.parameters() if p in split)  # a set has another order on each rank
            average_gradients(of_the_model, self.mesh.replicas.size, self.mesh.replicas.group)

    def remove(self) -> None:
        """The model as it was, with the weights that it has now."""
        while self.parts:
            self.parts.pop().remove()

    def __enter__(self) -> Parallel:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.remove()
