"""Latent video on many ranks: `latent_video_on(bundle, MeshShape(cfg=2))`, as `LatentVideo(bundle)` in one process.

The ranks hold transformer and text encoder and denoise together; the VAE stays with the owner.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.bundles import Bundle
from engine.denoise import Visit
from engine.latent_denoise import Asked, LatentDenoiser, Step, identity_of
from engine.latent_video import LatentVideo
from engine.parallel.apply import Parallel
from engine.parallel.mesh import MeshShape
from engine.runtime.group import Limits
from engine.runtime.rank import Place
from engine.runtime.steady import SteadyGroup


def latent_video_on(
    bundle: Bundle, shape: MeshShape, dit: str = "single", *, cache: float = 0.0, adapter: Path | None = None
) -> LatentVideo:
    """The models of a bundle, whose denoising is done by the ranks of a mesh; `close` ends them.

    Raises what `LatentDenoiser` and `SteadyGroup` do.
    """
    denoiser = GroupLatentDenoiser(bundle, shape, dit, cache=cache, adapter=adapter)
    try:
        return LatentVideo(bundle, dit, denoiser)
    except BaseException:
        denoiser.close()
        raise


class LatentRank:
    """What each rank runs."""

    def __init__(self, bundle: Bundle, dit: str, cache: float, adapter: Path | None, place: Place) -> None:
        self.place = place
        self.denoiser = LatentDenoiser(bundle, dit, cache=cache, adapter=adapter, mesh=place.mesh)
        self.parallel = Parallel(self.denoiser.dit, place.mesh)

    def denoise(self, asked: Asked) -> Iterator[tuple[np.ndarray, np.ndarray] | dict[str, float]]:
        """Latents and estimate after each step, and last what a cache has saved."""
        for x, data in self.denoiser.denoise(asked, self.place.checkpoint):
            yield x.numpy(), data.numpy()
        yield self.denoiser.saved

    def is_cut(self, prompt: str) -> Iterator[bool]:
        yield self.denoiser.is_cut(prompt)


class GroupLatentDenoiser(SteadyGroup):
    """`latent_denoise.DenoisesLatents` on the ranks of a mesh."""

    def __init__(
        self,
        bundle: Bundle,
        shape: MeshShape,
        dit: str = "single",
        *,
        cache: float = 0.0,
        adapter: Path | None = None,
        threads: int = 0,
        limits: Limits | None = None,
    ) -> None:
        if shape.data > 1:
            raise ValueError(f"Ranks of `data` cannot share one video: leave data={shape.data} out.")
        self.identity = identity_of(cache, adapter)
        program: Any = partial(LatentRank, bundle, dit, cache, adapter)
        super().__init__(program, shape, threads=threads, limits=limits)

    def denoise(self, asked: Asked, visit: Visit = lambda: None) -> Generator[Step, None, None]:
        """See `latent_denoise.DenoisesLatents`. ValueError where guidance is off and its halves were to be shared."""
        if asked.rows < self.group.shape.cfg:
            raise ValueError("Without guidance there are no two halves: leave cfg=2 out of the mesh, or guidance on.")
        with closing(self.denoised(asked, visit=visit)) as steps:
            for x, data in steps:
                yield torch.from_numpy(x), torch.from_numpy(data)
