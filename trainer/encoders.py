"""Whose latents are these? What was encoded is learnt from, and exported, with the very weights that encoded it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

CLAIM = "latents.json"  # within a folder of latents


def encoder_of(folder: Path) -> str | None:
    """The digest of the VAE whose latents lie in `folder`; None where there are none, or an earlier version made them,
    which did not note it.
    """
    path = folder / CLAIM
    found: str | None = json.loads(path.read_text()).get("vae") if path.exists() else None
    return found


def check_encoder(folder: Path, vae: nn.Module, what: str) -> None:
    """ValueError where the latents in `folder` are not those of this VAE, a `what`, with its averaged weights."""
    if encoder_of(folder) not in (None, digest_of(vae)):
        raise ValueError(
            f"The latents in {folder} are of another {what} than {folder.parent} has now: it was trained on after "
            f"they were made. Remove {folder}, and the transformers that have learnt on them, and run these stages "
            f"again."
        )


def digest_of(module: nn.Module, gone: Mapping[str, Tensor] | None = None) -> str:
    """Of the weights, in the order of their names, and of those that the module had when it was trained."""
    digest = hashlib.sha256()
    for name, value in sorted({**module.state_dict(), **(gone or {})}.items()):
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return f"sha256:{digest.hexdigest()}"
