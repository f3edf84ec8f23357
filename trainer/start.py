"""A warm start: stages that begin at the weights of a bundle or of another run, for supervised fine-tuning.

`start.json` in the run's folder names the source, so that a run killed before its first checkpoint begins there again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from engine.bundles import read_bundle
from engine.models.relief import Relief
from trainer.checkpoint import read_average, saved_files
from trainer.claim import claim
from trainer.record import Record
from trainer.settings import RENAMED

NAME, TOKENIZER = "start.json", "tokenizer.json"
BEFORE = {now: before for before, now in RENAMED.items()}


def begin_at(folder: Path, source: Path, modules: Sequence[str] | None = None) -> dict[str, Any]:
    """Have the new run in `folder`, of these modules, begin at the weights of `source`; what is recorded of it.

    The tokenizer comes along: a text encoder knows no other. ValueError where the source is neither a bundle nor a run
    with checkpoints, or has none of the modules, or the run has learnt from another beginning.
    """
    found = _described(source)
    if modules is not None and not set(modules) & set(found["modules"]):
        raise ValueError(
            f"Nothing would begin at {source}: it holds {', '.join(found['modules']) or 'no weights'}, and this recipe "
            f"trains {', '.join(modules)}. Give a run or a bundle of one of these, or leave out --from."
        )
    kept = Record(folder).kept
    if not _stages(folder):
        forget(folder)
    elif kept and (kept["from"] or {}).get("digest") != found["digest"]:
        began = f"at {kept['from']['path']}" if kept["from"] else "at nothing"
        raise ValueError(f"{folder} began {began}, and does not begin again at {source}: choose a new folder.")
    claim(folder / NAME, found, "start")
    if (source / TOKENIZER).exists() and not (folder / TOKENIZER).exists():
        shutil.copyfile(source / TOKENIZER, folder / TOKENIZER)
    return found


def told(start: dict[str, Any], modules: Sequence[str]) -> str:
    """Which of a recipe's modules begin at the start, and which do not."""
    begun = [name for name in modules if name in start["modules"]]
    others = [name for name in modules if name not in begun]
    return f"at {start['path']} begin: {', '.join(begun)}" + (f"; at nothing: {', '.join(others)}" if others else "")


def forget(folder: Path) -> None:
    """The run in `folder`, no stage of which has learnt anything, begins at nothing again."""
    if not _stages(folder):
        for name in (NAME, TOKENIZER):
            (folder / name).unlink(missing_ok=True)


def kept_start(folder: Path) -> dict[str, bytes | None]:
    """What says where the run in `folder` began, for `bring_back`."""
    paths = {name: folder / name for name in (NAME, TOKENIZER)}
    return {name: path.read_bytes() if path.exists() else None for name, path in paths.items()}


def bring_back(folder: Path, kept: dict[str, bytes | None]) -> None:
    """The call that was to begin elsewhere was refused: all is as it was."""
    for name, content in kept.items():
        if content is None:
            (folder / name).unlink(missing_ok=True)
        else:
            (folder / name).write_bytes(content)


def start_of(folder: Path, modules: dict[str, nn.Module]) -> dict[str, Any]:
    """What a stage of the run in `folder` with these modules begins at; empty where at nothing."""
    path = folder / NAME
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found if set(found.get("modules", ())) & set(modules) else {}


def load_start(start: dict[str, Any], modules: dict[str, nn.Module]) -> None:
    """Put the start's weights into the modules that it has. ValueError where it has changed or they do not fit."""
    source = _unchanged(start)
    for name in set(start["modules"]) & set(modules):
        try:
            weights = _widened(_weights(source, name), modules[name])
            modules[name].load_state_dict(weights)
        except RuntimeError as error:
            raise ValueError(f"The weights of {name} in {source} do not fit this recipe: {error}") from error


def _unchanged(start: dict[str, Any]) -> Path:
    source = Path(start["path"])
    if not source.is_dir() or _described(source)["digest"] != start["digest"]:
        raise ValueError(f"{source} is not what this run began at any more: put that back, or begin a new run.")
    return source


def go_back_towards(start: dict[str, Any], modules: dict[str, nn.Module], share: float) -> None:
    """Weights at `share` of the way from the start's to the trained ones: what is learnt of new pictures, with less
    forgotten of the old ones (Wortsman et al., CVPR 2022). ValueError where a module began at nothing, or its start has
    changed.
    """
    for name, module in modules.items():
        if name not in start.get("modules", ()):
            raise ValueError(f"{name} began at nothing: there is no way between a start and what it has learnt.")
        begun = _widened(_weights(_unchanged(start), name), module)
        for key, value in module.state_dict().items():
            if value.is_floating_point():
                value.lerp_(begun[key].to(value), 1 - share)


def _widened(weights: dict[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """Of a transformer that reads more condition channels than its start did, the new ones begin with no influence.
    A relief model once told the product's roundness too.
    """
    if isinstance(module, Relief):
        return {name: one for name, one in weights.items() if not name.startswith("roundness.")}
    name = "condition_in.weight"
    wanted = dict(module.named_parameters()).get(name)
    if wanted is None or name not in weights or wanted.shape[1] <= weights[name].shape[1]:
        return weights
    return weights | {name: F.pad(weights[name], (0, wanted.shape[1] - weights[name].shape[1]))}


def _described(source: Path) -> dict[str, Any]:
    if (source / "bundle.json").exists():
        bundle = read_bundle(source)
        modules = [name.removesuffix(".safetensors") for name in bundle.files if name.endswith(".safetensors")]
        return {"path": str(source.resolve()), "digest": bundle.digest, "modules": _todays(modules)}
    stages = _stages(source)
    if not stages:
        raise ValueError(f"{source} is neither a bundle nor the folder of a run with checkpoints.")
    digest = hashlib.sha256()
    for file in (file for stage in stages for file in saved_files(stage)):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    modules = [key.split(".")[0] for stage in stages for key in read_average(stage)]
    return {"path": str(source.resolve()), "digest": digest.hexdigest(), "modules": _todays(modules)}


def _todays(modules: list[str]) -> list[str]:
    return sorted({*modules, *(name for name, before in BEFORE.items() if before in modules)})


def _stages(source: Path) -> list[Path]:
    return [path for path in sorted(source.iterdir()) if path.is_dir() and saved_files(path)] if source.is_dir() else []


def _weights(source: Path, module: str) -> dict[str, Tensor]:
    found = _kept_weights(source, module)
    if not found:
        before = _kept_weights(source, BEFORE.get(module, module))
        found = {f"disparity.{key[4:]}" if key.startswith("out.") else key: value for key, value in before.items()}
    return found


def _kept_weights(source: Path, module: str) -> dict[str, Tensor]:
    if (source / "bundle.json").exists():
        path = source / f"{module}.safetensors"
        return load_file(path) if path.exists() else {}
    for stage in _stages(source):
        prefix = f"{module}."
        found = {key: value for key, value in read_average(stage).items() if key.startswith(prefix)}
        if found:
            return {key.removeprefix(prefix): value for key, value in found.items()}
    return {}
