"""What every rank does in the tests of split, sharded and offloaded weights."""

from __future__ import annotations

import contextlib
import gc
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
from torch import Tensor, nn

from engine.memory.layerwise import Layerwise, blocks_of, packed, slots_of
from engine.memory.offload import Offload
from engine.memory.quantise import quantise
from engine.models.ernie import ErnieEncoder
from engine.models.single_dit import SingleDiT
from engine.parallel.apply import Parallel
from engine.parallel.mesh import Mesh, MeshShape
from engine.parallel.shard import Shard
from engine.parallel.tensor import TensorSharding
from tests.engine.parallel import cases
from tests.engine.parallel.cases import inputs_of, mesh_of, model_of

# --- split over `tensor` ---


def learnt(shape: MeshShape) -> float:
    """The greatest difference of the weights after two steps alone and two over the mesh."""
    mesh, inputs = mesh_of(shape), inputs_of("odd", 3, torch.float64)
    alone, spread = model_of("single", torch.float64), model_of("single", torch.float64)
    for optimiser in [torch.optim.AdamW(alone.parameters(), 1e-2)]:
        for _ in range(2):
            cases.trained(alone, inputs)
            optimiser.step()
    optimiser = torch.optim.AdamW(spread.parameters(), 1e-2)  # made before: the parameters stay the same objects
    with Parallel(spread, mesh) as parallel:
        for _ in range(2):
            cases.trained(spread, inputs)
            parallel.average_gradients()
            optimiser.step()
    return cases.worst(list(alone.parameters()), list(spread.parameters()))


def unfrozen(shape: MeshShape) -> float:
    """The greatest difference of the gradients of weights that were frozen until they were split."""
    inputs = inputs_of("odd", 3, torch.float64)
    *_, wanted = cases.trained(model_of("single", torch.float64), inputs)
    model = model_of("single", torch.float64).requires_grad_(False)
    with Parallel(model, mesh_of(shape)) as parallel:
        model.requires_grad_(True)
        cases.trained(model, inputs)
        parallel.average_gradients()
    return cases.worst(wanted, [parameter.grad for parameter in model.parameters() if parameter.grad is not None])


def split(shape: MeshShape) -> tuple[int, int, int]:
    """Numbers of the blocks' weights on this rank and in all, and how many sums one call makes."""
    model, sums, reduce = model_of("single", torch.float32), 0, dist.all_reduce

    def counted(*args: Any, **how: Any) -> Any:
        nonlocal sums
        sums += 1
        return reduce(*args, **how)

    def numbers() -> int:
        return sum(p.numel() for block in blocks_of(model) for p in block.parameters())

    whole = numbers()
    with Parallel(model, mesh_of(shape)), torch.no_grad(), mock.patch.object(dist, "all_reduce", counted):
        model(**inputs_of("odd", 4, torch.float32))
        return numbers(), whole, sums


def heads(shape: MeshShape, count: int) -> int:
    """How many heads this rank has."""
    model = SingleDiT(**{**cases.SMALL, "hidden": 8 * count, "heads": count}, depth=1)
    with Parallel(model, mesh_of(shape)):
        return model.blocks[0].attention.heads


def text_parity(shape: MeshShape) -> tuple[float, int, int]:
    """The error of a text encoder split over the sequence's ranks, and the numbers of its layers here and in all."""
    torch.manual_seed(3)
    text = ErnieEncoder(vocab_size=40, universal_width=24, nlu_width=16).double().eval()
    ids = torch.randint(0, 40, (3, 7))
    mask = torch.arange(7) < torch.tensor([[1], [4], [7]])

    def numbers() -> int:
        return sum(p.numel() for block in blocks_of(text) for p in block.parameters())

    with torch.no_grad():
        alone, whole = text(ids, mask), numbers()
        with TensorSharding(text, mesh_of(shape).sequence):
            spread, held = text(ids, mask), numbers()
        assert torch.equal(text(ids, mask), alone)
    return cases.worst([alone], [spread]), held, whole


def nothing_to_split() -> str:
    try:
        TensorSharding(nn.Linear(2, 2), mesh_of(MeshShape(tensor=2)).tensor)
    except ValueError as error:
        return str(error)
    return ""


# --- weights that come and go ---


