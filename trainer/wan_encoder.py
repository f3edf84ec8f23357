"""The video VAE of an imported Wan pipeline: of all its parts, this one is loaded."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from engine.bundles import Bundle
from engine.latent_video import SPACE, TIME
from engine.pretrained.directory import read_directory
from engine.pretrained.loading import load_parts


def wan_vae(bundle: Bundle) -> tuple[Any, tuple[Tensor, Tensor]]:
    """The VAE in float32, and mean and deviation [1, C, 1, 1, 1] of its latents. ValueError where it is of another
    kind than what is trained here reads.
    """
    vae = cast(Any, load_parts(bundle, read_directory(bundle.path), ("vae",), torch.float32)["vae"])
    sizes = (vae.config.scale_factor_spatial, vae.config.scale_factor_temporal)
    if sizes != (SPACE, TIME):
        raise ValueError(
            f"The video VAE of {bundle.name} makes latents of {sizes[0]} pixels and {sizes[1]} frames; what is "
            f"trained here reads those of {SPACE} and {TIME}. Encode by a pipeline of Wan 2.1's kind."
        )
    mean, std = (
        torch.tensor(x, dtype=torch.float32).reshape(1, -1, 1, 1, 1)
        for x in (vae.config.latents_mean, vae.config.latents_std)
    )
    return vae, (mean, std)
