"""From noise to motion latents: the part of a generation that is worth several devices.

`generate.Engine` has a denoiser: this one, in its own process, or `runtime.denoise.GroupDenoiser`, on many ranks.

Legend: N rows asked for, B their batch (with guidance N asked rows, then N unasked), C channels, T key times after the
first / 4, H W grid of the latents, M text tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.bundles import Bundle, BundleError, sampling_of
from engine.cache.bundled import BundledCache
from engine.conditions import CAMERA_IDS, SUBJECT_IDS, control_tensors
from engine.models.ernie import ErnieEncoder
from engine.models.single_dit import SingleDiT
from engine.parallel.mesh import Mesh
from engine.reading import reading
from engine.recent import Recent
from engine.samplers import Velocity, euler, guided, shifted_times
from engine.weights import load_model, load_tokenizer

Visit = Callable[[], None]  # called often while there is work: it raises what should end the work
FREE = ("auto", 0.0, "auto", 0.0)  # the controls of an unasked row
PROMPTS = 64  # whose features are kept: 64 KB each at most
USUAL_STRENGTH = 0.6  # of the meanings that a prompt is compared with; the one that the text encoder was taught at


@dataclass(frozen=True)
class Row:
    """What is asked of the denoiser: `controls` are camera move, strength, subject motion, strength."""

    prompt: str
    controls: tuple[str, float, str, float]
    condition_CTHW: Tensor
    seed: int


class Denoises(Protocol):
    """What an engine needs of its denoiser."""

    def denoise(self, rows: Sequence[Row], steps: int, visit: Visit) -> Generator[Tensor, None, None]:
        """After each step the estimate of the data [N, C, T, H, W]. Raises what `visit` raises, within one step."""

    def understood(self, prompt: str) -> dict[str, str]:
        """What the prompt says of camera and subject: the control of the nearest meaning, where it says anything."""

    def is_cut(self, prompt: str) -> bool:
        """Whether only the beginning of this prompt is read."""

    @property
    def saved(self) -> dict[str, float]:
        """What a cache spared the last denoising: see `Report.summary`, and its budget; empty without one."""

    def close(self) -> None:
        """Give back what is held."""


class Denoiser:
    """The transformer and the text encoder of a bundle, in this process.

    `cache` is the error budget of a diffusion cache, `strict` whether it has to be for the steps that are asked: see
    `cache.bundled.BundledCache`. `mesh` is the one that this rank's transformer is spread over.
    BundleError for what is wrong with the bundle, as a cache that was calibrated with another guidance than its own.
    """

    def __init__(self, bundle: Bundle, *, cache: float = 0.0, strict: bool = True, mesh: Mesh | None = None) -> None:
        self.sampling = sampling_of(bundle)
        self.cache = BundledCache(bundle, cache, mesh, strict=strict)
        calibration, guidance = self.cache.calibration, self.sampling["guidance"]
        if calibration and calibration.guidance != guidance:
            raise BundleError(
                f"The bundle {bundle.name} is sampled with a guidance of {guidance:g}, but its cache was calibrated "
                f"with {calibration.guidance:g}: calibrate it again."
            )
        self.dit = load_model(bundle, SingleDiT, "single_dit")
        self.text = load_model(bundle, ErnieEncoder, "text")
        self.tokenizer = load_tokenizer(bundle, self.text)
        self.prompts: Recent[str, tuple[Tensor, Tensor]] = Recent(PROMPTS)

    @torch.inference_mode()
    def denoise(self, rows: Sequence[Row], steps: int, visit: Visit = lambda: None) -> Generator[Tensor, None, None]:
        """See `Denoises`. `visit` is called before each block of the transformer.

        Rows of one batch share their grid, and what a cache decides. Without one each is what it would be alone, but
        for the rounding of float32.
        """
        noise_NCTHW = torch.cat([self._noise(row) for row in rows])
        velocity, times = self._velocity(rows), shifted_times(steps, self.sampling["shift"])
        with visited(self.dit, visit), self.cache.request(self.dit, times[:-1].tolist()):
            for _, data_NCTHW in euler(velocity, noise_NCTHW, times):
                yield data_NCTHW

    def _noise(self, row: Row) -> Tensor:
        generator = torch.Generator().manual_seed(row.seed)
        noise = torch.randn(1, self.dit.config.in_channels, *row.condition_CTHW.shape[1:], generator=generator)
        return self.sampling["temperature"] * noise

    def _velocity(self, rows: Sequence[Row]) -> Velocity:
        """The guided velocity: asked and unasked rows in one batch; at scale 1 the asked rows alone."""
        scale, count = self.sampling["guidance"], len(rows)
        condition_NCTHW = torch.stack([row.condition_CTHW for row in rows]) if count > 1 else _only(rows)
        controls = [row.controls for row in rows]
        text_BMC, text_mask_BM = _batched([self._features(row.prompt) for row in rows])
        if scale == 1:
            ids_NK, strengths_NK = control_tensors(controls)
            said = text_BMC[:count], text_mask_BM[:count], condition_NCTHW, ids_NK, strengths_NK
            return lambda x_NCTHW, time: cast(Tensor, self.dit(x_NCTHW, time.expand(count), *said))
        ids_BK, strengths_BK = control_tensors(controls + [FREE] * count)
        condition_BCTHW = _twice(condition_NCTHW)

        def velocity(x_NCTHW: Tensor, time: Tensor) -> Tensor:
            x_BCTHW, time_B = _twice(x_NCTHW), time.expand(2 * count)
            made = self.dit(x_BCTHW, time_B, text_BMC, text_mask_BM, condition_BCTHW, ids_BK, strengths_BK)
            return guided(made[:count], made[count:], scale)

        return velocity

    def _features(self, prompt: str) -> tuple[Tensor, Tensor]:
        """Of a prompt and of no prompt: features [2, M, C] and mask [2, M]."""

        def encode() -> tuple[Tensor, Tensor]:
            ids, mask = self.tokenizer([self._read(prompt), ""])
            return self.text(ids, mask), mask

        return self.prompts.get(prompt, encode)

    @torch.inference_mode()
    def understood(self, prompt: str) -> dict[str, str]:
        """See `Denoises`."""
        token_ids, token_mask = self.tokenizer([self._read(prompt)])
        said_KD = self.dit.said(self.text(token_ids, token_mask), token_mask)[0].float()
        found = {}
        for k, (name, choices) in enumerate((("camera", CAMERA_IDS), ("subject", SUBJECT_IDS))):
            nearest = int((self.dit.classes(k, USUAL_STRENGTH) - said_KD[k]).square().sum(-1).argmin())
            if nearest:  # the first is the free one: nothing said
                found[name] = choices[nearest]
        return found

    def is_cut(self, prompt: str) -> bool:
        """See `Denoises`."""
        return self.tokenizer.is_cut(self._read(prompt))

    def _read(self, prompt: str) -> str:
        """What the model reads of it, so that it moves by no other words than those it understood."""
        return reading(prompt, self.tokenizer.knows)

    @property
    def saved(self) -> dict[str, float]:
        """See `Denoises`."""
        return self.cache.saved

    def close(self) -> None:
        """Nothing is held beyond this object."""


@contextmanager
def visited(model: nn.Module, visit: Visit) -> Iterator[None]:
    """Within, `visit` is called before each of the model's blocks."""
    lists = [child for child in model.children() if isinstance(child, nn.ModuleList)]
    hooks = [block.register_forward_pre_hook(lambda *_: visit()) for blocks in lists for block in blocks]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _twice(x_N: Tensor) -> Tensor:
    """All rows, and all of them again. One row is not copied: its strides choose the kernels, and the last bits."""
    return x_N.expand(2, *x_N.shape).flatten(0, 1)


def _only(rows: Sequence[Row]) -> Tensor:
    return rows[0].condition_CTHW[None]  # a view, see `_twice`


def _batched(pairs: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Features and masks of (prompt, no prompt) pairs: all prompts, then as many times none, padded to the longest."""
    longest = max(mask_2M.shape[1] for _, mask_2M in pairs)
    texts = torch.stack([F.pad(x_2MC, (0, 0, 0, longest - x_2MC.shape[1])) for x_2MC, _ in pairs], 1)
    masks = torch.stack([F.pad(mask_2M, (0, longest - mask_2M.shape[1])) for _, mask_2M in pairs], 1)
    return texts.flatten(0, 1), masks.flatten(0, 1)
