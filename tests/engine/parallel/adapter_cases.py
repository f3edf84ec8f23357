"""What every rank does: an adapter in float32 beside a bfloat16 transformer, both sharded by FSDP2, and alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from engine.adapters import Adapter, LowRank
from engine.models.single_dit import SingleDiT


def make() -> tuple[SingleDiT, Adapter]:
    """The same on every rank; no gate, no projection and no B is zero."""
    torch.manual_seed(5)
    model = SingleDiT(in_channels=2, hidden=32, depth=2, heads=2, text_dim=6, rope_axes=(4, 6, 6))
    for parameter in model.requires_grad_(False).parameters():
        parameter.copy_(torch.randn(parameter.shape) * 0.15)
    adapter = Adapter(model, LowRank(rank=3, alpha=6.0))
    with torch.no_grad():
        for _, pair in adapter._pairs():
            pair.lora_B.weight.normal_(std=0.1)
    return model.bfloat16(), adapter


def loss_of(model: nn.Module, rows: slice) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    x, text = (torch.randn(shape, generator=generator).bfloat16() for shape in ((2, 2, 2, 4, 4), (2, 3, 6)))
    mask, time = torch.ones(2, 3, dtype=torch.bool), torch.tensor([0.3, 0.7])
    return model(x[rows], time[rows], text[rows], mask[rows]).float().square().mean()


def adapter_parity(*, sharded: bool) -> tuple[float, set[str], float, str]:
    """Greatest relative error of a gradient against one process on the whole batch, types of the gradients, greatest
    difference of the adapter after a step of SGD, and what merging says. Not `sharded`: the ranks' gradients apart.
    """
    whole, alone = make()
    alone.attach(whole)
    loss_of(whole, slice(0, 2)).backward()
    wanted = [parameter.grad for parameter in alone.parameters()]
    mesh = init_device_mesh("cpu", (torch.distributed.get_world_size(),))
    model, adapter = make()
    if sharded:
        for block in model.blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
        for _, pair in adapter._pairs():
            fully_shard(pair, mesh=mesh)
    adapter.attach(model)
    rank = torch.distributed.get_rank()
    loss_of(model, slice(rank, rank + 1)).backward()
    grads = [parameter.grad for parameter in adapter.parameters()]
    found = [grad.full_tensor() if sharded else grad for grad in grads]
    error = max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(found, wanted, strict=True))
    for made in (alone, adapter):
        torch.optim.SGD(made.parameters(), lr=0.1).step()
    pairs = zip(adapter.tensors().values(), alone.tensors().values(), strict=True)
    stepped = max((a - b).abs().max().item() for a, b in pairs)
    said = ""
    try:
        adapter.merge(model)
    except ValueError as refused:
        said = str(refused)
    return error, {str(grad.dtype) for grad in grads}, stepped, said
