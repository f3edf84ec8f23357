"""What a pretrained pipeline is called with, in its own terms.

Legend: T frames, H W pixels, C colours.
"""

from __future__ import annotations

from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
import torch
from diffusers import WanPipeline
from PIL import Image

from engine.pretrained.wan import TEXT_TOKENS

Frames = np.ndarray  # uint8 [T, H, W, 3]
GREY = 128  # what VACE is shown where it is to paint


@dataclass(frozen=True)
class Ask:
    """One call of the pipeline, in its own terms: size and length are the model's, not the video's.

    `image` uint8 [H, W, 3] is the first frame. `video` uint8 [T, H, W, 3] with `mask` uint8 [T, H, W], 255 where it
    is to be painted anew: inpainting, which only VACE does. `negative` is what the video should not be.
    """

    prompt: str
    width: int
    height: int
    frames: int
    steps: int
    guidance: float
    seed: int
    negative: str = ""
    image: np.ndarray | None = None
    video: Frames | None = None
    mask: np.ndarray | None = None


def times_of(pipe: Any, steps: int) -> list[float]:
    """The shares of noise before each step, and the last, which is 0."""
    pipe.scheduler.set_timesteps(steps)
    return [float(time) for time in pipe.scheduler.sigmas]


def arguments(pipe: Any, ask: Ask) -> dict[str, Any]:
    """What the pipeline is called with. ValueError for a condition that it does not take."""
    given: dict[str, Any] = {
        "prompt": ask.prompt,
        "negative_prompt": ask.negative,
        "height": ask.height,
        "width": ask.width,
        "num_frames": ask.frames,
        "num_inference_steps": ask.steps,
        "guidance_scale": ask.guidance,
        "generator": torch.Generator().manual_seed(ask.seed),
    }
    name = type(pipe).__name__
    if name in ("WanVACEPipeline", "WanImageToVideoPipeline"):
        given |= wan_text(pipe, given.pop("prompt"), given.pop("negative_prompt"), ask.guidance > 1)
    if name == "WanVACEPipeline":
        return given | _painted(ask)
    if ask.video is not None or ask.mask is not None:
        raise ValueError("This model does not paint parts of a video anew: that takes a Wan VACE model.")
    if "ImageToVideo" in name:
        if ask.image is None:
            raise ValueError("This model needs a photo as the first frame.")
        return given | {"image": Image.fromarray(ask.image)}
    if ask.image is not None:
        raise ValueError("This model makes videos from words only, not from a photo.")
    return given


def is_cut(pipe: Any, prompt: str) -> bool:
    """Whether the pipeline's text encoder reads only the beginning of this prompt."""
    most: int = signature(pipe.__call__).parameters["max_sequence_length"].default
    return len(pipe.tokenizer(prompt)["input_ids"]) > most


def wan_text(pipe: Any, prompt: str, negative: str, guided: bool) -> dict[str, Any]:
    """Both texts encoded. These two pipelines clean text with ftfy even where it is missing; WanPipeline asks first."""
    words: Any = WanPipeline(pipe.tokenizer, pipe.text_encoder, pipe.vae, pipe.scheduler)
    asked, unasked = words.encode_prompt(
        prompt, negative, guided, max_sequence_length=TEXT_TOKENS, device=pipe._execution_device
    )
    return {"prompt_embeds": asked, "negative_prompt_embeds": unasked}


def _painted(ask: Ask) -> dict[str, Any]:
    """VACE: a video with a mask of what is to be painted; a photo is its first frame, and all else is to be painted."""
    video, mask = ask.video, ask.mask
    if ask.image is not None and video is None:
        video = np.full((ask.frames, *ask.image.shape), GREY, np.uint8)
        mask = np.full(video.shape[:3], 255, np.uint8)
        video[0], mask[0] = ask.image, 0
    if video is None and mask is None:
        return {}
    shape = (ask.frames, ask.height, ask.width)
    if video is None or mask is None or video.shape != (*shape, 3) or mask.shape != shape:
        raise ValueError(
            f"Painting anew takes a video and a mask, each of {ask.frames} frames of {ask.width}x{ask.height}."
        )
    return {
        "video": [Image.fromarray(frame) for frame in video],
        "mask": [Image.fromarray(frame, mode="L") for frame in mask],
    }
