"""A diffusers directory, read with suspicion: what it says it is, and whether it is whole. Torch-free.

Nothing of it is run and no class is looked up: names are compared with those in `families`. The same checks stand
before an import and before every load.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.bundles import TOKENIZER_FILES, BundleError
from engine.pretrained.families import Family, family_of

INDEX = "model_index.json"
MAX_JSON = 64 << 20  # tokenizers of large vocabularies have about 20 MB
MAX_LAYERS = 1000
_CONFIGS = {"config.json", "scheduler_config.json", "preprocessor_config.json", "generation_config.json"}
_WORDS = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json"}
_FOREIGN_CODE = ("auto_map", "custom_pipelines", "custom_generate")


@dataclass(frozen=True)
class Directory:
    """A directory that passed. `files` are the names, relative to it, of all that its pipeline needs."""

    path: Path
    family: Family
    index: dict[str, Any]
    configs: dict[str, dict[str, Any]]
    files: tuple[str, ...]

    @property
    def transformers(self) -> list[str]:
        """Classes of the transformer, or of both."""
        return [self.index[name][1] for name in ("transformer", "transformer_2") if name in self.configs]


def read_directory(path: Path) -> Directory:
    """Check a diffusers directory. BundleError says what it lacks, or why it is not trusted."""
    index = read_json(path, INDEX)
    try:
        family = family_of(index.get("_class_name"))
    except ValueError as error:
        raise BundleError(f"{path} cannot be used. {error}") from None
    configs: dict[str, dict[str, Any]] = {}
    files = [INDEX]
    for name in dict(_components(path, family, index)):  # all of them are known before one is read
        config, wanted = _component(path, name)
        configs |= {name: config} if config is not None else {}
        files += [f"{name}/{file}" for file in wanted]
    return Directory(path, family, index, configs, tuple(files))


def check_text(path: Path) -> None:
    """Check the folders `text_encoder` and `tokenizer` alone, as those of a directory that have nothing to spare."""
    for name in ("text_encoder", "tokenizer"):
        config, wanted = _component(path, name)
        spare = sorted({file.name for file in (path / name).iterdir()} - set(wanted))
        if spare or (config is None) != (name == "tokenizer"):
            what = f"holds {', '.join(spare)}, which nothing reads" if spare else "is not what its name says"
            raise BundleError(f"{path / name} {what}. Export the bundle again.")


def _component(path: Path, name: str) -> tuple[dict[str, Any] | None, list[str]]:
    """The configuration of a component that has weights, and the files of it that are needed."""
    found = sorted(p.name for p in _folder(path, name).iterdir())
    if any(file.endswith(".py") for file in found):
        raise BundleError(f"{path / name} brings code of its own, which is never run. Remove it.")
    wanted = [file for file in found if file in _CONFIGS or _is_words(name, file)]
    config = _config(path, name) if "config.json" in wanted else None
    if config is not None:
        wanted += _weights(path, name, found)
    if not wanted:
        raise BundleError(f"{path / name} is empty: the directory is half copied. Copy it again.")
    for file in wanted:
        if file.endswith(".json"):
            _refuse_code(path, f"{name}/{file}")
    return config, wanted


def _components(path: Path, family: Family, index: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and class of each component that is there; those that a pipeline can do without are [null, null]."""
    for name, value in index.items():
        if not isinstance(value, list) or name.startswith("_"):
            continue
        if value == [None, None]:
            continue
        library, classes = family.components.get(name, ("", frozenset()))
        if value not in [[library, one] for one in classes]:
            raise BundleError(
                f"{path / INDEX} wants {value!r} as {name}, and {family.name} knows "
                f"{', '.join(sorted(classes)) or 'no such component'}: nothing else is loaded."
            )
        yield name, value[1]
    for name in ("transformer", "vae", "scheduler", "text_encoder", "tokenizer"):
        if not isinstance(index.get(name), list) or index[name] == [None, None]:
            raise BundleError(f"{path / INDEX} names no {name}: without it no video can be made.")


def _folder(path: Path, name: str) -> Path:
    folder = path / name
    if folder.is_symlink() or not folder.is_dir():
        raise BundleError(f"{path} lacks the folder {name}, which its {INDEX} names: it is half copied. Copy it again.")
    return folder


def _is_words(component: str, file: str) -> bool:
    return component.startswith("tokenizer") and (file in _WORDS or file in TOKENIZER_FILES)


