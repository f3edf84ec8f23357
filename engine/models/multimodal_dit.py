"""Multimodal-DiT: video and text in streams of their own, then in one, with joint attention over both throughout.

The first blocks have weights of their own for each stream, the later ones share theirs. Text tokens have no positions.

Legend: B batch, L video tokens, M text tokens, D hidden, C text width, N heads, H head width.
Sources: MM-DiT (Stable Diffusion 3, arXiv 2403.03206), dual-stream then single-stream as in HunyuanVideo (2412.03603),
attention beside the feed-forward in the single stream (ViT-22B, 2302.05442).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from engine.attention.dispatch import Attend, Attention
from engine.attention.mask import Mask, group_of
from engine.models.blocks import FeedForward, Modulation, SelfAttention, per_token
from engine.models.video_dit import VideoDiT, zero


class MultimodalDiT(VideoDiT):
    """Predicts the rectified-flow velocity (noise - data) of video latents."""

    @register_to_config
    def __init__(
        self,
        in_channels: int = 8,
        condition_channels: int = 0,
        patch_size: tuple[int, int, int] = (1, 1, 1),
        hidden: int = 256,
        dual_depth: int = 3,
        single_depth: int = 6,
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
        self.text_in = nn.Linear(text_dim, hidden)
        self.dual_blocks = nn.ModuleList(DualBlock(hidden, heads, mlp_ratio) for _ in range(dual_depth))
        self.single_blocks = nn.ModuleList(SingleBlock(hidden, heads, mlp_ratio) for _ in range(single_depth))
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
        text_BMD, group_BM = self.text_in(text_BMC), group_of(text_mask_BM)
        if sample_BL is not None:  # the real text tokens of all samples in one row, each known by its sample
            text_BMD = text_BMD[text_mask_BM][None]
            group_BM = text_mask_BM.nonzero()[None, :, 0].to(sample_BL.dtype)
        for block in (*self.dual_blocks, *self.single_blocks):
            x_BLD, text_BMD = block(x_BLD, text_BMD, signal_BD, rotary, group_BM, sample_BL)
        return x_BLD

    def _initialise(self) -> None:
        super()._initialise()
        for module in self.modules():
            if isinstance(module, Modulation):
                zero(module[1])


def joint_mask(x_BLD: Tensor, group_BM: Tensor, sample_BL: Tensor | None) -> Mask:
    """Video, then text. In a batch of equals nobody sees padding; in a packed row each sample sees itself."""
    if sample_BL is None:
        return Mask(torch.cat([group_BM.new_zeros(x_BLD.shape[:2]), group_BM], 1))
    both_BL = torch.cat([sample_BL, group_BM], 1)
    return Mask(both_BL, both_BL)


class DualBlock(nn.Module):
    """Each stream has its own weights; they meet in one attention."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.attention = JointAttention(dim, heads)
        self.video = Stream(dim, mlp_ratio)
        self.text = Stream(dim, mlp_ratio)

    def forward(
        self,
        x_BLD: Tensor,
        text_BMD: Tensor,
        signal_BD: Tensor,
        rotary: tuple[Tensor, Tensor],
        group_BM: Tensor,
        sample_BL: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        text_sample = None if sample_BL is None else group_BM
        video, text = self.video.modulated(signal_BD, sample_BL), self.text.modulated(signal_BD, text_sample)
        mask = joint_mask(x_BLD, group_BM, sample_BL)
        met_BLD, met_BMD = self.attention(self.video.enter(x_BLD, video), self.text.enter(text_BMD, text), rotary, mask)
        return self.video.leave(x_BLD, met_BLD, video), self.text.leave(text_BMD, met_BMD, text)


class Stream(nn.Module):
    """What one stream of a dual block does around the attention."""

    def __init__(self, dim: int, mlp_ratio: float) -> None:
        super().__init__()
        self.modulation = Modulation(dim, 6)
        self.norm1 = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.mlp = FeedForward(dim, mlp_ratio)

    def modulated(self, signal_BD: Tensor, sample_BL: Tensor | None) -> list[Tensor]:
        return [per_token(part, sample_BL) for part in self.modulation(signal_BD).unbind(1)]

    def enter(self, x_BLD: Tensor, modulation: list[Tensor]) -> Tensor:
        shift, scale, *_ = modulation
        return self.norm1(x_BLD) * (1 + scale) + shift

    def leave(self, x_BLD: Tensor, met_BLD: Tensor, modulation: list[Tensor]) -> Tensor:
        _, _, gate1, shift, scale, gate2 = modulation
        x_BLD = x_BLD + gate1 * met_BLD
        return x_BLD + gate2 * self.mlp(self.norm2(x_BLD) * (1 + scale) + shift)


class JointAttention(nn.Module):
    """One softmax over both streams, each with its own projections."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.attend: Attend = Attention()
        self.video = SelfAttention(dim, heads)
        self.text = SelfAttention(dim, heads)

    def forward(
        self, x_BLD: Tensor, text_BMD: Tensor, rotary: tuple[Tensor, Tensor], mask: Mask
    ) -> tuple[Tensor, Tensor]:
        streams = zip(self.video.project(x_BLD, rotary), self.text.project(text_BMD, None), strict=True)
        out_BNLH = self.attend(*(torch.cat(pair, 2) for pair in streams), role="joint", mask=mask)
        out_BLD = out_BNLH.transpose(1, 2).flatten(-2)
        video_BLD, text_BMD = out_BLD.split([x_BLD.shape[1], text_BMD.shape[1]], 1)
        return self.video.out(video_BLD), self.text.out(text_BMD)


class SingleBlock(nn.Module):
    """Both streams as one, attention and feed-forward side by side."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.modulation = Modulation(dim, 3)
        self.norm = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.attention = SelfAttention(dim, heads)
        self.mlp = FeedForward(dim, mlp_ratio)

    def forward(
        self,
        x_BLD: Tensor,
        text_BMD: Tensor,
        signal_BD: Tensor,
        rotary: tuple[Tensor, Tensor],
        group_BM: Tensor,
        sample_BL: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        both_BLD = torch.cat([x_BLD, text_BMD], 1)
        both_sample = None if sample_BL is None else torch.cat([sample_BL, group_BM], 1)
        shift, scale, gate = (per_token(part, both_sample) for part in self.modulation(signal_BD).unbind(1))
        inner_BLD = self.norm(both_BLD) * (1 + scale) + shift
        met_BLD = self._attended(inner_BLD, x_BLD.shape[1], rotary, joint_mask(x_BLD, group_BM, sample_BL))
        both_BLD = both_BLD + gate * (met_BLD + self.mlp(inner_BLD))
        video_BLD, text_BMD = both_BLD.split([x_BLD.shape[1], text_BMD.shape[1]], 1)
        return video_BLD, text_BMD

    def _attended(self, inner_BLD: Tensor, video: int, rotary: tuple[Tensor, Tensor], mask: Mask) -> Tensor:
        cos, sin = rotary
        still = (0, 0, 0, inner_BLD.shape[1] - video)  # text is not turned: an angle of zero
        return self.attention(inner_BLD, (F.pad(cos, still, value=1.0), F.pad(sin, still)), mask)
