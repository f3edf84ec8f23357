"""What the video transformers share: from latents to tokens, the signal of time and controls, and back to latents.

Any aspect ratio, resolution and duration: positions are rotary over (time, height, width), height and width counted
from the centre. A batch is either a tensor of equals or a list of latents of any sizes; a list is packed into one row
whose tokens see only their own sample and its text, so no padding enters any softmax.

How conditions enter, whatever the task:

- What is aligned with the latents (photo, mask, known frames, depth ...): further channels, `condition`.
- What is not (audio, identity pictures ...): further tokens behind the text, `tokens`, from the widths of `token_dims`.

Legend: B batch, C channels, T H W latent time, height, width, L = T*H*W / patch tokens, D hidden, M text tokens,
K controls. Of a packed row B is 1 where L stands beside it, and the number of samples elsewhere.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.base import Model
from engine.models.blocks import per_token, rotary_table, timestep_embedding

Latents = Tensor | Sequence[Tensor]


class VideoDiT(Model):
    """Predicts the rectified-flow velocity (noise - data) of video latents. Subclasses are the blocks between."""

    def _make_inputs(
        self,
        in_channels: int,
        condition_channels: int,
        patch_size: tuple[int, int, int],
        hidden: int,
        heads: int,
        rope_axes: tuple[int, int, int],
        text_dim: int,
        control_sizes: tuple[int, ...],
    ) -> None:
        assert sum(rope_axes) == hidden // heads, "the rotary axes must fill the head width"
        self.patch_size, self.hidden, self.rope_axes = patch_size, hidden, rope_axes
        pt, ph, pw = patch_size
        # The same as one layer over concatenated channels, but each part starts at its own scale: in one layer the many
        # condition channels drown the few latents.
        self.patch_in = nn.Linear(in_channels * pt * ph * pw, hidden)
        self.condition_in = nn.Linear(condition_channels * pt * ph * pw, hidden) if condition_channels else None
        self.time_in = nn.Sequential(nn.Linear(256, hidden), nn.SiLU(), nn.Linear(hidden, hidden))
        self.text_pool = nn.Linear(text_dim, max(1, len(control_sizes)) * hidden)
        self.controls = Controls(control_sizes, hidden)

    def _make_outputs(self, in_channels: int, text_dim: int, token_dims: Mapping[str, int]) -> None:
        pt, ph, pw = self.patch_size
        self.norm_out = nn.LayerNorm(self.hidden, eps=1e-6, elementwise_affine=False)
        self.modulation_out = nn.Sequential(nn.SiLU(), nn.Linear(self.hidden, 2 * self.hidden))
        self.patch_out = nn.Linear(self.hidden, in_channels * pt * ph * pw)
        self.token_in = nn.ModuleDict({name: nn.Linear(width, text_dim) for name, width in token_dims.items()})

    @abstractmethod
    def _trunk(
        self,
        x_BLD: Tensor,
        signal_BD: Tensor,
        rotary: tuple[Tensor, Tensor],
        text_BMC: Tensor,
        text_mask_BM: Tensor,
        sample_BL: Tensor | None,
    ) -> Tensor:
        """The blocks: video tokens to video tokens [B, L, D]."""

    def forward(
        self,
        latents: Latents,
        time_B: Tensor,
        text_BMC: Tensor,
        text_mask_BM: Tensor,
        condition: Latents | None = None,
        control_ids_BK: Tensor | None = None,
        control_strengths_BK: Tensor | None = None,
        tokens: Mapping[str, Tensor] | None = None,
    ) -> Latents:
        """Velocity at times in [0, 1] (1 is noise), of the form of `latents`.

        `latents` is [B, C, T, H, W] or a list of [C, T, H, W]; `condition` has its form and its grid. text_mask is True
        at real tokens. `tokens`: of each name of `token_dims` at most one tensor [B, tokens, width].
        """
        samples = [latents] if isinstance(latents, Tensor) else [x[None] for x in latents]
        x_BLD, rotary, sample_BL = self._embed(samples, condition, packed=not isinstance(latents, Tensor))
        signal_BD = self._signal(time_B, text_BMC, text_mask_BM, control_ids_BK, control_strengths_BK, x_BLD.dtype)
        for name, given_BKC in (tokens or {}).items():
            text_BMC = torch.cat([text_BMC, self.token_in[name](given_BKC).to(text_BMC.dtype)], 1)
            text_mask_BM = F.pad(text_mask_BM, (0, given_BKC.shape[1]), value=True)
        x_BLD = self._trunk(x_BLD, signal_BD, rotary, text_BMC, text_mask_BM, sample_BL)
        shift_BD, scale_BD = self.modulation_out(signal_BD).chunk(2, -1)
        x_BLD = self.norm_out(x_BLD) * (1 + per_token(scale_BD, sample_BL)) + per_token(shift_BD, sample_BL)
        parts = self.patch_out(x_BLD).split([self._token_count(x.shape) for x in samples], 1)
        made = [self._unpatchify(part, x.shape) for part, x in zip(parts, samples, strict=True)]
        return made[0] if isinstance(latents, Tensor) else [x[0] for x in made]

    def _embed(
        self, samples: list[Tensor], condition: Latents | None, *, packed: bool
    ) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor | None]:
        """Video tokens [B, L, D], their rotary table [L, H / 2], and in a packed row each token's sample [1, L]."""
        x_BLD = self.patch_in(self._tokens(samples))
        if self.condition_in is not None:
            assert condition is not None, "this model was built with a condition"
            given = [condition] if isinstance(condition, Tensor) else [x[None] for x in condition]
            x_BLD = x_BLD + self.condition_in(self._tokens(given).to(x_BLD.dtype))
        position_LA = torch.cat([self._positions(x.shape, x.device) for x in samples])
        rotary = rotary_table(position_LA, self.rope_axes)
        if not packed:
            return x_BLD, rotary, None
        index = torch.arange(len(samples), dtype=torch.int32, device=x_BLD.device)
        lengths = torch.tensor([self._token_count(x.shape) for x in samples], device=x_BLD.device)
        return x_BLD, rotary, index.repeat_interleave(lengths)[None]

    def _signal(
        self,
        time_B: Tensor,
        text_BMC: Tensor,
        text_mask_BM: Tensor,
        ids_BK: Tensor | None,
        strengths_BK: Tensor | None,
        dtype: torch.dtype,
    ) -> Tensor:
        """What modulates every block [B, D]: time, and of each control the choice or, left free, the text.

        Cross-attention reads the whole text all the same: that a control wins over it everywhere is learnt.
        """
        signal_BD = self.time_in(timestep_embedding(time_B, 256).to(dtype))
        said_BKD = self.said(text_BMC, text_mask_BM)
        if ids_BK is None or strengths_BK is None:
            return signal_BD + said_BKD.sum(1)
        free_BK1 = (ids_BK == 0)[..., None].to(said_BKD.dtype)
        return signal_BD + (self.controls(ids_BK, strengths_BK) + free_BK1 * said_BKD).sum(1)

    def said(self, text_BMC: Tensor, text_mask_BM: Tensor) -> Tensor:
        """What the text says of each control [B, K, D], in the controls' own terms; one part where there are none."""
        weight_BM1 = text_mask_BM[..., None].to(text_BMC.dtype)
        pooled_BC = (text_BMC * weight_BM1).sum(1) / weight_BM1.sum(1).clamp(min=1)
        return self.text_pool(pooled_BC).unflatten(-1, (-1, self.hidden))

    @torch.no_grad()
    def classes(self, k: int, strength: float) -> Tensor:
        """[N, D]: every choice of control `k` at a strength, relative to the free one (which is zero): the meanings
        that `said` is placed among.
        """
        table = self.controls.tables[k]
        assert isinstance(table, nn.Embedding)
        device = table.weight.device
        ids_NK = torch.zeros(table.num_embeddings, len(self.controls.tables), dtype=torch.long, device=device)
        ids_NK[:, k] = torch.arange(table.num_embeddings, device=device)
        strengths_NK = torch.full(ids_NK.shape, strength, device=device)
        parts_NKD = self.controls(ids_NK, strengths_NK) - self.controls(torch.zeros_like(ids_NK), strengths_NK)
        return parts_NKD[:, k].float()

    def _tokens(self, samples: Sequence[Tensor]) -> Tensor:
        # One sample is not copied: its strides choose the matrix kernel, and with it the last bits of the result.
        parts = [self._patchify(x) for x in samples]
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    def _patchify(self, x_BCTHW: Tensor) -> Tensor:
        pt, ph, pw = self.patch_size
        x = x_BCTHW.unfold(2, pt, pt).unfold(3, ph, ph).unfold(4, pw, pw)
        return x.permute(0, 2, 3, 4, 1, 5, 6, 7).flatten(4).flatten(1, 3)

    def _unpatchify(self, x_BLD: Tensor, shape: torch.Size) -> Tensor:
        _, channels, frames, height, width = shape
        pt, ph, pw = self.patch_size
        x = x_BLD.unflatten(1, (frames // pt, height // ph, width // pw)).unflatten(-1, (channels, pt, ph, pw))
        return x.permute(0, 4, 1, 5, 2, 6, 3, 7).reshape(x_BLD.shape[0], channels, frames, height, width)

    def _grid(self, shape: torch.Size) -> list[int]:
        return [n // p for n, p in zip(shape[2:], self.patch_size, strict=True)]

    def _token_count(self, shape: torch.Size) -> int:
        frames, height, width = self._grid(shape)
        return frames * height * width

    def _positions(self, shape: torch.Size, device: torch.device) -> Tensor:
        """[L, 3] positions (time, height, width), height and width counted from the centre."""
        sizes = self._grid(shape)
        t = torch.arange(sizes[0], device=device, dtype=torch.float32)
        y, x = (torch.arange(n, device=device, dtype=torch.float32) - (n - 1) / 2 for n in sizes[1:])
        return torch.stack(torch.meshgrid(t, y, x, indexing="ij"), -1).flatten(0, 2)

    def _initialise(self) -> None:
        """AdaLN-zero: every block starts as the identity, the output at zero. Subclasses zero their own gates."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for last in (*self.modulation_out.children(), self.patch_out):
            zero(last)


def zero(module: nn.Module, *, bias: bool = True) -> None:
    """A linear layer that gives nothing yet; any other module is left as it is."""
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.weight)
        if bias:
            nn.init.zeros_(module.bias)


class Controls(nn.Module):
    """Embeds K categorical controls with a strength each. Id 0 of every control means: left to prompt and model."""

    def __init__(self, sizes: tuple[int, ...], dim: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(size, dim) for size in sizes)
        self.scaled = nn.ModuleList(nn.Embedding(size, dim) for size in sizes)
        self.strengths = nn.ModuleList(nn.Sequential(nn.Linear(64, dim), nn.SiLU(), nn.Linear(dim, dim)) for _ in sizes)
        for table in [*self.tables, *self.scaled]:
            nn.init.normal_(table.weight, std=0.05)

    def forward(self, ids_BK: Tensor, strengths_BK: Tensor) -> Tensor:
        """[B, K, D]; ids of shape [B, K] (int), strengths in [0, 1]."""
        parts = []
        for k, (table, scaled, mlp) in enumerate(zip(self.tables, self.scaled, self.strengths, strict=True)):
            assert isinstance(table, nn.Embedding)
            strength_B, dtype = strengths_BK[:, k], table.weight.dtype
            features = timestep_embedding(strength_B, 64, scale=10.0).to(dtype)
            chosen_B1 = (ids_BK[:, k] > 0)[:, None].to(dtype)
            strength_B1 = strength_B[:, None].to(dtype)
            parts.append(table(ids_BK[:, k]) + chosen_B1 * (mlp(features) + strength_B1 * scaled(ids_BK[:, k])))
        return torch.stack(parts, 1)
