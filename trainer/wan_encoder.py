"""The video VAE and the text encoder of an imported Wan pipeline, as `encode` asks them. Legend: see `encode`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from diffusers import WanPipeline
from diffusers.pipelines.wan.pipeline_wan import prompt_clean

from engine.bundles import Bundle
from engine.latent_video import SPACE, TIME
from engine.pretrained.directory import read_directory
from engine.pretrained.loading import load_parts, load_tokenizer
from engine.pretrained.wan import TEXT_TOKENS


class WanEncoder:
    """Loads nothing but what encodes, in float32: transformers of any size may lie beside it."""

    def __init__(self, bundle: Bundle) -> None:
        directory = read_directory(bundle.path)
        parts = load_parts(bundle, directory, ("vae",), torch.float32)
        self.vae = cast(Any, parts["vae"])
        sizes = (self.vae.config.scale_factor_spatial, self.vae.config.scale_factor_temporal)
        if sizes != (SPACE, TIME):
            raise ValueError(
                f"The video VAE of {bundle.name} makes latents of {sizes[0]} pixels and {sizes[1]} frames; what is "
                f"trained here reads those of {SPACE} and {TIME}. Encode by a pipeline of Wan 2.1's kind."
            )
        # The text encoder comes last: at its real size it takes minutes.
        parts |= load_parts(bundle, directory, ("text_encoder",), torch.float32)
        tokenizer = load_tokenizer(bundle, directory)
        self.pipe = cast(Any, WanPipeline(tokenizer=tokenizer, **parts, scheduler=None, transformer=None))
        config = self.vae.config
        self.mean, self.std = (
            torch.tensor(x).reshape(1, -1, 1, 1, 1) for x in (config.latents_mean, config.latents_std)
        )

    @torch.inference_mode()
    def latents(self, frames_THW3: np.ndarray) -> np.ndarray:
        """[C, t, h, w] float16 of frames uint8, scaled as Wan's transformers read them."""
        video = torch.from_numpy(np.ascontiguousarray(frames_THW3)).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
        found: np.ndarray = ((self.vae.encode(video).latent_dist.mode() - self.mean) / self.std)[0].half().numpy()
        return found

    @torch.inference_mode()
    def features(self, prompts: Sequence[str]) -> list[np.ndarray]:
        """Of each prompt [M, C] float16: of its tokens alone, without the zeros that Wan puts behind them."""
        found = []
        for prompt in prompts:
            ids = self.pipe.tokenizer(prompt_clean(prompt), max_length=TEXT_TOKENS, truncation=True)["input_ids"]
            made, _ = self.pipe.encode_prompt(
                prompt, do_classifier_free_guidance=False, max_sequence_length=TEXT_TOKENS
            )
            found.append(made[0, : max(1, len(ids))].half().numpy())
        return found
