"""Whether PipeFusion (arXiv 2405.14430) would pay for our transformers: what it saves in sending, and what it costs.

It spreads blocks over ranks and sends patches of tokens through them; a patch sees the keys and values of the patches
behind it as they were a step ago. That needs no rank: here one process attends in just that order, on the shipped
bundle's trained Single-DiT and photographs, so the error is PipeFusion's own. What is sent is computed, from shapes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from engine import costs
from engine.attention.dispatch import Attend, Role, restore, use
from engine.attention.mask import Mask
from engine.axes import MeshShape
from engine.generate import Engine, Prepared
from engine.models.blocks import SelfAttention
from engine.models.multimodal_dit import MultimodalDiT
from engine.models.presets import MULTIMODAL_DIT, SINGLE_DIT
from engine.models.single_dit import SingleDiT
from engine.parallel.collectives import offsets, part_sizes
from engine.requests import Camera, ImageToVideo
from tests.benchmarks.i2v_parts.masks import DRAWN, load_drawn

STEPS, PATCHES = 20, 4
RANKS, TOKENS, TEXT = 8, 21 * 45 * 80, 256  # a video of 5 s at 720p
LINK, COMPUTE = 450e9, 400e12  # bytes a second in one direction over NVLink 4, and bf16 FLOP/s reached: an assumption


def rows(reduced: bool) -> list[dict[str, Any]]:
    """Error by warm-up steps beside that of fewer steps; then bytes, and what the bytes are of a step."""
    return [*_errors(reduced), *_sending()]


# --- the error ---


class Stale:
    """Attention of one layer as PipeFusion sees it: patches in order, those behind still of the step before."""

    def __init__(self, attend: Attend, fresh: list[bool]) -> None:
        self.attend, self.fresh = attend, fresh  # whether all patches wait for each other in this step
        self.before: tuple[Tensor, Tensor] | None = None

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, *, role: Role, mask: Mask | None = None) -> Tensor:
        before, self.before = self.before, (k, v)
        if self.fresh[0] or before is None:
            return self.attend(q, k, v, role=role, mask=mask)
        made = []
        for start, stop in pairwise(offsets(part_sizes(q.shape[2], PATCHES))):
            seen = [torch.cat([now[:, :, :stop], old[:, :, stop:]], 2) for now, old in zip((k, v), before, strict=True)]
            made.append(self.attend(q[:, :, start:stop], seen[0], seen[1], role=role, mask=mask))
        return torch.cat(made, 2)


@contextmanager
def pipefused(dit: SingleDiT, warmup: int) -> Iterator[None]:
    """A model under PipeFusion after so many steps in step."""
    fresh, calls = [True], [0]

    def count(*_: Any) -> None:
        fresh[0] = calls[0] < warmup
        calls[0] += 1

    hook = dit.register_forward_pre_hook(count)
    layers = [module for module in dit.modules() if isinstance(module, SelfAttention)]
    before = [use(layer, Stale(layer.attend, fresh)) for layer in layers]
    try:
        yield
    finally:
        hook.remove()
        for attends in before:
            restore(attends)


def _errors(reduced: bool) -> list[dict[str, Any]]:
    engine = Engine.load()
    scenes = list(_scenes(engine, 2 if reduced else 10))
    exact = [_flow(engine, *scene, STEPS) for scene in scenes]

    def error(warmup: int | None, steps: int = STEPS) -> float:
        """Root mean square over all scenes, as a share of the motion's."""
        pairs = []
        for scene, flow in zip(scenes, exact, strict=True):
            with pipefused(engine.dit, STEPS if warmup is None else warmup):  # nothing is left of the scene before
                pairs.append((_flow(engine, *scene, steps), flow))
        return float(np.sqrt(sum(((a - b) ** 2).sum() for a, b in pairs) / sum((b**2).sum() for _, b in pairs)))

    fewer = error(None, STEPS * 3 // 4)
    at = f"{STEPS} steps, {PATCHES} patches, nano, {len(scenes)} scenes"
    made = [_row(f"PipeFusion, every step in step ({at})", error(STEPS), 0.0, "share of the motion", 0.0)]
    for warmup in (1, 2, 4, 8, 14):
        what = f"PipeFusion after {warmup} steps in step ({at}); peer: a quarter fewer steps"
        made.append(_row(what, error(warmup), fewer, "share of the motion", fewer))
    return made


def _scenes(engine: Engine, count: int) -> Iterator[tuple[ImageToVideo, Prepared]]:
    """Photographs with their drawn masks, and a camera move each."""
    moves = ("pan-left", "dolly-in", "orbit-left", "tilt-up")
    with tempfile.TemporaryDirectory() as folder:
        for number, path in enumerate(sorted(DRAWN.glob("*.json"))[:count]):
            photo, mask = load_drawn(path)
            files = Path(folder) / "photo.png", Path(folder) / "mask.png"
            Image.fromarray(photo).save(files[0])
            Image.fromarray(mask.astype(np.uint8) * 255).save(files[1])
            camera = Camera(move=moves[number % len(moves)], strength=0.6)  # type: ignore[arg-type]
            request = ImageToVideo(camera=camera, format="1:1", short_side=540)
            yield request, engine.prepare(request, *files)


def _flow(engine: Engine, request: ImageToVideo, prepared: Prepared, steps: int) -> np.ndarray:
    *_, fields = engine.denoise(request.model_copy(update={"steps": steps}), prepared, seed=1)
    return np.concatenate([fields.scene_flow, fields.product_flow])


# --- the sending ---


def _sending() -> list[dict[str, Any]]:
    made = []
    with torch.device("meta"):
        models = {"2B": SingleDiT(**SINGLE_DIT["2b"]), "13.4B": MultimodalDiT(**MULTIMODAL_DIT["13b"])}
    for name, model in models.items():
        config = model.config
        ulysses = costs.sent_bytes(config, MeshShape(ulysses=RANKS), TOKENS, TEXT)["ulysses"]
        pipefusion = TOKENS * config["hidden"] * 2  # all patches to the next rank, once
        computed = costs.forward_flops(config, TOKENS, TEXT).total / RANKS / COMPUTE
        kept = 2 * TOKENS * config["hidden"] * 2 * len(costs.blocks_of(config)) // RANKS
        at = f"{name}, 720p, 5 s, {RANKS} ranks, bf16, one row"
        saved = (ulysses - pipefusion) / LINK / (computed + ulysses / LINK)
        made += [
            _row(f"sent by a rank in a forward ({at}); peer: Ulysses", pipefusion, ulysses, "bytes", ulysses),
            _row(f"keys and values kept by a rank ({at})", kept, 0, "bytes", None),
            _row(f"predicted share of a step that sending less could save over NVLink ({at})", saved, 0, "share", None),
        ]
    return made


def _row(what: str, ours: float, peer: float, unit: str, goal: float | None) -> dict[str, Any]:
    return {
        "what": what,
        "ours": ours,
        "peer": peer,
        "ratio": peer / ours if ours else None,
        "unit": unit,
        "goal": "none" if goal is None else f"<= {goal:.3g}",
        "met": goal is None or ours <= goal,
    }
