"""What of a prompt is read: the sentences in words that the text encoder was taught, without what they say no to.

An encoder that was taught few words finds a camera or a motion in any others: "steam rises from the coffee" tilted up,
"Sommerangebot" floated. How near it places them to a meaning does not tell: as near as the sentences it was taught, so
no margin parts the two. Whether it knows the words does.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tokenizers import Tokenizer

KNOWN = (
    0.6  # of the words of a part, to be read: 1,100 held-out sentences keep their meaning at 0.5 and 0.6, not at 0.7
)

_BETWEEN = re.compile(r"([,.;:!?\n]+|\b(?:and|while|then|but)\b)")
_NOT = re.compile(r"\b(?:no|without|never|not(?! mov))\b.*")  # what does not move stands still: the encoder knows that
# "In" and "on" as in "a cup on a table": the encoder takes every "in" for "move in". After "zoom" it is one.
_PLACE = re.compile(
    r"(?<!\bzoom )(?<!\bzooms )(?<!\bdolly )(?<!\bdollies )(?<!\bpush )(?<!\bpushes )"
    r"\b(?:in|on)\s+(?=(?!(?:on|to|and|while|then|far|\w+ly)\b)\w)"
)


def reading(prompt: str, knows: Callable[[str], bool]) -> str:
    """`prompt` in lower case, as it is read; `knows` is asked of every word."""
    parts = _BETWEEN.split(re.sub(r"n['’]t\b", " not", prompt.lower()))
    read = ""
    for between, part in zip(["", *parts[1::2]], parts[::2], strict=True):
        said = _NOT.sub("", part)
        words = re.findall(r"\w+", said)
        known = {word: known for word in words if (known := _as_known(word, knows))}
        if not words or sum(word in known for word in words) < KNOWN * len(words):
            continue
        if read:
            read += f"{between} " if between[0] in ",.;:!?\n" else f" {between} "
        read += " ".join(known[word] for word in re.findall(r"\w+", _PLACE.sub("", said)) if word in known)
    return read


def knows(tokenizer: Tokenizer, word: str) -> bool:
    """Whether a word is one token: the tokenizer was made of the sentences that the encoder was taught."""
    return len(tokenizer.encode(word, add_special_tokens=False).ids) == 1


def _as_known(word: str, knows: Callable[[str], bool]) -> str | None:
    """The word, or its form without an s: "spins" is no other word than "spin"."""
    return next((form for form in (word, word.removesuffix("s")) if form and knows(form)), None)
