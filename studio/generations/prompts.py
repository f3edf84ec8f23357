"""How much of a prompt a model reads, told while it is written: the engine tells it only with the finished video."""

import json
from functools import lru_cache, partial
from pathlib import Path

from tokenizers import Tokenizer

from engine.bundles import Bundle
from engine.reading import knows, reading


def is_cut(bundle: Bundle, prompt: str) -> bool:
    """Whether the text encoder of a bundle of ours reads only the beginning of the prompt.

    False for one without our tokenizer, as imported pipelines are: the engine alone reads theirs.
    """
    if "tokenizer.json" not in bundle.files:
        return False
    tokenizer, most = _reader(bundle.digest, bundle.file("tokenizer.json"), bundle.file("text.json"))
    if "vae.json" not in bundle.files:  # latent video reads every word
        prompt = reading(prompt, partial(knows, tokenizer))
    return len(tokenizer.encode(prompt).ids) > most


@lru_cache(maxsize=2)
def _reader(digest: str, tokenizer: Path, text: Path) -> tuple[Tokenizer, int]:
    """Kept by the bundle's digest: what replaces it in its folder has another."""
    return Tokenizer.from_file(str(tokenizer)), int(json.loads(text.read_text())["max_tokens"])
