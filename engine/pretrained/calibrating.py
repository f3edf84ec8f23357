"""Calibration of a cache on an imported Wan pipeline: what each policy costs on a few requests of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from engine.cache.budget import Calibration
from engine.cache.calibrate import calibrate
from engine.pretrained.arguments import Ask, arguments, times_of, wan_text
from engine.pretrained.generate import PretrainedEngine
from engine.pretrained.halves import Halves, refuse_cache


@torch.inference_mode()
def calibrated(engine: PretrainedEngine, asks: Sequence[Ask], kind: str, only: Sequence[str] = ()) -> Calibration:
    """Of requests that differ in prompt, seed or photo; steps, guidance and what is not wanted are those of the first.

    `cache.bundled.with_calibration` makes a bundle with it. About 60 runs a request. ValueError for a model whose
    guidance is not in two halves, and for no guidance.
    """
    refuse_cache([type(model).__name__ for model in engine.denoisers])
    if asks[0].guidance <= 1:
        raise ValueError("Without guidance there are no two halves to calibrate: ask for more than 1.")
    first, pipe = asks[0], engine.pipelines[kind]
    alike: dict[str, Any] = {"steps": first.steps, "guidance": first.guidance, "negative": first.negative}
    given = [_in_text(pipe, replace(ask, **alike)) for ask in asks]
    halves = Halves(engine.denoisers[0], given[0]["negative_prompt_embeds"])
    try:
        samples = [partial(_latents, pipe, one) for one in given]
        return calibrate(halves, samples, times_of(pipe, first.steps), first.guidance, only=only)
    finally:
        halves.remove()


def _in_text(pipe: Any, ask: Ask) -> dict[str, Any]:
    given = arguments(pipe, ask)
    if "prompt" in given:
        given |= wan_text(pipe, given.pop("prompt"), given.pop("negative_prompt"), guided=ask.guidance > 1)
    return given


def _latents(pipe: Any, given: dict[str, Any]) -> Tensor:
    seed = given["generator"].initial_seed()
    made: Tensor = pipe(
        **given | {"generator": torch.Generator().manual_seed(seed)}, output_type="latent", return_dict=False
    )[0]
    return made
