"""Which devices do what for a video, how its memory is spent, and why; or what would fit. Torch-free.

Nothing is loaded: everything follows from the model's configuration, the request and the machine. Among the plans that
fit and are within 3 % of the fastest, the simplest; what changes no number of the result (sharding, offload, strips of
the VAE) comes before what does (fp8 weights). Times are predictions of `timing`, peaks are estimates of `costs` and 8 %
for the allocator.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine.axes import MeshShape
from engine.costs import (
    Config,
    activation_bytes,
    block_bytes,
    block_parameters,
    decode_bytes,
    decode_flops,
    parameters,
    scales_of,
    token_count,
)
from engine.timing import WIDTH, Machine, Times, Work, devices_with_work, layouts_of, predict

GB = 1e9
HOST_LINK = 32e9  # bytes a second from the host's memory: PCIe 4.0 x16, one way
NEAR = 1.03
SLACK = 1.08  # fragments and workspaces of an allocator, beside what is counted
STRIPS = (1, 2, 4, 8, 16)
MARGIN = 6  # latent rows that a strip decodes beyond its own
OFFLOADED = 8  # of a text encoder on the host: two of its 24 layers and its table of words are on the device
WAN_VAE: dict[str, Any] = {
    "base_dim": 96,
    "z_dim": 16,
    "dim_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "temperal_downsample": [False, True, True],
}


class CannotFit(ValueError):
    """A request that no plan fits on this machine; says what would."""


@dataclass(frozen=True)
class Model:
    """A transformer by its configuration, with the VAE it decodes by. `text_gb`: its text encoder, bf16."""

    name: str
    config: Config
    vae: Config
    text_gb: float = 0.0
    text_tokens: int = 512


@dataclass(frozen=True)
class Video:
    """What is asked: a video of so many frames and pixels. `saved`: the share of operations that the calibrated
    `cache` saves.
    """

    frames: int
    width: int
    height: int
    steps: int
    guidance: bool = True
    videos: int = 1
    saved: float = 0.0
    cache: str = ""

    def __str__(self) -> str:
        return f"{self.frames} frames of {self.width}x{self.height}"


@dataclass(frozen=True)
class Memory:
    """How memory is spent: weights over the ranks of the sequence, weights on the host, fp8, strips of the VAE."""

    sharded: bool = False
    offload: bool = False
    fp8: bool = False
    strips: int = 1

    def __str__(self) -> str:
        used = [name for name in ("sharded", "offload", "fp8") if getattr(self, name)]
        used += [f"VAE in {self.strips} strips"] if self.strips > 1 else []
        return ", ".join(used) or "everything resident"


@dataclass(frozen=True)
class Plan:
    """What to do, what it takes, and why."""

    layout: MeshShape
    memory: Memory
    times: Times
    speedup: float  # over one device of the same kind, did it fit
    peaks_gb: Mapping[str, float]
    reasons: tuple[str, ...]


def make_plan(model: Model, video: Video, machine: Machine, *, tensor: bool = True, resident: bool = False) -> Plan:
    """The fastest plan that fits. CannotFit says what would fit.

    `resident`: on the ranks of this machine, which keep all where it works, and whose memory is free again when one
    process decodes.
    """
    work = work_of(model, video)
    every = list(_candidates(model, video, work, machine, tensor))
    fitting = [plan for plan in every if _peak(plan[2]) <= machine.memory_gb]
    found = [plan for plan in every if _fits_as_it_is(plan, machine)] if resident else fitting
    if not (found or fitting):
        raise CannotFit(_what_would_fit(model, video, machine))
    if not found:
        raise CannotFit(
            f"{model.name} makes {video} on {machine.devices} x {machine.memory_gb:.1f} GB only where weights are "
            f"moved or rounded, or the VAE works in strips, which is not done here: ask for fewer ranks or less."
        )
    found = [plan for plan in found if not plan[1].fp8] or found
    enough = NEAR * min(times.total for *_, times in found)
    layout, memory, peaks, times = min((p for p in found if p[3].total <= enough), key=lambda p: _effort(*p[:2]))
    saved = work.steps * (1 - video.saved)
    times = replace(times, total=times.step * saved + times.decode)
    alone = predict(work, MeshShape(), machine)
    reasons = tuple(_reasons(model, video, work, machine, layout, memory, times))
    return Plan(layout, memory, times, alone.total / times.total, peaks, reasons)


def work_of(model: Model, video: Video) -> Work:
    """The operations of a request. ValueError for a size that the model has no grid for."""
    grid = latent_grid(model.vae, video)
    tokens = token_count(model.config, *grid)
    if not tokens:
        raise ValueError(f"{video} is smaller than one patch of {model.name}.")
    decode = decode_flops(model.vae, *grid)
    return Work(model.config, tokens, model.text_tokens, video.steps, video.guidance, decode, video.videos)


def latent_grid(vae: Config, video: Video) -> tuple[int, int, int]:
    """Latent frames, height and width: the first frame stands alone, sizes are rounded up."""
    time, space = scales_of(vae)
    return 1 + (video.frames - 1) // time, -(-video.height // space), -(-video.width // space)


Candidate = tuple[MeshShape, Memory, dict[str, float], Times]


def _fits_as_it_is(plan: Candidate, machine: Machine) -> bool:
    """With all resident, and one process that decodes when the ranks have ended."""
    _, memory, peaks, _ = plan
    room = {part: machine.memory_gb * (machine.devices if part == "decode" else 1) for part in peaks}
    return memory == Memory() and all(peaks[part] <= room[part] for part in peaks)


def _candidates(model: Model, video: Video, work: Work, machine: Machine, tensor: bool) -> Iterator[Candidate]:
    rows = latent_grid(model.vae, video)[1]
    blocks = {fp8: sum(block_bytes(model.config, machine.width, rounded=fp8)) for fp8 in (False, True)}
    for layout in _layouts(machine.devices, work, tensor=tensor):
        resident = predict(work, layout, machine)
        for memory in _memories(layout):
            kept = blocks[memory.fp8] / layout.tensor
            moved = kept / HOST_LINK if memory.offload else 0.0
            if memory.sharded:
                moved = kept * (1 - 1 / layout.sequence) / (machine.link_gb_s * GB)
            step = max(resident.step - resident.waiting, moved) + resident.waiting  # weights come while others work
            decode = resident.decode * memory.strips * strip_share(memory.strips, rows)
            times = replace(resident, step=step, decode=decode, total=step * work.steps + decode)
            yield layout, memory, peaks_of(model, video, layout, memory, machine.width), times


def _layouts(devices: int, work: Work, *, tensor: bool = True) -> Iterator[MeshShape]:
    """Those of all devices, or of as many as there is work for."""
    return layouts_of(devices_with_work(devices, work, tensor=tensor), work, tensor=tensor)


def _memories(layout: MeshShape) -> Iterator[Memory]:
    for fp8 in (False, True):
        for sharded, offload in ((False, False), (True, False), (False, True)):
            if sharded and layout.sequence == 1:
                continue
            for strips in STRIPS:
                yield Memory(sharded, offload, fp8, strips)


def peaks_of(model: Model, video: Video, layout: MeshShape, memory: Memory, width: int = WIDTH) -> dict[str, float]:
    """The most GB on one device while text is encoded, while denoising, and while decoding.

    The text encoder and the VAE are not there at the same time as each other's work; the transformer stays.
    """
    config, grid = model.config, latent_grid(model.vae, video)
    tokens = token_count(config, *grid)
    blocks = block_bytes(config, width, rounded=memory.fp8)
    resident: float = (parameters(config) - sum(block_parameters(config))) * width + sum(blocks)
    if memory.offload:
        resident += 2 * max(blocks) - sum(blocks)  # the block that works, and the one that comes
    elif memory.sharded:
        resident += 2 * max(blocks) - sum(blocks) * (1 - 1 / layout.sequence)
    weights = resident / layout.tensor / GB
    rows = -(-video.videos * (2 if video.guidance else 1) // (layout.data * layout.cfg))
    part = -(-tokens // layout.sequence)
    inside = activation_bytes(config, part, model.text_tokens, rows, width=width) / GB
    whole = (
        3 * tokens * config["hidden"] * rows * width / GB if layout.sequence > 1 else 0.0
    )  # before and behind the blocks
    decoding = decode_bytes(model.vae, *grid, number=width) * strip_share(memory.strips, grid[1]) / GB
    text = model.text_gb / (OFFLOADED if memory.offload else layout.sequence if memory.sharded else 1)
    peaks = {"text": weights + text, "denoise": weights + max(inside, whole), "decode": weights + decoding}
    return {stage: round(SLACK * peak, 2) for stage, peak in peaks.items()}


def strip_share(strips: int, rows: int) -> float:
    """What one of so many strips of a latent's rows is of the whole."""
    return 1.0 if strips == 1 else min(1.0, 1 / strips + MARGIN / rows)


