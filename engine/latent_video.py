"""Prompt and known frames in, frames out, by a latent video model: condition -> denoise -> decode.

What is known is given, the rest is painted: nothing (text to video), the first frame (image to video), the first 1 + 4n
frames (continuation), all frames outside a hidden region (inpainting). Legend: B batch (1, or 2 with guidance), C
channels, T H W time, height, width (lower case: of the latents), M of the mask.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from torch import Tensor

from engine.bundles import Bundle, BundleError, read_bundle, sampling_of, steps_of
from engine.costs import check_size
from engine.denoise import Visit
from engine.latent_denoise import DITS, Asked, DenoisesLatents, LatentDenoiser
from engine.models.video_dit import VideoDiT
from engine.weights import config_of, load_model

USUAL_STEPS = 20
SPACE, TIME = 8, 4  # pixels a latent, frames a latent after the first


class LatentVideo:
    """The models of one bundle, loaded once. `denoiser` may be one on many ranks: see `engine.runtime`."""

    def __init__(self, bundle: Bundle, dit: str = "single", denoiser: DenoisesLatents | None = None) -> None:
        self.denoiser: DenoisesLatents = denoiser or LatentDenoiser(bundle, dit)
        self.bundle, self.sampling, self.kind = bundle, sampling_of(bundle), DITS[dit]
        self.vae = load_model(bundle, AutoencoderKLWan, "vae")
        self.config = config_of(bundle, f"{dit}_dit")  # its weights may be on other ranks
        self.mask_channels = _mask_channels(bundle, f"{dit}_dit", self.config, self.vae.config["z_dim"])
        self.mean, self.std = statistics_of(bundle, self.vae.config["z_dim"])

    @classmethod
    def load(cls, bundle: Path, dit: str = "single") -> LatentVideo:
        """Read, verify and load a bundle with its Single- or Multimodal-DiT. BundleError says what is wrong with it."""
        return cls(read_bundle(bundle), dit)

    @property
    def local(self) -> LatentDenoiser:
        """The denoiser, where it is in this process. Its `dit` may be wrapped from outside, by a cache and the like."""
        assert isinstance(self.denoiser, LatentDenoiser), "the denoiser is on other ranks"
        return self.denoiser

    @property
    def dit(self) -> VideoDiT:
        return self.local.dit

    @property
    def text(self) -> Any:
        """See `weights.load_text`."""
        return self.local.text

    @property
    def tokenizer(self) -> Any:
        return self.local.tokenizer

    def denoise(
        self,
        prompt: str,
        *,
        known: np.ndarray | None = None,
        hidden: np.ndarray | None = None,
        frames: int = 17,
        height: int = 64,
        width: int = 64,
        steps: int | None = None,
        seed: int = 0,
        guidance: float | None = None,
        visit: Visit = lambda: None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """After each step (x, estimate of the data) as `samplers.euler` has them; the last estimate is the result.

        `known` [1 + 4n, H, W, 3] uint8 are the first frames, brought to height x width; `hidden` [H, W] is True where
        they are to be painted anew. `steps`: by default those that the bundle was distilled to, or 20. `guidance`, the
        bundle's own by default, makes two rows of a batch, and one where it is 1. What `visit` raises is raised within
        a step. ValueError: sizes that the model cannot make.
        """
        check_size(self.config, self.vae.config, frames, height, width)
        shape = (1 + (frames - 1) // TIME, height // SPACE, width // SPACE)
        condition = self.condition(known, hidden, shape)
        scale = self.sampling["guidance"] if guidance is None else guidance
        steps = steps_of(self.bundle, USUAL_STEPS) if steps is None else steps
        with closing(self.denoiser.denoise(Asked(prompt, condition, steps, seed, scale), visit)) as made:
            yield from made

    def close(self) -> None:
        """End the ranks of the denoiser, where it has any."""
        self.denoiser.close()

    @torch.inference_mode()
    def decode(self, latents_BCThw: Tensor) -> np.ndarray:
        """Frames [T, H, W, 3] uint8 of one sample's latents, as `denoise` gives them. BundleError for no numbers."""
        video = self.vae.decode(latents_BCThw * self.std + self.mean, return_dict=False)[0]
        if not video.isfinite().all():
            raise BundleError(
                f"The bundle {self.bundle.name} made frames that are no numbers. Its weights are damaged, or the "
                f"guidance is far too strong."
            )
        return (video[0].permute(1, 2, 3, 0) * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).numpy()

    @torch.inference_mode()
    def encode(self, frames_THW3: np.ndarray) -> Tensor:
        """Latents [1, C, t, h, w] of frames uint8, scaled as the transformers read them."""
        video = pixels_of(frames_THW3)
        return (self.vae.encode(video).latent_dist.mode() - self.mean) / self.std

    @torch.inference_mode()
    def condition(
        self, known_THW3: np.ndarray | None, hidden_HW: np.ndarray | None, shape: tuple[int, int, int]
    ) -> Tensor:
        """What is known, as the channels [1, C + M, t, h, w] that the transformer reads beside the noisy latents."""
        latents, mask = torch.zeros(1, self.vae.config["z_dim"], *shape), torch.zeros(1, 1, *shape)
        if known_THW3 is None and hidden_HW is not None:
            raise ValueError("A hidden region is one of known frames: give them too.")
        if known_THW3 is not None:
            size = (shape[2] * SPACE, shape[1] * SPACE)
            _check_known(known_THW3, shape[0])
            frames = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in known_THW3])
            seen_hw = torch.ones(shape[1:])
            if hidden_HW is not None:
                # By area, as the frames are brought to size: what is hidden of a pixel's area is in its colour.
                share = cv2.resize(hidden_HW.astype(np.float32), size, interpolation=cv2.INTER_AREA)
                frames[:, share > 0] = HIDDEN_GREY
                seen_hw = 1 - F.max_pool2d(torch.from_numpy(share > 0)[None].float(), SPACE)[0]
            made = self.encode(frames)
            latents[:, :, : made.shape[2]], mask[:, :, : made.shape[2]] = made, seen_hw
        return condition_of(latents, mask, self.mask_channels)


