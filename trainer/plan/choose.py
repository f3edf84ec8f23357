"""Which mesh: of those that fit the fastest, of the nearly fastest the simplest; or why none fits, and what would.

For each mesh and micro-batch the policy is the first that fits of: nothing is computed again, all but products, all,
all with the blocks' inputs on the host; each costs more time than the one before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil

from engine.planner import CannotFit
from trainer.plan.job import Job, Memory
from trainer.plan.memory import POLICIES, Need, States, need
from trainer.plan.mesh import Mesh, meshes
from trainer.plan.timing import Gpu, Step, predict

NEAR = 1.02
MICRO = (1, 2, 4, 8)
MOST_DEVICES = 65536


@dataclass(frozen=True)
class Choice:
    """A mesh with how it spends memory, what it needs, and how long a step takes."""

    mesh: Mesh
    memory: Memory
    need: Need
    step: Step


@dataclass(frozen=True)
class Plan:
    """The best mesh, why, and the fastest that lays a sample out otherwise (None: there is no other)."""

    best: Choice
    reasons: tuple[str, ...]
    next_best: Choice | None


def make_plan(job: Job, gpu: Gpu, devices: int, states: States) -> Plan:
    """Of all meshes of exactly so many devices. CannotFit says what would fit where none does."""
    found = list(candidates(job, gpu, devices, states))
    if not found:
        raise CannotFit(_why_not(job, gpu, devices, states))
    best = simplest(found)
    others = [one for one in found if _inner(one.mesh) != _inner(best.mesh)]
    next_best = simplest(others) if others else None
    return Plan(best, tuple(_reasons(job, gpu, best, next_best)), next_best)


def candidates(job: Job, gpu: Gpu, devices: int, states: States) -> Iterator[Choice]:
    """Every mesh and micro-batch that fits, each with the first policy under which it does."""
    for mesh in meshes(devices, job.config, job.batch, gpu.node):
        for micro in MICRO:
            if job.batch // mesh.data % micro:
                continue
            for policy in POLICIES:
                room = need(job, mesh, micro, policy, states)
                if room.total <= gpu.memory_gb:
                    memory = Memory(policy, micro=micro)
                    yield Choice(mesh, memory, room, predict(job, mesh, memory, gpu))
                    break


def simplest(found: list[Choice]) -> Choice:
    """Of those that are within 2 % of the fastest the one with the fewest axes, then the smallest groups."""
    enough = NEAR * min(one.step.seconds for one in found)
    return min((one for one in found if one.step.seconds <= enough), key=_effort)


def _effort(one: Choice) -> tuple[float, ...]:
    mesh = one.mesh
    axes = sum(size > 1 for size in (mesh.pipe, mesh.tensor, mesh.ring, mesh.ulysses))
    policy = POLICIES.index(one.memory.policy)
    return axes, mesh.pipe, mesh.ring, mesh.tensor, mesh.ulysses, policy, mesh.weights, one.memory.micro


def _inner(mesh: Mesh) -> tuple[int, ...]:
    """How a sample and the model are parted, whatever the batch."""
    return mesh.pipe, mesh.ring, mesh.ulysses, mesh.tensor


def _reasons(job: Job, gpu: Gpu, best: Choice, next_best: Choice | None) -> Iterator[str]:
    mesh, step = best.mesh, best.step
    if mesh.sequence > 1:
        yield f"A sample's {job.tokens:,} tokens go over {mesh.sequence} devices, and the weights over them too."
    if mesh.tensor > 1:
        yield f"Heads and hidden units go over {mesh.tensor} devices: a device has less of every block."
    if mesh.pipe > 1:
        bubble = 100 * step.bubble / step.seconds
        yield f"Blocks go over {mesh.pipe} stages; {bubble:.1f} % of a step is the pipe's bubble."
    if mesh.weights == 1 and mesh.data > 1:
        yield "Every device holds all weights: they fit."
    elif mesh.replicate > 1:
        yield f"Weights are parted over {mesh.weights} devices, the fewest that are as fast, {mesh.replicate} times."
    policy = POLICIES.index(best.memory.policy)
    if policy:
        before = f"with less computed again ({POLICIES[policy - 1]}) this mesh does not fit in {gpu.memory_gb:g} GB"
        yield f"Checkpointing is {best.memory.policy}: {before}."
    waits = 100 * sum(step.waiting.values()) / step.seconds
    yield f"{waits:.1f} % of a step waits for exchanges that nothing hides."
    if next_best:
        slower = 100 * (next_best.step.seconds / step.seconds - 1)
        told = f"{slower:.1f} % slower" if slower > 0 else f"{-slower:.1f} % faster, less than is told apart here"
        yield f"Next best: {next_best.mesh} ({next_best.memory.policy}), {told}."


# --- what cannot be ---


def _why_not(job: Job, gpu: Gpu, devices: int, states: States) -> str:
    """What the most frugal mesh lacks, and what would fit."""
    some = [
        (mesh, need(job, mesh, 1, "offload", states).total) for mesh in meshes(devices, job.config, job.batch, gpu.node)
    ]
    if not some:
        return (
            f"No mesh of {devices} devices parts a batch of {job.batch:,} samples, {job.config['heads']} heads and "
            f"{len(job.blocks)} blocks evenly: ask for another batch, or another number of devices."
        )
    mesh, least = min(some, key=lambda one: one[1])
    ways = [f"devices of {ceil(least)} GB"]
    count = next((n for n in _more(devices) if _fits(job, gpu, n, states)), None)
    if count:
        ways.insert(0, f"{count} such devices")
    frugal = replace(states, optimiser="adamw8bit")
    if states != frugal and _fits(job, gpu, devices, frugal):
        ways.append("optimiser states in 8 bits")
    return (
        f"{job.parameters / 1e9:.1f} B parameters at {job.tokens:,} tokens cannot be trained on {devices} x {gpu.name} "
        f"({gpu.memory_gb:g} GB): even with {mesh}, everything computed again and inputs on the host a device needs "
        f"{least:.1f} GB. What would fit: {'; '.join(ways)}."
    )


def _more(devices: int) -> Iterator[int]:
    while (devices := 2 * devices) <= MOST_DEVICES:
        yield devices


def _fits(job: Job, gpu: Gpu, devices: int, states: States) -> bool:
    every = meshes(devices, job.config, job.batch, gpu.node)
    return any(need(job, mesh, 1, "offload", states).total <= gpu.memory_gb for mesh in every)
