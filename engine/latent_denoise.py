"""From noise to the latents of a video: the part of a latent video model that is worth several devices.

`latent_video.LatentVideo` has a denoiser: this one, in its own process, or `runtime.latent_video.GroupLatentDenoiser`,
on many ranks. Legend: B batch (1, or 2 with guidance), C channels, M of the mask, t h w of the latents.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from engine.adapters import put_on
from engine.bundles import Bundle, BundleError, read_bundle, sampling_of
from engine.cache.bundled import BundledCache
from engine.denoise import Visit, visited
from engine.models.multimodal_dit import MultimodalDiT
from engine.models.single_dit import SingleDiT
from engine.models.video_dit import VideoDiT
from engine.parallel.mesh import Mesh
from engine.samplers import euler, guided, shifted_times
from engine.weights import load_model, load_text

DITS: dict[str, type[VideoDiT]] = {"single": SingleDiT, "multimodal": MultimodalDiT}
Step = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Asked:
    """One video, as a denoiser is asked for it: what is known of it is the `condition` [1, C + M, t, h, w]."""

    prompt: str
    condition: Tensor
    steps: int
    seed: int
    guidance: float

    @property
    def rows(self) -> int:
        """With the prompt and, where the scale of guidance needs it, without."""
        return 1 if self.guidance == 1 else 2


class DenoisesLatents(Protocol):
    """What `LatentVideo` needs of its denoiser."""

    def denoise(self, asked: Asked, visit: Visit) -> Generator[Step, None, None]:
        """After each step (x, estimate of the data). Raises what `visit` raises, within one step."""

    def is_cut(self, prompt: str) -> bool:
        """Whether only the beginning of this prompt is read."""

    @property
    def identity(self) -> dict[str, Any]:
        """What else than bundle and transformer its results depend on: see `identity_of`."""

    @property
    def saved(self) -> dict[str, float]:
        """What a cache spared the last denoising: see `Report.summary`, and its budget; empty without one."""

    def close(self) -> None:
        """Give back what is held."""


def identity_of(cache: float, adapter: Path | None) -> dict[str, Any]:
    """The budget of a cache, and the digest of the adapter in this folder; None where there is none."""
    return {"cache": cache or None, "adapter": None if adapter is None else read_bundle(adapter).digest}


class LatentDenoiser:
    """A transformer of a bundle and its text encoder, in this process. `adapter`: the folder of one to put on.

    `cache` is the error budget of a diffusion cache, see `cache.bundled.BundledCache`; `mesh` the one that this rank's
    transformer is spread over. ValueError for a transformer that there is none of, BundleError for what is wrong with
    the bundle.
    """

    def __init__(
        self,
        bundle: Bundle,
        dit: str = "single",
        *,
        cache: float = 0.0,
        adapter: Path | None = None,
        mesh: Mesh | None = None,
    ) -> None:
        if dit not in DITS:
            raise ValueError(f"There is no transformer {dit!r}: choose {' or '.join(DITS)}.")
        if cache and dit != "single":
            raise ValueError("The cache of a bundle is calibrated on its Single-DiT: leave --cache or --dit out.")
        if cache and adapter is not None:
            raise ValueError("A cache is calibrated on the bundle without an adapter: leave --cache or --adapter out.")
        self.sampling, self.cache = sampling_of(bundle), BundledCache(bundle, cache, mesh)
        self.identity = identity_of(cache, adapter)
        self.dit = load_model(bundle, DITS[dit], f"{dit}_dit")
        self.text, self.tokenizer = load_text(bundle)
        reads, makes = self.dit.config["text_dim"], self.text.config["nlu_width"]
        if reads != makes:
            raise BundleError(
                f"The bundle {bundle.name} cannot be used: {dit}_dit.json reads text of another width than its "
                f"text encoder makes ({reads} and {makes}). Export it again."
            )
        if adapter is not None:
            worn = put_on(self.dit, read_bundle(adapter), bundle, f"{dit}_dit")
            if mesh is not None and mesh.tensor.size > 1:
                worn.merge(self.dit)  # what is put beside whole layers cannot be split with them

    @torch.inference_mode()
    def denoise(self, asked: Asked, visit: Visit = lambda: None) -> Generator[Step, None, None]:
        """See `DenoisesLatents`. `visit` is called before each block of the transformer."""
        calibration = self.cache.calibration
        if calibration and asked.guidance != calibration.guidance:
            raise ValueError(
                f"The cache was calibrated with a guidance of {calibration.guidance:g}: leave --guidance out."
            )
        velocity, times = self._velocity(asked), shifted_times(asked.steps, self.sampling["shift"])
        generator = torch.Generator().manual_seed(asked.seed)
        noise = torch.randn(1, self.dit.config["in_channels"], *asked.condition.shape[2:], generator=generator)
        with visited(self.dit, visit), self.cache.request(self.dit, times[:-1].tolist()):
            yield from euler(velocity, self.sampling["temperature"] * noise, times)

    def _velocity(self, asked: Asked) -> Callable[[Tensor, Tensor], Tensor]:
        """The guided velocity: all rows in one batch."""
        token_ids, token_mask = self.tokenizer([asked.prompt, ""][: asked.rows])
        text_BMC = self.text(token_ids, token_mask)
        condition = asked.condition.expand(asked.rows, -1, -1, -1, -1)

        def velocity(x: Tensor, time: Tensor) -> Tensor:
            x = x.expand(asked.rows, -1, -1, -1, -1)
            made: Tensor = self.dit(x, time.expand(asked.rows), text_BMC, token_mask, condition)
            return made if asked.rows == 1 else guided(made[:1], made[1:], asked.guidance)

        return velocity

    def is_cut(self, prompt: str) -> bool:
        """See `DenoisesLatents`."""
        return bool(self.tokenizer.is_cut(prompt))

    @property
    def saved(self) -> dict[str, float]:
        """See `DenoisesLatents`."""
        return self.cache.saved

    def close(self) -> None:
        """Nothing is held beyond this object."""
