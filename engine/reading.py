"""What of a prompt is read: the words that the text encoder was taught.

Others would move it by whatever their letters spell: "Sommerangebot" floated. So names and foreign words are left out,
in training too, and what the known words around them say stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tokenizers import Tokenizer


def reading(prompt: str, knows: Callable[[str], bool]) -> str:
    """`prompt` in lower case, as it is read; `knows` is asked of every word."""
    spelt = re.sub(r"n['’]t\b", " not", prompt.lower())
    return re.sub(r"\s+", " ", re.sub(r"\w+", lambda found: _as_known(found[0], knows), spelt)).strip()


def knows(tokenizer: Tokenizer, word: str) -> bool:
    """Whether a word is one token: the tokenizer was made of the sentences that the encoder was taught."""
    return len(tokenizer.encode(word, add_special_tokens=False).ids) == 1


def _as_known(word: str, knows: Callable[[str], bool]) -> str:
    """The word, or its form without an s: "spins" is no other word than "spin"; nothing where neither is known."""
    return next((form for form in (word, word.removesuffix("s")) if form and knows(form)), "")
