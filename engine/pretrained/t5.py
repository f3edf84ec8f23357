"""A text encoder of T5's class and its words, in the folders `text_encoder` and `tokenizer`.

Imported pipelines read prompts with it, and so do transformers of ours that were trained on what it made of captions:
it is called as `models.ernie` is. Legend: B batch, M tokens, C width.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.pipelines.wan.pipeline_wan import prompt_clean
from torch import Tensor, nn

from engine.bundles import Bundle, BundleError, explained
from engine.pretrained.directory import check_text, read_directory
from engine.pretrained.families import TOKENIZERS
from engine.pretrained.loading import load_transformers, load_words
from engine.pretrained.wan import TEXT_TOKENS

ENCODERS = ("UMT5EncoderModel", "T5EncoderModel")


class T5Text(nn.Module):
    """Features [B, M, C] of tokens; those behind the mask are of no meaning, as with every encoder here."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.config = {"nlu_width": encoder.config.d_model, "max_tokens": TEXT_TOKENS}
        self.encoder = encoder

    def forward(self, token_ids_BM: Tensor, token_mask_BM: Tensor) -> Tensor:
        features: Tensor = self.encoder(token_ids_BM, token_mask_BM.to(token_ids_BM.dtype)).last_hidden_state
        return features


class T5Words:
    """Prompts as token ids and their mask [B, M], cut at `TEXT_TOKENS`, padded to the longest; none is empty."""

    def __init__(self, words: Any) -> None:
        self.words = words

    def __call__(self, prompts: list[str]) -> tuple[Tensor, Tensor]:
        clean = [prompt_clean(prompt) for prompt in prompts]
        padding = self.words.pad_token_id
        rows = self.words(clean, max_length=TEXT_TOKENS, truncation=True)["input_ids"]
        rows = [torch.tensor(row or [padding]) for row in rows]  # not all words end with a token of their own
        ids = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=padding)
        return ids, torch.arange(ids.shape[1]) < torch.tensor([len(row) for row in rows])[:, None]

    def is_cut(self, prompt: str) -> bool:
        """Whether the encoder reads only the beginning of this prompt."""
        return len(self.words(prompt_clean(prompt))["input_ids"]) > TEXT_TOKENS


def load_t5(bundle: Bundle) -> tuple[T5Text, T5Words]:
    """The encoder and its words in float32, frozen. BundleError where the bundle has none, or they are not whole."""
    encoder, words = classes_of(bundle)
    check_text(bundle.path)
    with explained(bundle, "text_encoder"):
        model = load_transformers(bundle.path / "text_encoder", encoder, torch.float32)
    with explained(bundle, "tokenizer"):
        found = load_words(bundle.path / "tokenizer", words)
        if found.pad_token_id is None:
            raise ValueError("it has no token to pad with")
    return T5Text(model.eval().requires_grad_(False)), T5Words(found)


def classes_of(bundle: Bundle) -> tuple[str, str]:
    """Of the encoder and the tokenizer in transformers; BundleError for those that are not known."""
    if bundle.layout == "diffusers":
        index = read_directory(bundle.path).index
        encoder, words = index["text_encoder"][1], index["tokenizer"][1]
    else:
        told = bundle.capabilities.get("text")
        found: dict[str, Any] = told if isinstance(told, dict) else {}
        encoder, words = (str(found.get(key)) for key in ("encoder", "tokenizer"))
    if encoder not in ENCODERS or words not in TOKENIZERS[1]:
        raise BundleError(
            f"The bundle {bundle.name} reads text with {encoder!r} and {words!r}; known are {', '.join(ENCODERS)}, "
            f"with {', '.join(sorted(TOKENIZERS[1]))}."
        )
    return encoder, words
