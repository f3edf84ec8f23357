"""prompts: a bundle that moves a photo learns to read prompts as marketers type them.

Its transformer stays as it is. The text encoder, with a larger vocabulary, learns to say to it in many more words what
the old one says in the worlds' own sentences.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from trainer.loop import LoopConfig


@dataclass(frozen=True)
class PromptsConfig:
    """All of a run: `--set base=BUNDLE`."""

    base: str = ""
    seed: int = 0
    captions: int = 60_000  # for the tokenizer
    vocabulary: int = 6144
    own: float = 0.2  # of the sentences: the worlds' own, which the transformer was taught by
    matched: int = 16  # sentences of a step, evenly, for which what the transformer's blocks read is compared
    asked: int = 24  # scenes a format whose video tokens ask the text
    queries: int = 32  # of video tokens, a block, that read them
    text: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            steps=3800, batch=64, learning_rate=1e-3, warmup=100, ema=0.995, save_every=250, weight_decay=0.01
        )
    )


def prompts() -> PromptsConfig:
    """The usual size, for aquarius-nano."""
    return PromptsConfig()


def prompts_smoke() -> PromptsConfig:
    """A run of seconds for tests: every stage for real."""
    text = LoopConfig(steps=3, batch=8, learning_rate=1e-3, warmup=1, save_every=1, log_every=1)
    return replace(PromptsConfig(), captions=300, matched=4, asked=1, queries=4, text=text)
