"""A text encoder of ERNIE 3.0's NLU shape: wide universal layers that all tasks share, then narrower NLU layers.

Source: ERNIE 3.0 (arXiv 2107.02137): universal representation module below, task-specific module above, both
transformers. Positions are rotary here (theirs: Transformer-XL); the NLG branch belongs to the full language model.

Legend: B batch, M tokens, D width.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers.configuration_utils import register_to_config
from tokenizers import Tokenizer
from torch import Tensor, nn

from engine.attention.mask import Mask
from engine.models.base import Model
from engine.models.blocks import FeedForward, SelfAttention, rotary_table
from engine.reading import knows


class ErnieEncoder(Model):
    """Token ids to contextual features [B, M, nlu_width]."""

    @register_to_config
    def __init__(
        self,
        vocab_size: int = 2048,
        universal_width: int = 192,
        universal_layers: int = 3,
        universal_heads: int = 3,
        nlu_width: int = 128,
        nlu_layers: int = 2,
        nlu_heads: int = 2,
        max_tokens: int = 64,
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab_size, universal_width)
        nn.init.normal_(self.embed.weight, std=0.02)
        self.universal = nn.ModuleList(EncoderLayer(universal_width, universal_heads) for _ in range(universal_layers))
        self.bridge = nn.Linear(universal_width, nlu_width)
        self.nlu = nn.ModuleList(EncoderLayer(nlu_width, nlu_heads) for _ in range(nlu_layers))
        self.norm = nn.LayerNorm(nlu_width)

    def forward(self, ids_BM: Tensor, mask_BM: Tensor) -> Tensor:
        """Features; `mask_BM` is True at real tokens, and every row must have one."""
        x_BMD = self.embed(ids_BM)
        for layer in self.universal:
            x_BMD = layer(x_BMD, mask_BM)
        x_BMD = self.bridge(x_BMD)
        for layer in self.nlu:
            x_BMD = layer(x_BMD, mask_BM)
        return self.norm(x_BMD)


class EncoderLayer(nn.Module):
    """Pre-norm bidirectional transformer layer."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = FeedForward(dim, 4)
        self.head_width = dim // heads

    def forward(self, x_BMD: Tensor, mask_BM: Tensor) -> Tensor:
        position = torch.arange(x_BMD.shape[1], device=x_BMD.device)[:, None]
        rotary = rotary_table(position, (self.head_width,))
        x_BMD = x_BMD + self.attention(self.norm1(x_BMD), rotary, Mask.of_keys(mask_BM))
        return x_BMD + self.mlp(self.norm2(x_BMD))


class PromptTokenizer:
    """Byte-level BPE with a leading [CLS], so that no prompt is empty and none is unknown."""

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens

    @classmethod
    def load(cls, path: Path, max_tokens: int) -> PromptTokenizer:
        return cls(Tokenizer.from_file(str(path)), max_tokens)

    def __call__(self, prompts: list[str]) -> tuple[Tensor, Tensor]:
        """(ids, mask) [B, M], cut at `max_tokens`, padded to the longest."""
        rows = [encoding.ids[: self.max_tokens] for encoding in self.tokenizer.encode_batch(prompts)]
        length = max(len(row) for row in rows)
        ids = torch.zeros(len(rows), length, dtype=torch.long)
        mask = torch.zeros(len(rows), length, dtype=torch.bool)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
            mask[i, : len(row)] = True
        return ids, mask

    def knows(self, word: str) -> bool:
        """See `reading.knows`."""
        return knows(self.tokenizer, word)

    def is_cut(self, prompt: str) -> bool:
        """Whether the encoder reads only the beginning of this prompt."""
        return len(self.tokenizer.encode(prompt).ids) > self.max_tokens