def _config(path: Path, name: str) -> dict[str, Any]:
    config = read_json(path, f"{name}/config.json")
    if config.get("quantization_config") is not None:
        raise BundleError(f"{path / name} holds quantised weights, which are not read. Take the plain ones.")
    for key, value in config.items():
        if "layers" in key and isinstance(value, int) and value > MAX_LAYERS:
            raise BundleError(f"{path / name}/config.json wants {key} = {value}: no model has so many.")
    return config


def _weights(path: Path, name: str, found: list[str]) -> list[str]:
    """The safetensors files of a component, whole as far as their headers tell."""
    for stem in ("diffusion_pytorch_model", "model"):
        if f"{stem}.safetensors.index.json" in found:
            index = f"{stem}.safetensors.index.json"
            parts = read_json(path, f"{name}/{index}").get("weight_map")
            if not isinstance(parts, dict) or not all(isinstance(v, str) and "/" not in v for v in parts.values()):
                raise BundleError(f"{path / name / index} is no index of weights.")
            shards = sorted(set(parts.values()))
            break
        if f"{stem}.safetensors" in found:
            index, shards = "", [f"{stem}.safetensors"]
            break
    else:
        others = sorted(file for file in found if file.endswith((".bin", ".pt", ".pth", ".ckpt")))
        pickles = f" It holds {', '.join(others)}: pickles can run code and are never read." if others else ""
        raise BundleError(
            f"{path / name} has no weights as safetensors.{pickles} Save the pipeline again with "
            "save_pretrained(..., safe_serialization=True)."
        )
    for shard in shards:
        if not shard.endswith(".safetensors") or shard not in found:
            raise BundleError(f"{path / name} lacks {shard}: the directory is half copied. Copy it again.")
        header_of(real_file(path, f"{name}/{shard}"))
    return [*shards, *([index] if index else [])]


def header_of(file: Path) -> dict[str, Any]:
    """What a safetensors file says of its tensors (huggingface.co/docs/safetensors). It says how long it is, too: a
    copy that broke off is found without reading it all. BundleError for it, and for what is none.
    """
    size = file.stat().st_size
    try:
        with file.open("rb") as f:
            (length,) = struct.unpack("<Q", f.read(8))
            if length > min(size, MAX_JSON):
                raise ValueError
            tensors = {key: tensor for key, tensor in json.loads(f.read(length)).items() if key != "__metadata__"}
        whole = size == 8 + length + max((tensor["data_offsets"][1] for tensor in tensors.values()), default=0)
    except (ValueError, struct.error, KeyError, TypeError, IndexError, AttributeError):
        raise BundleError(f"{file} is no safetensors file, or only the beginning of one. Copy it again.") from None
    if not whole:
        raise BundleError(f"{file} is not whole: it says another length than its {size} bytes. Copy it again.")
    return tensors


def _refuse_code(path: Path, name: str) -> None:
    found = [key for key in _FOREIGN_CODE if key in read_json(path, name)]
    if found:
        raise BundleError(f"{path / name} asks for code of its own ({', '.join(found)}), which is never run.")


def read_json(path: Path, name: str) -> dict[str, Any]:
    """The JSON object in a file of the directory; BundleError where it is none."""
    file = real_file(path, name)
    try:
        if file.stat().st_size > MAX_JSON:
            raise BundleError(f"{file} is too large to be what its name says.")
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise error if isinstance(error, BundleError) else BundleError(f"{file} is not readable JSON.") from None
    if not isinstance(found, dict):
        raise BundleError(f"{file} has to hold a JSON object.")
    return found


def real_file(path: Path, name: str) -> Path:
    """A file of the directory, known to be one before it is opened: another thing might never end. Links out are
    refused, but to where Hugging Face keeps a snapshot's files; BundleError for whatever is no file.
    """
    try:
        root, file = path.resolve(), (path / name).resolve()
    except (OSError, RuntimeError):  # links in a circle
        raise BundleError(f"{path / name} is a link that leads nowhere. Put the file itself there.") from None
    homes = [root] + ([root.parent.parent / "blobs"] if root.parent.name == "snapshots" else [])
    if not any(file.is_relative_to(home) for home in homes):
        raise BundleError(f"{path / name} is a link that leads out of the directory. Put the file itself there.")
    if not file.exists():
        raise BundleError(f"There is no {name} in {path}: it is no diffusers directory, or half copied.")
    if not file.is_file():
        raise BundleError(f"{path / name} is no regular file. Put the file itself there.")
    return file
