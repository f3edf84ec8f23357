"""Single-DiT: one stream of video tokens, full 3D attention, text by cross-attention, AdaLN for time and controls.

Any aspect ratio, resolution and duration: positions are rotary over (time, height, width) and counted from the centre.
The photo and other dense conditions enter by channel concatenation.

Legend: B batch, C channels, T H W latent time, height, width, L = T*H*W / patch tokens, D hidden, M text tokens.
Sources: DiT (arXiv 2212.09748), AdaLN-single (PixArt, 2310.00426), QK-norm and 3D rotary positions as in Goku
(2502.04896).
"""

from __future__ import annotations

import torch
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from engine.models.base import Model
from engine.models.blocks import CrossAttention, FeedForward, SelfAttention, rotary_table, timestep_embedding


class SingleDiT(Model):
    """Predicts the rectified-flow velocity (noise - data) of video latents."""

    @register_to_config
    def __init__(
        self,
        in_channels: int = 8,
        condition_channels: int = 0,
        patch_size: tuple[int, int, int] = (1, 1, 1),
        hidden: int = 256,
        depth: int = 8,
        heads: int = 4,
        mlp_ratio: float = 4.0,
        text_dim: int = 192,
        rope_axes: tuple[int, int, int] = (16, 24, 24),
        control_sizes: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        assert sum(rope_axes) == hidden // heads, "the rotary axes must fill the head width"
        self.patch_size, self.rope_axes, self.hidden = patch_size, rope_axes, hidden
        pt, ph, pw = patch_size
        # The same as one layer over concatenated channels, but each part starts at its own scale: in one layer the many
        # condition channels drown the few latents.
        self.patch_in = nn.Linear(in_channels * pt * ph * pw, hidden)
        self.condition_in = nn.Linear(condition_channels * pt * ph * pw, hidden) if condition_channels else None
        self.time_in = nn.Sequential(nn.Linear(256, hidden), nn.SiLU(), nn.Linear(hidden, hidden))
        self.text_pool = nn.Linear(text_dim, max(1, len(control_sizes)) * hidden)
        self.controls = Controls(control_sizes, hidden)
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(hidden, 6 * hidden))
        self.blocks = nn.ModuleList(Block(hidden, heads, mlp_ratio, text_dim) for _ in range(depth))
        self.norm_out = nn.LayerNorm(hidden, eps=1e-6, elementwise_affine=False)
        self.modulation_out = nn.Sequential(nn.SiLU(), nn.Linear(hidden, 2 * hidden))
        self.patch_out = nn.Linear(hidden, in_channels * pt * ph * pw)
        self._initialise()

    def forward(
        self,
        latents_BCTHW: Tensor,
        time_B: Tensor,
        text_BMC: Tensor,
        text_mask_BM: Tensor,
        condition_BCTHW: Tensor | None = None,
        control_ids_BK: Tensor | None = None,
        control_strengths_BK: Tensor | None = None,
    ) -> Tensor:
        """Velocity [B, C, T, H, W] at times in [0, 1] (1 is noise). text_mask is True at real tokens."""
        shape = latents_BCTHW.shape
        x_BLD = self.patch_in(self._patchify(latents_BCTHW))
        if self.condition_in is not None:
            assert condition_BCTHW is not None, "this model was built with a condition"
            x_BLD = x_BLD + self.condition_in(self._patchify(condition_BCTHW).to(x_BLD.dtype))
        signal_BD = self._signal(time_B, text_BMC, text_mask_BM, control_ids_BK, control_strengths_BK, x_BLD.dtype)
        rotary = rotary_table(self._positions(shape, x_BLD.device), self.rope_axes)
        modulation_B6D = self.modulation(signal_BD).unflatten(-1, (6, -1))
        for block in self.blocks:
            x_BLD = block(x_BLD, modulation_B6D, rotary, text_BMC, text_mask_BM)
        shift_BD, scale_BD = self.modulation_out(signal_BD).chunk(2, -1)
        x_BLD = self.norm_out(x_BLD) * (1 + scale_BD[:, None]) + shift_BD[:, None]
        return self._unpatchify(self.patch_out(x_BLD), shape)

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

        So an explicit control wins over the text by construction.
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
        ids_NK = torch.zeros(table.num_embeddings, len(self.controls.tables), dtype=torch.long)
        ids_NK[:, k] = torch.arange(table.num_embeddings)
        strengths_NK = torch.full(ids_NK.shape, strength)
        parts_NKD = self.controls(ids_NK, strengths_NK) - self.controls(torch.zeros_like(ids_NK), strengths_NK)
        return parts_NKD[:, k].float()

    def _patchify(self, x_BCTHW: Tensor) -> Tensor:
        pt, ph, pw = self.patch_size
        x = x_BCTHW.unfold(2, pt, pt).unfold(3, ph, ph).unfold(4, pw, pw)
        return x.permute(0, 2, 3, 4, 1, 5, 6, 7).flatten(4).flatten(1, 3)

    def _unpatchify(self, x_BLD: Tensor, shape: torch.Size) -> Tensor:
        _, channels, frames, height, width = shape
        pt, ph, pw = self.patch_size
        x = x_BLD.unflatten(1, (frames // pt, height // ph, width // pw)).unflatten(-1, (channels, pt, ph, pw))
        return x.permute(0, 4, 1, 5, 2, 6, 3, 7).reshape(x_BLD.shape[0], channels, frames, height, width)

    def _positions(self, shape: torch.Size, device: torch.device) -> Tensor:
        """[L, 3] positions (time, height, width), height and width counted from the centre."""
        sizes = [n // p for n, p in zip(shape[2:], self.patch_size, strict=True)]
        t = torch.arange(sizes[0], device=device, dtype=torch.float32)
        y, x = (torch.arange(n, device=device, dtype=torch.float32) - (n - 1) / 2 for n in sizes[1:])
        return torch.stack(torch.meshgrid(t, y, x, indexing="ij"), -1).flatten(0, 2)

    def _initialise(self) -> None:
        """AdaLN-zero: every block starts as the identity, the output at zero."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for last in (*self.modulation.children(), *self.modulation_out.children(), self.patch_out):
            _zero(last)
        for block in self.blocks.children():
            assert isinstance(block, Block)
            _zero(block.cross.out, bias=False)


def _zero(module: nn.Module, *, bias: bool = True) -> None:
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.weight)
        if bias:
            nn.init.zeros_(module.bias)


class Block(nn.Module):
    """Self-attention, cross-attention to the text, feed-forward; a learned table shifts the shared modulation."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float, text_dim: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(6, dim))
        self.norm1 = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.attention = SelfAttention(dim, heads)
        self.norm_cross = nn.LayerNorm(dim, eps=1e-6)
        self.cross = CrossAttention(dim, text_dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.mlp = FeedForward(dim, mlp_ratio)

    def forward(
        self,
        x_BLD: Tensor,
        modulation_B6D: Tensor,
        rotary: tuple[Tensor, Tensor],
        text_BMC: Tensor,
        text_mask_BM: Tensor,
    ) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = (modulation_B6D + self.table)[:, :, None].unbind(1)
        x_BLD = x_BLD + gate1 * self.attention(self.norm1(x_BLD) * (1 + scale1) + shift1, rotary)
        x_BLD = x_BLD + self.cross(self.norm_cross(x_BLD), text_BMC, text_mask_BM)
        return x_BLD + gate2 * self.mlp(self.norm2(x_BLD) * (1 + scale2) + shift2)


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
            strength_B = strengths_BK[:, k]
            features = timestep_embedding(strength_B, 64, scale=10.0)
            chosen_B1 = (ids_BK[:, k] > 0)[:, None].float()
            strength_B1 = strength_B[:, None].float()
            parts.append(table(ids_BK[:, k]) + chosen_B1 * (mlp(features) + strength_B1 * scaled(ids_BK[:, k])))
        return torch.stack(parts, 1)
