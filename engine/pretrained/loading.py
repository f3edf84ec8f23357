"""The models of an imported pipeline, from safetensors alone, in the type that computes; nothing is left to chance.

diffusers' own `from_pretrained` fills what a file lacks with random numbers and a line in the log, and needs another
library to keep some weights in float32; here a missing or misshapen weight is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor, nn

from engine.bundles import Bundle, explained
from engine.pretrained.directory import INDEX, Directory
from engine.pretrained.families import served


def load_pipelines(
    bundle: Bundle, directory: Directory, device: torch.device | str, dtype: torch.dtype
) -> dict[str, Any]:
    """A pipeline for each kind of request, all of the same weights, in evaluation mode. The VAE stays in float32,
    but where the family's pipelines do not cast what they give it.

    BundleError names the part that is not what it should be.
    """
    parts = {name: part.to(device) for name, part in load_parts(bundle, directory, directory.configs, dtype).items()}
    with explained(bundle, INDEX):
        declared = getattr(diffusers, directory.index["_class_name"])
        pipe = declared.from_pretrained(
            str(directory.path), **parts, local_files_only=True, trust_remote_code=False, low_cpu_mem_usage=False
        )
        kinds = served(directory.family, directory.index)
        pipelines = {
            kind: pipe if declared.__name__ == name else getattr(diffusers, name)(**_fitting(pipe, name))
            for kind, name in kinds.items()
        }
    for pipe in pipelines.values():
        pipe.set_progress_bar_config(disable=True)
    return pipelines


def load_parts(bundle: Bundle, directory: Directory, names: Iterable[str], dtype: torch.dtype) -> dict[str, nn.Module]:
    """These models of a pipeline alone, frozen, on the CPU; as `load_pipelines` has them otherwise."""
    parts: dict[str, nn.Module] = {}
    fine = dtype if directory.family.one_dtype or dtype == torch.float64 else torch.float32
    for name in names:
        with explained(bundle, name):
            library, kind = directory.index[name]
            if library == "diffusers":
                part = _load_diffusers(directory, name, fine if name == "vae" else dtype)
            else:
                part = load_transformers(directory.path / name, kind, dtype)
            parts[name] = part.eval().requires_grad_(False)
    return parts


def load_words(path: Path, kind: str) -> Any:
    """A tokenizer of this class of transformers, by files alone."""
    return getattr(transformers, kind).from_pretrained(str(path), local_files_only=True)


def _fitting(pipe: Any, name: str) -> dict[str, Any]:
    """Parts and settings of a pipeline, for its sibling."""
    settings = {key: pipe.config[key] for key in ("boundary_ratio", "expand_timesteps") if key in pipe.config}
    return {**pipe.components, **settings}


def _load_diffusers(directory: Directory, name: str, dtype: torch.dtype) -> nn.Module:
    kind = getattr(diffusers, directory.index[name][1])
    with _weightless():
        model: nn.Module = kind.from_config(directory.configs[name])
    kept = (kind._keep_in_fp32_modules or []) if dtype in (torch.float16, torch.bfloat16) else []
    wanted, met = set(model.state_dict()), set()
    for file in directory.files:
        if file.startswith(f"{name}/") and file.endswith(".safetensors"):
            found = {key: _cast(key, x, dtype, kept) for key, x in load_file(directory.path / file).items()}
            met |= set(model.load_state_dict(found, strict=False, assign=True).unexpected_keys) | set(found)
    ignored = [re.compile(pattern) for pattern in kind._keys_to_ignore_on_load_unexpected or []]
    foreign = {key for key in met - wanted if not any(pattern.search(key) for pattern in ignored)}
    if wanted != met & wanted or foreign:
        odd = sorted(wanted - met or foreign)
        raise ValueError(f"{len(odd)} weights are {'missing' if wanted - met else 'foreign'}, {odd[0]} among them")
    return model


def load_transformers(path: Path, kind: str, dtype: torch.dtype) -> nn.Module:
    """A model of this class of transformers. ValueError where weights are missing or of another shape."""
    model: nn.Module
    model, info = getattr(transformers, kind).from_pretrained(
        str(path), dtype=dtype, local_files_only=True, use_safetensors=True, output_loading_info=True
    )
    odd = sorted(map(str, [*info["missing_keys"], *info["mismatched_keys"]]))
    if odd:
        raise ValueError(f"{len(odd)} weights are missing or misshapen, {odd[0]} among them")
    return model


def _cast(key: str, x: Tensor, dtype: torch.dtype, kept: list[str]) -> Tensor:
    if not x.is_floating_point():
        return x
    return x.to(torch.float32 if any(part in key.split(".") for part in kept) else dtype)


@contextmanager
def _weightless() -> Iterator[None]:
    """Modules built here have weights without memory, for those of a file to take their place; buffers are real."""
    register = nn.Module.register_parameter

    def on_meta(module: nn.Module, name: str, weight: nn.Parameter | None) -> None:
        register(module, name, None if weight is None else nn.Parameter(weight.to("meta"), weight.requires_grad))

    nn.Module.register_parameter = on_meta  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]