def _peak(peaks: Mapping[str, float]) -> float:
    return max(peaks.values())


def _effort(layout: MeshShape, memory: Memory) -> tuple[int, ...]:
    """Of plans equally fast the one with the fewest parts."""
    return memory.offload, memory.sharded, memory.strips, layout.tensor, layout.ring, layout.ulysses


def _reasons(
    model: Model, video: Video, work: Work, machine: Machine, layout: MeshShape, memory: Memory, times: Times
) -> Iterator[str]:
    yield f"{model.name}, {video}: {work.tokens:,} tokens, {parameters(model.config) / 1e9:.2f} B parameters."
    if layout.world < machine.devices:
        left = machine.devices - layout.world
        yield f"{left:,} of {machine.devices:,} devices are left over: no layout has work for them."
    if layout.cfg == 2:
        yield "The two halves of guidance go to two groups of devices, which exchange one output a step and no more."
    if layout.sequence > 1:
        share = 100 * times.waiting / times.step
        yield f"Tokens go over {layout.sequence} devices ({layout}); {share:.0f} % of a step waits for exchanges."
    if layout.tensor > 1:
        yield f"Every layer is divided by {layout.tensor}: less memory a device than dividing tokens."
    if layout.data > 1:
        yield f"{layout.data} videos are made side by side."
    plain = _peak(peaks_of(model, video, layout, Memory(), machine.width))
    if memory == Memory():
        yield f"All of it fits in {machine.memory_gb:g} GB a device ({plain:.1f} GB), so nothing is moved or rounded."
    else:
        yield f"Resident as a whole it would take {plain:.1f} GB of {machine.memory_gb:g} GB a device, so: {memory}."
    if memory.fp8:
        yield "No plan without fp8 weights fits; they round the weights, and the result is not the exact one."
    if video.saved:
        yield f"The bundle's cache ({video.cache}) was calibrated to save {100 * video.saved:.0f} % of the operations."
    else:
        yield "No cache: its savings are known only of a bundle that was calibrated."


