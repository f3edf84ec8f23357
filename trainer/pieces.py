"""What is encoded once, piece by piece: each lies in a file named by what it was made of, until all become one file.

A pause or a kill costs the piece that was under way. Where one is refused, and corrected or taken out, the others stay.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.progress import track
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from trainer.claim import alone


@dataclass(frozen=True)
class Piece:
    """Tensors by name, and what JSON can hold beside them."""

    tensors: dict[str, Tensor]
    about: dict[str, Any] = field(default_factory=dict)


def key_of(facts: dict[str, Any], files: Sequence[Path] = ()) -> str:
    """The name of what is made of these facts and files."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:32]


def make_pieces(
    folder: Path, keys: Sequence[str], make: Callable[[int], Piece], title: str, deadline: float = math.inf
) -> bool:
    """Make those that are missing, by number: True when none is, False when the deadline came first."""
    with alone(folder, f"makes {title} in"):
        for index, key in enumerate(track(keys, title)):
            if _place(folder, key).exists():
                continue
            if time.monotonic() >= deadline:
                return False
            piece = make(index)
            temporary = _place(folder, key).with_suffix(".tmp")
            tensors = {name: value.contiguous() for name, value in piece.tensors.items()}
            save_file(tensors, temporary, {"about": json.dumps(piece.about)})
            temporary.replace(_place(folder, key))
    return True


def gathered(folder: Path, keys: Sequence[str]) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """All pieces together: tensors as NUMBER.NAME, and what JSON holds of each."""
    tensors, about = dict[str, Tensor](), list[dict[str, Any]]()
    for index, key in enumerate(keys):
        with safe_open(_place(folder, key), "pt") as file:
            tensors |= {f"{index}.{name}": file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no dict
            about.append(json.loads(file.metadata()["about"]))
    return tensors, about


def finish(folder: Path, tensors: dict[str, Tensor], out: Path) -> None:
    """Write what was gathered, and remove the pieces, those of earlier tries too."""
    temporary = out.with_suffix(".tmp")
    save_file(tensors, temporary)
    temporary.replace(out)
    shutil.rmtree(folder, ignore_errors=True)


def _place(folder: Path, key: str) -> Path:
    return folder / f"{key}.safetensors"
