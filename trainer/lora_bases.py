"""What an adapter is trained on: the base's transformer, and its own way from frames and words to tensors.

Legend: C channels, T H W frames, height, width (lower case: of the latents), M text tokens, rows a list of samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.bundles import Bundle, read_bundle
from engine.costs import check_size
from engine.latent_video import LatentVideo, condition_of, pixels_of
from engine.pretrained.wan import TEXT_TOKENS
from trainer.recipes.lora import SamplesConfig


@dataclass(frozen=True)
class Sample:
    """One photo or clip as the transformer learns it: scaled latents, and its words."""

    latents_CThw: Tensor
    text_MC: Tensor
    text_mask_M: Tensor

    def to(self, device: torch.device) -> Sample:
        return Sample(self.latents_CThw.to(device), self.text_MC.to(device), self.text_mask_M.to(device))


class Base(Protocol):
    """A loaded bundle whose transformer can be adapted. `part`: what the transformer is called in the bundle. The
    transformer may be moved to a device; what encodes stays on the CPU.
    """

    bundle: Bundle
    part: str
    model: nn.Module

    def size(self, config: SamplesConfig) -> tuple[int, int, int]:
        """Frames, height and width that are trained on; ValueError where the base cannot make them."""

    def encode(self, frames_THW3: np.ndarray, prompt: str) -> Sample:
        """uint8 frames and words for the transformer, in float32."""

    def velocity(
        self, noisy: list[Tensor], time_B: Tensor, samples: Sequence[Sample], is_photo_known: list[bool]
    ) -> list[Tensor]:
        """The predicted noise - data of each row. Where the photo is known, the row's first latent frame is given."""


def load_base(config: SamplesConfig) -> Base:
    """The base of a run, frozen. ValueError for bundles whose transformers this recipe cannot train."""
    if not config.base:
        raise ValueError("Say which bundle is adapted: --set base=FOLDER.")
    if config.dtype not in ("float32", "bfloat16"):
        raise ValueError(f"The base's weights can be float32 or bfloat16, not {config.dtype!r}.")
    bundle, dtype = read_bundle(config.base), getattr(torch, config.dtype)
    if bundle.layout == "diffusers":
        if config.dit != "single":
            raise ValueError(f"{bundle.name} is an imported bundle of one transformer: leave out dit={config.dit}.")
        return WanBase(bundle, dtype)
    if "vae.json" in bundle.files:
        return OwnBase(bundle, config.dit, dtype)
    raise ValueError(
        f"The bundle {bundle.name} moves photos and paints none: there is nothing to learn from photos. "
        f"Adapt a bundle of latent video."
    )


class OwnBase:
    """A Single- or Multimodal-DiT on the latents of its bundle's video VAE."""

    def __init__(self, bundle: Bundle, dit: str, dtype: torch.dtype) -> None:
        self.bundle, self.part = bundle, f"{dit}_dit"
        self.video = LatentVideo(bundle, dit)
        self.model = cast(nn.Module, self.video.dit)
        self.model.to(dtype)
        self.dtype = dtype

    def size(self, config: SamplesConfig) -> tuple[int, int, int]:
        native = self.bundle.capabilities.get("latents", {})
        asked = (config.frames, config.height, config.width)
        usual = (native.get("frames", 17), native.get("height", 64), native.get("width", 64))
        frames, height, width = (one or other for one, other in zip(asked, usual, strict=True))
        check_size(self.video.config, self.video.vae.config, frames, height, width)
        return frames, height, width

    @torch.no_grad()
    def encode(self, frames_THW3: np.ndarray, prompt: str) -> Sample:
        ids, mask = self.video.tokenizer([prompt])
        return Sample(self.video.encode(frames_THW3)[0], self.video.text(ids, mask)[0], mask[0])

    def velocity(
        self, noisy: list[Tensor], time_B: Tensor, samples: Sequence[Sample], is_photo_known: list[bool]
    ) -> list[Tensor]:
        longest = max(len(sample.text_mask_M) for sample in samples)
        text, mask = (
            torch.stack([F.pad(x, [0, 0] * (x.dim() - 1) + [0, longest - len(x)]) for x in rows])
            for rows in ([sample.text_MC for sample in samples], [sample.text_mask_M for sample in samples])
        )
        given = [
            self._condition(sample.latents_CThw, known).to(self.dtype)
            for sample, known in zip(samples, is_photo_known, strict=True)
        ]
        # Rows of any sizes in one packed row: photos and clips learn together.
        made: list[Tensor] = self.model([x.to(self.dtype) for x in noisy], time_B, text.to(self.dtype), mask, given)
        return made

    def _condition(self, latents_CThw: Tensor, is_photo_known: bool) -> Tensor:
        known = latents_CThw.new_zeros(1, 1, *latents_CThw.shape[1:])
        known[:, :, :1] = float(is_photo_known)
        mask_channels = self.video.dit.config["condition_channels"] - len(latents_CThw)
        return condition_of(latents_CThw[None], known, mask_channels)[0]


class WanBase:
    """The transformer of an imported Wan text-to-video pipeline."""

    part = "transformer"

    def __init__(self, bundle: Bundle, dtype: torch.dtype) -> None:
        from engine.pretrained.directory import read_directory
        from engine.pretrained.generate import PretrainedEngine

        pipeline = bundle.capabilities.get("pipeline")
        if pipeline != "WanPipeline" or len(read_directory(bundle.path).transformers) > 1:
            raise ValueError(
                f"This recipe trains our own bundles and Wan's text-to-video with one transformer, not {pipeline}. "
                f"`engine.adapters` runs adapters of any of them that were trained elsewhere."
            )
        engine = PretrainedEngine.load(bundle, dtype=dtype)
        self.bundle, self.dtype = bundle, dtype
        self.pipe = engine.pipelines["text_to_video"]
        self.model: nn.Module = self.pipe.transformer
        config = self.pipe.vae.config
        self.mean, self.std = (
            torch.tensor(values).reshape(-1, 1, 1, 1) for values in (config.latents_mean, config.latents_std)
        )

    def size(self, config: SamplesConfig) -> tuple[int, int, int]:
        frames, height, width = config.frames or 81, config.height or 480, config.width or 832
        check_size(cast(Any, self.model).config, self.pipe.vae.config, frames, height, width)
        return frames, height, width

    @torch.no_grad()
    def encode(self, frames_THW3: np.ndarray, prompt: str) -> Sample:
        video = pixels_of(frames_THW3)
        latents = self.pipe.vae.encode(video.to(self.pipe.vae.dtype)).latent_dist.mode()[0].float()
        asked, _ = self.pipe.encode_prompt(
            prompt,
            do_classifier_free_guidance=False,
            max_sequence_length=TEXT_TOKENS,  # as it is generated with
        )
        text = asked[0].float()
        return Sample((latents - self.mean) / self.std, text, torch.ones(len(text), dtype=torch.bool))

    def velocity(
        self, noisy: list[Tensor], time_B: Tensor, samples: Sequence[Sample], is_photo_known: list[bool]
    ) -> list[Tensor]:
        assert not any(is_photo_known), "this transformer reads no photo"
        return [
            self.model(
                hidden_states=x[None].to(self.dtype),
                timestep=time[None] * 1000,
                encoder_hidden_states=sample.text_MC[None].to(self.dtype),
                return_dict=False,
            )[0][0]
            for x, time, sample in zip(noisy, time_B, samples, strict=True)
        ]
