"""What a device holds while it trains: states, gathered weights, activations under each checkpointing policy.

Numbers are bf16 in the forward and fp32 in the states, as FSDP2 with mixed precision has them. What a block holds for
its backward is counted tensor by tensor as torch saves them with norms that are not fused: with fused ones it is less.
Legend: D hidden, R rows (tokens) on this device.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil

from engine.costs import Config
from trainer.plan.job import BF16, FP32, GB, Job
from trainer.plan.mesh import Mesh

# Bytes a parameter: AdamW's two moments, in fp32 or in 8 bits with a scale a block of 256.
OPTIMISERS = {"adamw": 8.0, "adamw8bit": 2.03}
SLACK = 1.08  # fragments of the allocator, as in `engine.planner`
CONTEXT_GB = 3.0  # the driver's context, buffers of the collectives, workspaces of kernels
# As `trainer.parallel.memory`: all activations are kept, the results of products and attention, the blocks' inputs;
# with `offload` those inputs wait on the host.
POLICIES = ("none", "selective", "full", "offload")


@dataclass(frozen=True)
class States:
    """What is kept of every weight, beside the weight itself and its gradient."""

    optimiser: str = "adamw"
    ema: bool = True


@dataclass(frozen=True)
class Need:
    """GB on the device that has most, by what for."""

    parameters: float
    gradients: float
    optimiser: float
    ema: float
    gathered: float
    activations: float

    @property
    def total(self) -> float:
        return SLACK * sum(vars(self).values()) + CONTEXT_GB


def need(job: Job, mesh: Mesh, micro: int, policy: str, states: States) -> Need:
    """Of a mesh with `micro` samples at a time."""
    held = sum(job.blocks[: ceil(len(job.blocks) / mesh.pipe)]) / mesh.tensor + job.ends  # ends: whole on every stage
    part = held / mesh.weights
    # Of FSDP the block that works and the one that comes, and one block's gradient before it is parted; without it
    # autocast keeps a bf16 copy of every weight.
    # A stage of a pipe keeps its blocks together.
    whole = job.blocks[0] / mesh.tensor * (2 * BF16 + FP32) if mesh.pipe == 1 else held * (BF16 + FP32)
    gathered = whole if mesh.weights > 1 else held * BF16
    return Need(
        parameters=part * FP32 / GB,
        gradients=part * FP32 / GB,
        optimiser=part * OPTIMISERS[states.optimiser] / GB,
        ema=part * FP32 * states.ema / GB,
        gathered=gathered / GB,
        activations=activations(job, mesh, micro, policy) / GB,
    )


def activations(job: Job, mesh: Mesh, micro: int, policy: str) -> float:
    """Bytes at the worst moment: what is kept of every block, one of them as a whole, and gradients of the stream.

    Of the largest samples: steps of smaller ones, which have more of them, are cut so as to need no more
    (`trainer.microbatches`).
    The first stage of a pipe holds as many micro-batches as there are stages (one forward, one backward in turns).
    """
    config, d = job.config, job.config["hidden"]
    part, text = micro * ceil(max(job.tokens, job.largest) / mesh.sequence), micro * job.text_tokens
    entering = (part + (text if "dual_depth" in config else 0)) * d * BF16
    blocks = sorted(saved_bytes(config, part, text, mesh.tensor), reverse=True)
    count = ceil(len(blocks) / mesh.pipe)
    in_flight = min(mesh.pipe, max(1, job.batch // (mesh.data * micro)))
    kept = {"selective": product_bytes(config, part, text, mesh.tensor), "full": entering, "offload": 0.0}
    working = 5 * entering + 3 * part * d * BF16
    if policy == "none":
        return sum(blocks[:count]) * in_flight + working
    # The block that is computed again has what is kept of it in what it holds as a whole.
    working += blocks[0] - kept[policy] + (2 * entering if policy == "offload" else 0)  # come back from the host
    return count * kept[policy] * in_flight + working


def saved_bytes(config: Config, rows: int, text: int, tensor: int = 1) -> Iterator[float]:
    """What torch saves of each block for its backward, without checkpointing; `rows` of video, `text` of text.

    Counted in numbers a row, of width D: the stream (whole on every rank of `tensor`), and what is inside of attention
    and feed-forward. Of both 8 are fp32 copies that the norms of queries and keys keep.
    """
    d, wide = config["hidden"], 2 * config.get("mlp_ratio", 4.0)
    unit = d * BF16
    if "dual_depth" in config:
        both = (rows + text) * unit
        yield from [both * (8 + (13 + wide) / tensor)] * config["dual_depth"]
        yield from [both * (4 + (15 + wide) / tensor)] * config["single_depth"]
        return
    context = text * (config["text_dim"] * BF16 + 7 * unit / tensor)
    yield from [rows * unit * (10 + (22 + wide) / tensor) + context] * config["depth"]


def product_bytes(config: Config, rows: int, text: int, tensor: int = 1) -> float:
    """What a block holds of its input and the results of its products and of attention."""
    ratio, unit = config.get("mlp_ratio", 4.0), config["hidden"] * BF16
    if "dual_depth" in config:
        return (rows + text) * unit * (3 + (4 + ratio) / tensor)
    return rows * unit * (4 + (6 + ratio) / tensor) + text * 2 * unit / tensor


def table(job: Job, mesh: Mesh, micro: int, states: States) -> Mapping[str, Need]:
    """The need under every policy."""
    return {policy: need(job, mesh, micro, policy, states) for policy in POLICIES}
