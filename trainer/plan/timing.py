"""How long a training step takes on a mesh of devices: operations, exchanges and the pipe's bubble.

Products run at one share of the data sheet's peak. Exchanges take what their algorithms send over the links of the
data sheets: Ulysses and tensor parallelism wait for theirs; a ring hides behind its attention as far as that lasts; the
gathers and sums of FSDP hide behind the whole work, but for the first block's. Axes inside a node use its links; over
nodes a group uses as many network cards as it has devices in a node. What is no product takes no time of its own: it is
in the share, and `selective` looks as fast as `none`. Not in it: loading of data, encoding, the
optimiser's own time, checkpoints and failures (`simulate`), stragglers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.planner import HOST_LINK
from trainer.metrics import hfu, mfu
from trainer.plan.job import BF16, FP32, GB, Job, Memory
from trainer.plan.mesh import Mesh

# How often an axis sends in a whole step what it sends in a forward: in the backward, and once more where the policy
# computes again. A ring turns keys and values with their gradients in the backward.
BACKWARD = {"ulysses": 1.0, "ring": 2.0, "tensor": 1.0, "gather": 1.0}
AGAIN = {
    "none": {},
    "selective": {"tensor": 1.0, "ulysses": 0.75},  # only q, k and v are exchanged again
    "full": {"ulysses": 1.0, "ring": 1.0, "tensor": 1.0},
}  # type: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Gpu:
    """A device by its data sheet: dense bf16 TFLOP/s, GB, GB/s one way to its node and to the network; `share` of the
    peak that it reaches in products; `node` devices with fast links among them.
    """

    name: str
    tflops: float
    memory_gb: float
    link_gb_s: float
    network_gb_s: float
    node: int
    share: float


@dataclass(frozen=True)
class Step:
    """Seconds of a step and where they go; what a device sends, in bytes by axis."""

    seconds: float
    compute: float
    waiting: Mapping[str, float]
    bubble: float
    sent: Mapping[str, float]
    mfu: float
    hfu: float


def predict(job: Job, mesh: Mesh, memory: Memory, gpu: Gpu) -> Step:
    """A step of this job. The batch has to part evenly."""
    count = job.batch // (mesh.data * memory.micro)  # micro-batches, one behind the other
    assert count * mesh.data * memory.micro == job.batch, "the batch parts evenly over data ranks and micro-batches"
    whole = job.flops(memory.recompute, memory.blocks)
    parts = mesh.sequence * mesh.tensor * mesh.pipe
    compute = memory.micro * whole.hardware / (parts * gpu.tflops * 1e12 * gpu.share)
    sent = _sent(job, mesh, memory)
    waiting = {axis: number / (_link(_span(axis, mesh), gpu) * GB) for axis, number in sent.items()}
    attention = compute * whole.forward.attention / whole.forward.total
    waiting["ring"] = max(0.0, waiting["ring"] - attention * (mesh.ring - 1) / mesh.ring)
    waiting["host"] = _host_waiting(job, mesh, memory)
    turn = compute + sum(waiting.values())  # one micro-batch on one stage
    weights = _weights_sent(job, mesh, memory, count)
    behind = _weights_waiting(job, weights, mesh, gpu, count * turn)
    bubble = (mesh.pipe - 1) * turn
    seconds = count * turn + bubble + behind
    return Step(
        seconds,
        count * compute,
        {axis: count * one for axis, one in waiting.items()} | {"weights": behind},
        bubble,
        {axis: count * number for axis, number in sent.items()} | weights,
        mfu(whole, seconds / job.batch, mesh.world, gpu.tflops),
        hfu(whole, seconds / job.batch, mesh.world, gpu.tflops),
    )


def _sent(job: Job, mesh: Mesh, memory: Memory) -> dict[str, float]:
    """Bytes that a device sends for one micro-batch, by axis."""
    forward, again = job.sent(mesh.layout), AGAIN[memory.recompute]
    share = 1.0 if memory.blocks is None else memory.blocks / len(job.blocks)
    times = {axis: 1 + back + share * again.get(axis, 0.0) for axis, back in BACKWARD.items()}
    sent = {axis: memory.micro * forward[axis] * often / mesh.pipe for axis, often in times.items()}
    stream = memory.micro * job.tokens * job.config["hidden"] * BF16 / mesh.sequence
    return sent | {"pipe": 2 * stream * (mesh.pipe > 1)}


def _host_waiting(job: Job, mesh: Mesh, memory: Memory) -> float:
    """Seconds in which blocks' inputs go to the host and back: nothing hides them on the stream that computes."""
    if memory.policy != "offload":
        return 0.0
    stream = memory.micro * job.tokens * job.config["hidden"] * BF16 / mesh.sequence
    return 2 * stream * len(job.blocks) / mesh.pipe / HOST_LINK


def _span(axis: str, mesh: Mesh) -> int:
    """Neighbours among which an axis sends."""
    inside = {"tensor": mesh.tensor, "ulysses": mesh.tensor * mesh.ulysses}
    return inside.get(axis, mesh.tensor * mesh.sequence) if axis != "pipe" else mesh.world


def _link(span: int, gpu: Gpu) -> float:
    return gpu.link_gb_s if span <= gpu.node else gpu.network_gb_s


def _weights_sent(job: Job, mesh: Mesh, memory: Memory, count: int) -> dict[str, float]:
    """Bytes that a device sends in a step to gather weights and to sum gradients."""
    held = _weights_held(job, mesh)
    together = mesh.pipe > 1  # a stage's weights and gradients stay whole from its first micro-batch to its last
    gathers = 2 * count if memory.zero == 3 and not together else 1
    sums = count if memory.zero >= 2 and not together else 1
    inside = held * (mesh.weights - 1) / mesh.weights * (gathers * BF16 + sums * FP32)
    across = 2 * held / mesh.weights * FP32 * (mesh.replicate - 1) / mesh.replicate
    return {"shard": inside, "replicate": across}


def _weights_held(job: Job, mesh: Mesh) -> float:
    """Parameters of a device's stage and tensor part, all of FSDP's parts of them."""
    return sum(job.blocks) / (mesh.pipe * mesh.tensor) + job.ends


def _weights_waiting(job: Job, sent: Mapping[str, float], mesh: Mesh, gpu: Gpu, work: float) -> float:
    """Seconds of that which the work does not hide: at least the first block's gathering and the last one's sum."""
    shard = _group_gb_s(mesh.weights, mesh.tensor, gpu) * GB
    replicate = _group_gb_s(mesh.replicate, mesh.tensor * mesh.weights, gpu) * GB
    seconds = sent["shard"] / shard + sent["replicate"] / replicate
    if mesh.weights == 1:  # without FSDP gradients are summed when all of them are there
        return seconds
    edge = job.blocks[0] / mesh.tensor * (mesh.weights - 1) / mesh.weights * (BF16 + FP32) / shard
    return max(edge, seconds - work)


def _group_gb_s(group: int, inside: int, gpu: Gpu) -> float:
    """What a device of a group gets, whose neighbours in the group are `inside` devices apart."""
    if group * inside <= gpu.node:
        return gpu.link_gb_s
    return min(gpu.link_gb_s, max(1, gpu.node // inside) * gpu.network_gb_s)
