"""The prompt tokenizer: byte-level BPE learnt on the worlds' captions; bytes keep every other script readable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from datapipe.worlds.clip import sample_controls
from datapipe.worlds.motion import sample_motion
from trainer.data import FormatBank

VOCABULARY = 2048


def train_tokenizer(path: Path, captions: Iterable[str], vocabulary: int = VOCABULARY) -> None:
    """Learn the merges from prompts and write the tokenizer to `path` (JSON)."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["[PAD]", "[CLS]"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(captions, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 1)])
    temporary = path.with_suffix(".tmp")
    tokenizer.save(str(temporary))
    temporary.replace(path)


def motion_prompts(bank: FormatBank, count: int, seed: int) -> Iterator[str]:
    """Prompts as users may type them for the motions of aquarius-nano."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        words = bank.words[int(rng.integers(len(bank.words)))]
        yield sample_controls(sample_motion(rng), words, rng).prompt
