"""The 2B and the 13.4B transformer with random weights on one device: seconds a forward, peak memory, MFU.

One forward is one row, without guidance. MFU: the operations that `engine.costs` counts, over what the data sheet says
the device could do in that time. Nothing about quality is measured: the weights are random.
"""

from __future__ import annotations

import contextlib
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from engine import costs, timing
from engine.attention.dispatch import BACKENDS, Attention, restore, use
from engine.memory.quantise import quantise
from engine.memory.tiling import Strips
from engine.models.multimodal_dit import MultimodalDiT
from engine.models.presets import MULTIMODAL_DIT, SINGLE_DIT
from engine.models.single_dit import SingleDiT
from engine.models.video_dit import VideoDiT
from engine.planner import WAN_VAE

GRIDS = {"480p": (21, 60, 104), "720p": (21, 90, 160)}  # latents of 81 frames of 832x480 and 1280x720
MODELS = {"2b": (SINGLE_DIT["2b"], "single"), "13b": (MULTIMODAL_DIT["13b"], "multimodal")}
TEXT = 512
AT_LEAST, AT_MOST, ENOUGH = 2, 10, 6.0  # timed forwards, and seconds after which no more are begun


@dataclass(frozen=True)
class Case:
    """One way to run one forward."""

    model: str
    size: str
    backend: str = "auto"
    compiled: bool = False
    fp8: bool = False

    def __str__(self) -> str:
        ways = [f"attention {self.backend}"] + [name for name in ("compiled", "fp8") if getattr(self, name)]
        return f"{self.model} at {self.size}, {', '.join(ways)}"


@dataclass(frozen=True)
class Found:
    """Median seconds, peak GB, operations; or why there are none."""

    what: str
    seconds: float = 0.0
    peak_gb: float = 0.0
    flops: int = 0
    why_not: str = ""


def cases() -> list[Case]:
    """The sizes first, then each way on the smaller size: what there is no time for is at the end."""
    sizes = [Case(model, size) for model in MODELS for size in GRIDS]
    ways = [Case("2b", "480p", backend) for backend in BACKENDS if backend != "plain"]  # `plain` would hold all scores
    ways += [Case(model, "480p", compiled=True) for model in MODELS]
    return sizes + ways + [Case(model, "480p", fp8=True) for model in MODELS]


def measure(left: Callable[[], float], device: torch.device) -> Iterator[Found]:
    """Every case that begins while time is left; those of one model share its weights, so they come together."""
    with torch.inference_mode():
        for name in MODELS:
            config, kind = MODELS[name]
            yield from measure_model(config, kind, [case for case in cases() if case.model == name], left, device)
        yield from measure_decoding(WAN_VAE, GRIDS["480p"], left, device)


def measure_model(
    config: dict[str, Any],
    kind: str,
    chosen: list[Case],
    left: Callable[[], float],
    device: torch.device,
    grids: dict[str, tuple[int, int, int]] = GRIDS,
) -> Iterator[Found]:
    """One model in every chosen way; fp8 comes last, for it changes the weights for good."""
    if left() <= 0:
        yield from (Found(str(case), why_not="no time was left") for case in chosen)
        return
    model = built(config, kind, device)
    for case in sorted(chosen, key=lambda case: case.fp8):
        if left() <= 0:
            yield Found(str(case), why_not="no time was left")
            continue
        if case.fp8 and (why := _rounded(model)):
            yield Found(str(case), why_not=why)
            continue
        inputs = inputs_of(config, grids[case.size], device)
        tokens = costs.token_count(config, *grids[case.size])
        flops = costs.forward_flops(config, tokens, TEXT, controls=False).total
        with attending(model, case.backend):
            work = torch.compile(model) if case.compiled else model
            yield tried(str(case), lambda work=work, inputs=inputs: work(**inputs), flops, device)  # type: ignore[misc]
        torch.compiler.reset()


def _rounded(model: VideoDiT) -> str:
    """The model's weights in fp8; why not, where torchao is not installed."""
    try:
        quantise(model, "fp8")
    except ValueError as error:
        return str(error)
    return ""