@contextlib.contextmanager
def elsewhere(model: nn.Module, mesh: Mesh, how: str, group: int = 1) -> Iterator[None]:
    """The model with its blocks' weights on other ranks, on disk, or (control) all here."""
    with contextlib.ExitStack() as stack:
        if how == "shard":
            axis = next(a for a in (mesh.sequence, mesh.cfg, mesh.data) if a.size > 1)
            stack.enter_context(Shard(model, axis, group))
        if how == "offload":
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            stack.enter_context(Offload(model, "cpu", Path(folder), group))
        yield


def kept_parity(
    shape: MeshShape,
    name: str,
    length: str,
    dtype: torch.dtype,
    how: str,
    group: int = 1,
    fault: str | None = None,
    bits: Any = None,
) -> tuple[bool, float, bool]:
    """Whether every layer computed with the very bits of weights that stay, over the same mesh; the error against the
    model alone; and whether the model is as it was in the end. Called twice, as a sampler does.

    The bits of the result are not asked for: a matrix kernel may depend on where in memory a weight lies.
    """
    mesh, model = mesh_of(shape), model_of(name, dtype)
    inputs = inputs_of(length, 4 if shape.cfg > 1 else 3, dtype)
    with torch.inference_mode():
        if bits:
            quantise(model, bits)
        alone = _listed(model(**inputs))
        with Parallel(model, mesh):
            with seen(model) as stays:
                model(**inputs)
            with planted(fault), elsewhere(model, mesh, how, group):
                model(**inputs)
                with seen(model) as came:
                    made = _listed(model(**inputs))
        after = _listed(model(**inputs))
    same = stays.keys() == came.keys() and _same(list(stays.values()), list(came.values()))
    return same, cases.worst(alone, made), _same(alone, after)


@contextlib.contextmanager
def seen(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """The bytes of the weights of every layer of a block, at the moment when it computes."""
    bits: dict[str, Tensor] = {}

    def look(name: str) -> Any:
        return lambda layer, args: bits.update({name: packed(slots_of([layer]))})

    layers = [(f"{i}.{name}", m) for i, b in enumerate(blocks_of(model)) for name, m in b.named_modules()]
    hooks = [m.register_forward_pre_hook(look(name)) for name, m in layers if isinstance(m, nn.Linear | nn.RMSNorm)]
    yield bits
    for hook in hooks:
        hook.remove()


def peak(shape: MeshShape, how: str, blocks: int) -> tuple[int, int, int, int]:
    """Bytes of all tensors of this process while each block runs (the most) and after the call, less what was there
    before the model; bytes of all its weights, and of one block. Counted by the garbage collector, not by ourselves.
    """
    gc.collect()
    mesh, before, most = mesh_of(shape), census(), 0
    model = SingleDiT(**{**cases.SMALL, "hidden": 120, "heads": 5, "rope_axes": (8, 8, 8)}, depth=blocks)
    whole = sum(p.numel() * 4 for p in model.parameters())
    one = sum(p.numel() * 4 for p in model.blocks[0].parameters())

    def look(module: nn.Module, args: Any, made: Any) -> None:
        nonlocal most
        most = max(most, census())

    for block in blocks_of(model):
        block.mlp.register_forward_hook(look)
    with Parallel(model, mesh), torch.inference_mode(), elsewhere(model, mesh, how):
        model(**inputs_of("tiny", 2, torch.float32))
        gc.collect()
        after = census()
    return most - before, after - before, whole, one


def census() -> int:
    """Bytes of every storage that a tensor of this process refers to."""
    tensors = [x for x in gc.get_objects() if issubclass(type(x), Tensor)]
    return sum({x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in tensors}.values())


def refused(how: str) -> str:
    """What is said of a gradient, and of weights that are elsewhere already."""
    mesh, model = mesh_of(MeshShape(ulysses=2)), model_of("single", torch.float32)
    with elsewhere(model, mesh, "shard"):
        try:
            if how == "gradient":
                model(**inputs_of("even", 3, torch.float32))
            else:
                Offload(model, "cpu", Path())
        except ValueError as error:
            return str(error)
    return ""


def _listed(made: Any) -> list[Tensor]:
    return [made] if isinstance(made, Tensor) else list(made)


def _same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@contextlib.contextmanager
def planted(fault: str | None) -> Iterator[None]:
    with mock.patch.object(*FAULTS[fault]) if fault else contextlib.nullcontext():
        yield


taken = Layerwise._taken
FAULTS: dict[str, tuple[Any, str, Any]] = {
    "the first block for all": (Layerwise, "_taken", lambda self, group: taken(self, 0)),
    "not a byte comes": (Layerwise, "_taken", lambda self, group: torch.zeros_like(taken(self, group))),
}