HIDDEN_GREY = 128  # what stands in a hidden region, in training too


def pixels_of(frames_THW3: np.ndarray) -> Tensor:
    """Frames uint8 as the [1, 3, T, H, W] in -1..1 that a video VAE reads."""
    return torch.from_numpy(np.ascontiguousarray(frames_THW3)).permute(3, 0, 1, 2)[None].float() / 127.5 - 1


def condition_of(latents_BCThw: Tensor, known_B1Thw: Tensor, mask_channels: int) -> Tensor:
    """Known latents, zero where nothing is known, and the mask of what is: the `condition` of a transformer."""
    mask = known_B1Thw.to(latents_BCThw.dtype)
    return torch.cat([latents_BCThw * mask, mask.expand(-1, mask_channels, -1, -1, -1)], 1)


def statistics_of(bundle: Bundle, channels: int) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the latents, [1, C, 1, 1, 1] each; BundleError where the bundle does not say them."""
    latents = bundle.capabilities.get("latents")
    found: dict[str, Any] = latents if isinstance(latents, dict) else {}
    try:
        mean, std = (torch.tensor(found[key], dtype=torch.float32) for key in ("mean", "std"))
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"The bundle {bundle.name} does not say the latents' mean and deviation: {error}.") from error
    if mean.shape != (channels,) or std.shape != (channels,) or not bool((std > 0).all()):
        raise BundleError(f"The bundle {bundle.name} needs {channels} means and positive deviations of its latents.")
    return mean.reshape(1, -1, 1, 1, 1), std.reshape(1, -1, 1, 1, 1)


def _mask_channels(bundle: Bundle, name: str, config: dict[str, Any], channels: int) -> int:
    """How many channels the transformer reads beside what is known; BundleError where it is not one of this VAE."""
    reads, condition = (config.get(key, 0) for key in ("in_channels", "condition_channels"))
    wrong = []
    if reads != channels:
        wrong.append(f"{name}.json reads latents of another width than vae.json makes ({reads} and {channels})")
    if condition <= reads:
        wrong.append(f"{name}.json has no channels for what is known and its mask")
    if wrong:
        raise BundleError(f"The bundle {bundle.name} cannot be used: {'; '.join(wrong)}. Export it again.")
    return condition - reads


def _check_known(known_THW3: np.ndarray, latent_frames: int) -> None:
    if (len(known_THW3) - 1) % TIME or (len(known_THW3) - 1) // TIME >= latent_frames:
        raise ValueError(
            f"{len(known_THW3)} known frames: give the first 1 + {TIME}n, at most {1 + TIME * (latent_frames - 1)}."
        )