def measure_decoding(
    config: dict[str, Any], grid: tuple[int, int, int], left: Callable[[], float], device: torch.device
) -> Iterator[Found]:
    """The VAE decoding whole, in exact strips of a quarter of the height, and in diffusers' blended tiles."""
    ways = [f"VAE decodes {4 * grid[0] - 3} frames, {what}" for what in ("whole", "strips", "blended tiles")]
    if left() <= 0:
        yield from (Found(name, why_not="no time was left") for name in ways)
        return
    with default_dtype(torch.bfloat16), device:
        vae = AutoencoderKLWan(**config).eval()
        latents = torch.randn(1, config["z_dim"], *grid)
    flops = costs.decode_flops(config, *grid)
    for name in ways:
        if left() <= 0:
            yield Found(name, why_not="no time was left")
            continue
        with Strips(vae, -(-grid[1] // 4)) if name.endswith("strips") else contextlib.nullcontext():
            if name.endswith("tiles"):
                vae.enable_tiling()
            yield tried(name, lambda: vae.decode(latents, return_dict=False)[0], flops, device)


def built(config: dict[str, Any], kind: str, device: torch.device) -> VideoDiT:
    """A model in bf16 whose weights are random and nowhere zero, made on the device."""
    with default_dtype(torch.bfloat16), device:
        model = (SingleDiT if kind == "single" else MultimodalDiT)(**config).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.normal_(std=0.02)
    return model


def inputs_of(config: dict[str, Any], grid: tuple[int, int, int], device: torch.device) -> dict[str, Tensor]:
    with default_dtype(torch.bfloat16), device:
        return {
            "latents": torch.randn(1, config["in_channels"], *grid),
            "time_B": torch.full((1,), 0.5),
            "text_BMC": torch.randn(1, TEXT, config["text_dim"]),
            "text_mask_BM": torch.ones(1, TEXT, dtype=torch.bool),
            "condition": torch.randn(1, config["condition_channels"], *grid),
        }


@contextlib.contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def attending(model: VideoDiT, backend: str) -> Iterator[None]:
    """Self-attention by a backend; the other roles, which have masks, stay with the one that fits."""
    before = use(model, Attention({"self": backend}))
    try:
        yield
    finally:
        restore(before)


def tried(what: str, work: Callable[[], Tensor], flops: int, device: torch.device) -> Found:
    """Time and peak of `work`, or the sentence that says why it cannot run here."""
    is_cuda = device.type == "cuda"
    wait = torch.cuda.synchronize if is_cuda else (lambda: None)
    try:
        work()  # warms up, and compiles
        wait()
        if is_cuda:
            torch.cuda.reset_peak_memory_stats()
        times: list[float] = []
        while len(times) < AT_LEAST or (len(times) < AT_MOST and sum(times) < ENOUGH):
            began = time.perf_counter()
            work()
            wait()
            times.append(time.perf_counter() - began)
        peak = torch.cuda.max_memory_allocated() / 1e9 if is_cuda else 0.0
        return Found(what, statistics.median(times), peak, flops)
    except (ValueError, RuntimeError) as error:  # a backend that is not there, or memory that does not suffice
        return Found(what, why_not=f"{type(error).__name__}: {str(error).splitlines()[0][:120]}")
    finally:
        gc.collect()
        if is_cuda:
            torch.cuda.empty_cache()


def peak_flops(name: str) -> float | None:
    """Of a device by the name that it gives itself, dense bf16 by its data sheet; None where it has none here."""
    known = timing.published()["machines"]
    return next((known[key]["tflops"] * 1e12 for key in known if key in name.lower().split("-")[0].split()), None)


def as_rows(found: list[Found], device_name: str) -> list[dict[str, Any]]:
    """Seconds, with MFU and peak beside; a case that did not run is a row that says why, and met is False."""
    peak = peak_flops(device_name)
    return [
        {
            "what": one.what,
            "ours": round(one.seconds, 5) if not one.why_not else None,
            "peer": None,
            "ratio": None,
            "unit": "s",
            "goal": "runs",
            "met": not one.why_not,
            "peak_gb": round(one.peak_gb, 2),
            "mfu": round(one.flops / one.seconds / peak, 4) if peak and one.seconds else None,
            "why_not": one.why_not,
        }
        for one in found
    ]


def print_rows(rows: list[dict[str, Any]]) -> None:
    print(f"{'on the device':50} {'seconds':>9} {'peak GB':>8} {'MFU %':>7}")
    for row in rows:
        mfu = "–" if row["mfu"] is None else f"{100 * row['mfu']:.1f}"
        told = row["why_not"] or f"{row['ours']:9.3f} {row['peak_gb']:8.1f} {mfu:>7}"
        print(f"{row['what']:50} {told}")
