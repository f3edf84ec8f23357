"""What a caption says, read from the pooled features of the text encoder: product, colour, camera move ... or nothing.

Through the flow alone a small encoder that starts from nothing learns little; this teaches it its captions first.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datapipe.worlds.motion import CAMERA_MOVES, SUBJECT_MOTIONS
from engine.device import device_of
from engine.models.ernie import ErnieEncoder, PromptTokenizer

FORCES = ("weak", "usual", "strong")


def facts_of(words: list[dict[str, str]]) -> dict[str, tuple[str, ...]]:
    """All that captions of these scenes may say, by kind."""
    kinds = {key: tuple(sorted({row[key] for row in words})) for key in words[0]}
    motions = {"camera": CAMERA_MOVES, "camera_force": FORCES, "subject": SUBJECT_MOTIONS, "subject_force": FORCES}
    return {**kinds, **motions}


class FactHeads(nn.Module):
    """One linear reader of the pooled text for each kind of fact; class 0 means: unsaid."""

    def __init__(self, facts: dict[str, tuple[str, ...]], width: int) -> None:
        super().__init__()
        self.facts = facts
        self.heads = nn.ModuleDict({kind: nn.Linear(width, 1 + len(values)) for kind, values in facts.items()})

    def labels(self, said: list[dict[str, str]]) -> dict[str, Tensor]:
        """Class of each kind [B]."""
        return {
            kind: torch.tensor([1 + values.index(row[kind]) if kind in row else 0 for row in said])
            for kind, values in self.facts.items()
        }


def text_facts_loss(
    text: ErnieEncoder, heads: FactHeads, tokenizer: PromptTokenizer, captions: list[tuple[str, dict[str, str]]]
) -> tuple[Tensor, dict[str, float]]:
    """Mean cross-entropy over all kinds, and the share of facts that are read right."""
    device = device_of(text)
    ids, mask = (x.to(device) for x in tokenizer([prompt for prompt, _ in captions]))
    weight_BM1 = mask[..., None].float()
    pooled_BC = (text(ids, mask).float() * weight_BM1).sum(1) / weight_BM1.sum(1)
    labels = {kind: label.to(device) for kind, label in heads.labels([said for _, said in captions]).items()}
    scores = {kind: heads.heads[kind](pooled_BC).float() for kind in labels}
    loss = torch.stack([F.cross_entropy(scores[kind], label) for kind, label in labels.items()]).mean()
    right = torch.stack([(scores[kind].argmax(1) == label).float().mean() for kind, label in labels.items()]).mean()
    return loss, {"right": right.item()}
