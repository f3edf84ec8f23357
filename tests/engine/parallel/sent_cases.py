"""What a rank sends in one forward of a whole model, counted where it is sent."""

from __future__ import annotations

from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
from torch import Tensor

from engine.parallel.apply import Parallel
from engine.parallel.mesh import MeshShape
from tests.engine.parallel import cases


def numbers_sent_by_a_forward(shape: MeshShape, rows: int) -> int:
    """Of a Single-DiT over 16 tokens, which has no mask in its self-attention."""
    mesh, sent = cases.mesh_of(shape), 0
    model = cases.model_of("single", torch.float32).requires_grad_(False)
    send = dist.all_to_all_single

    def counted(received: Tensor, given: Tensor, taken: list[int], pieces: list[int], **how: Any) -> Any:
        nonlocal sent
        sent += sum(pieces) - pieces[dist.get_rank(how["group"])]
        return send(received, given, taken, pieces, **how)

    inputs = cases.inputs_of("even", rows, torch.float32)
    with Parallel(model, mesh), mock.patch.object(dist, "all_to_all_single", counted):
        model(**inputs)
    return sent
