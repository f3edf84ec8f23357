"""A denoiser on many ranks: `engine_on(bundle, {"cfg": 2}).generate(...)`, as with any other engine.

The engine's own process opens photos, decodes and renders; the ranks hold the transformer and the text encoder, and
denoise together.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial

import numpy as np
import torch
from torch import Tensor

from engine.bundles import Bundle, check_sees, sampling_of
from engine.denoise import Denoiser, Row, Visit
from engine.generate import Engine
from engine.models.motion_vae import MotionVAE
from engine.parallel.apply import Parallel
from engine.parallel.mesh import MeshShape
from engine.runtime.group import Limits
from engine.runtime.rank import Place
from engine.runtime.steady import SteadyGroup
from engine.weights import check_parts, load_model


def engine_on(bundle: Bundle, mesh: Mapping[str, int], *, cache: float = 0.0, strict: bool = True) -> Engine:
    """An engine that denoises on the ranks of a mesh, as {"cfg": 2}, which share the cores of this machine.

    `cache`, `strict`: as in `denoise.Denoiser`.
    """
    check_sees(bundle)
    denoiser = GroupDenoiser(bundle, MeshShape(**mesh), cache=cache, strict=strict)
    try:
        return Engine(bundle, denoiser)
    except BaseException:
        denoiser.close()
        raise


class DenoisingRank:
    """What each rank runs."""

    def __init__(self, bundle: Bundle, place: Place, *, cache: float = 0.0, strict: bool = True) -> None:
        self.place, self.denoiser = place, Denoiser(bundle, cache=cache, strict=strict, mesh=place.mesh)
        check_parts(bundle, load_model(bundle, MotionVAE, "motion_vae"), self.denoiser.dit, self.denoiser.text)
        self.parallel = Parallel(self.denoiser.dit, place.mesh)

    def denoise(self, rows: Sequence[Row], steps: int) -> Iterator[np.ndarray | dict[str, float]]:
        """The estimate after each step, and last what a cache has saved."""
        for data_NCTHW in self.denoiser.denoise(rows, steps, self.place.checkpoint):
            yield data_NCTHW.numpy()  # a tensor takes twenty times as long to pack
        yield self.denoiser.saved

    def understood(self, prompt: str) -> Iterator[dict[str, str]]:
        yield self.denoiser.understood(prompt)

    def is_cut(self, prompt: str) -> Iterator[bool]:
        yield self.denoiser.is_cut(prompt)


class GroupDenoiser(SteadyGroup):
    """`denoise.Denoises` on the ranks of a mesh. ValueError where they would share guidance and there is none."""

    def __init__(
        self,
        bundle: Bundle,
        shape: MeshShape,
        *,
        cache: float = 0.0,
        strict: bool = True,
        threads: int = 0,
        limits: Limits | None = None,
    ) -> None:
        if shape.cfg > 1 and sampling_of(bundle)["guidance"] == 1:
            raise ValueError(
                f"The bundle {bundle.name} is sampled without guidance: leave cfg={shape.cfg} out of the mesh."
            )
        program = partial(DenoisingRank, bundle, cache=cache, strict=strict)
        super().__init__(program, shape, threads=threads, limits=limits)

    def denoise(self, rows: Sequence[Row], steps: int, visit: Visit = lambda: None) -> Generator[Tensor, None, None]:
        """See `denoise.Denoises`. Ranks of `data` that have no row of their own repeat the last one."""
        spare = max(0, self.group.shape.data - len(rows))
        with closing(self.denoised([*rows, *[rows[-1]] * spare], steps, visit=visit)) as made:
            for data_NCTHW in made:
                yield torch.from_numpy(data_NCTHW[: len(rows)])

    def understood(self, prompt: str) -> dict[str, str]:
        """See `denoise.Denoises`."""
        (found,) = self.ask("understood", prompt)
        return dict(found)
