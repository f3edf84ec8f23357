"""Single-DiT: one stream of video tokens, full 3D attention, text by cross-attention, AdaLN for time and controls.

Legend: B batch, L video tokens, D hidden, M text tokens, C text width.
Sources: DiT (arXiv 2212.09748), AdaLN-single (PixArt, 2310.00426), QK-norm and 3D rotary positions as in Goku
(2502.04896).
"""

from __future__ import annotations

import torch
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from engine.attention.mask import Mask
from engine.models.blocks import CrossAttention, FeedForward, SelfAttention, per_token
from engine.models.video_dit import VideoDiT, zero


class SingleDiT(VideoDiT):
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
        token_dims: dict[str, int] | None = None,
    ) -> None:
        super().__init__()
        self._make_inputs(
            in_channels, condition_channels, patch_size, hidden, heads, rope_axes, text_dim, control_sizes
        )
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(hidden, 6 * hidden))
        self.blocks = nn.ModuleList(Block(hidden, heads, mlp_ratio, text_dim) for _ in range(depth))
        self._make_outputs(in_channels, text_dim, token_dims or {})
        self._initialise()

    def _trunk(
        self,
        x_BLD: Tensor,
        signal_BD: Tensor,
        rotary: tuple[Tensor, Tensor],
        text_BMC: Tensor,
        text_mask_BM: Tensor,
        sample_BL: Tensor | None,
    ) -> Tensor:
        modulation_B6D = self.modulation(signal_BD).unflatten(-1, (6, -1))
        for block in self.blocks:
            x_BLD = block(x_BLD, modulation_B6D, rotary, text_BMC, text_mask_BM, sample_BL)
        return x_BLD

    def _initialise(self) -> None:
        super()._initialise()
        for last in self.modulation.children():
            zero(last)
        for block in self.blocks.children():
            assert isinstance(block, Block)
            zero(block.cross.out, bias=False)


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
        sample_BL: Tensor | None = None,
    ) -> Tensor:
        parts_BD = (modulation_B6D + self.table).unbind(1)
        shift1, scale1, gate1, shift2, scale2, gate2 = (per_token(part, sample_BL) for part in parts_BD)
        mask = None if sample_BL is None else Mask(sample_BL, sample_BL)
        x_BLD = x_BLD + gate1 * self.attention(self.norm1(x_BLD) * (1 + scale1) + shift1, rotary, mask)
        x_BLD = x_BLD + self.cross(self.norm_cross(x_BLD), text_BMC, text_mask_BM, sample_BL)
        return x_BLD + gate2 * self.mlp(self.norm2(x_BLD) * (1 + scale2) + shift2)