# --- what cannot be ---


def _what_would_fit(model: Model, video: Video, machine: Machine) -> str:
    least = least_gb(model, video, machine.devices, machine.width)
    (time, space), (t, h, w) = scales_of(model.vae), model.config["patch_size"]
    step, unit, ways = time * t, space * max(h, w), []
    at_once = _most(1, video.videos - 1, lambda n: _fits(model, replace(video, videos=n), machine))
    if at_once:
        ways.append(f"{at_once} {'video' if at_once == 1 else 'videos'} at once")
    steps, first = divmod(video.frames - 1, step)
    more = _most(0, steps - 1, lambda n: _fits(model, replace(video, frames=1 + first + n * step), machine))
    if more is not None:
        ways.append(f"{1 + first + more * step} frames of the same size")
    for scale in (0.75, 0.5, 0.375, 0.25):
        width, height = (int(side * scale) // unit * unit for side in (video.width, video.height))
        smaller = replace(video, width=width, height=height)
        if min(smaller.width, smaller.height) >= 64 and _fits(model, smaller, machine):
            ways.append(f"{smaller}")
            break
    for devices in (2, 4, 8, 16, 32, 64):
        if devices > machine.devices and _fits(model, video, replace(machine, devices=devices)):
            ways.append(f"{devices} such devices")
            break
    ways.append(f"devices of {math.ceil(least)} GB")
    asked = f"{video}" if video.videos == 1 else f"{video.videos:,} videos of {video} at once"
    return (
        f"{model.name} cannot make {asked} on {machine.devices} x {machine.memory_gb:g} GB: even with its weights on "
        f"the host in fp8 and the VAE in strips a device needs {least:.1f} GB. What would fit: {'; '.join(ways)}."
    )


def _most(least: int, most: int, fits: Callable[[int], bool]) -> int | None:
    """The greatest number of least..most that fits, where with each that fits all below do; None where none does."""
    fitting = bisect.bisect_left(range(least, most + 1), True, key=lambda n: not fits(n))
    return least + fitting - 1 if fitting else None


def _fits(model: Model, video: Video, machine: Machine) -> bool:
    return least_gb(model, video, machine.devices, machine.width) <= machine.memory_gb


def least_gb(model: Model, video: Video, devices: int, width: int = WIDTH) -> float:
    """GB a device that the most frugal plan takes."""
    frugal = [Memory(offload=True, fp8=True, strips=STRIPS[-1]), Memory(sharded=True, fp8=True, strips=STRIPS[-1])]
    layouts = _layouts(devices, work_of(model, video))
    return min(_peak(peaks_of(model, video, layout, memory, width)) for layout in layouts for memory in frugal)
