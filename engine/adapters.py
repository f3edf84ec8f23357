"""Low-rank adapters (LoRA), put on a loaded transformer from outside, and the bundles that carry them.

Source: Hu et al. (arXiv 2106.09685): a linear layer W x becomes W x + alpha / rank * B A x. The transformer keeps its
modules, names and weights: each adapted layer gets a forward hook, and A and B live in an `Adapter` of their own, in
float32 whatever the model's type. So a model that is sharded, quantised or in bfloat16 is adapted as any other.

Files and keys are those of diffusers and peft: `transformer.NAME.lora_A.weight` [rank, inputs] and `lora_B` [outputs,
rank], with the configuration in the header.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from engine.bundles import Bundle, BundleError, explained, read_bundle
from engine.memory.layerwise import is_absent

KIND = "adapter"
WEIGHTS = "pytorch_lora_weights.safetensors"  # where diffusers' `load_lora_weights` looks for them
PREFIX = "transformer."
METADATA = "lora_adapter_metadata"  # in the file's header, as diffusers writes and reads it
EVERY_BLOCK = ("*blocks.*",)  # our own transformers, and those of Wan, LTX, HunyuanVideo and CogVideoX


@dataclass(frozen=True)
class LowRank:
    """What an adapter adds. `targets`: patterns (`*`, `?`, `[..]`) of the full names of linear layers."""

    rank: int = 16
    alpha: float = 16.0
    targets: tuple[str, ...] = EVERY_BLOCK


class Pair(nn.Module):
    """x -> strength * alpha / rank * B A x, in the type of A and B, under autocast too. B begins at zero."""

    def __init__(self, inputs: int, outputs: int, asked: LowRank, device: torch.device) -> None:
        super().__init__()
        given: dict[str, Any] = {"bias": False, "device": device, "dtype": torch.float32}
        self.lora_A, self.lora_B = nn.Linear(inputs, asked.rank, **given), nn.Linear(asked.rank, outputs, **given)
        self.scale = asked.alpha / asked.rank
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, x: Tensor) -> Tensor:
        # bfloat16 keeps 8 bits of A and B, and a step of training is smaller than the last of them.
        with torch.autocast(x.device.type, enabled=False):
            made: Tensor = self.lora_B(self.lora_A(x.to(self.lora_A.weight.dtype)))
            return made * self.scale


class Adapter(nn.Module):
    """The pairs of a model's layers. `attach` puts them on; `merge` folds them into the weights, `unmerge` takes them
    out again, the same bits. ValueError where no linear layer of the model matches the targets.
    """

    def __init__(self, model: nn.Module, asked: LowRank) -> None:
        super().__init__()
        if asked.rank < 1:
            raise ValueError(f"An adapter of rank {asked.rank} holds nothing: ask for at least 1, for example 16.")
        layers = dict(_layers(model, asked.targets))
        self.asked, self.names, self.strength = asked, tuple(layers), 1.0
        self.pairs = nn.ModuleDict(
            {
                _key(name): Pair(layer.in_features, layer.out_features, asked, layer.weight.device)
                for name, layer in layers.items()
            }
        )
        self._hooks: list[Any] = []
        self._kept: dict[str, Tensor] = {}

    @property
    def config(self) -> dict[str, Any]:
        """What a checkpoint of it has to be of."""
        return {"rank": self.asked.rank, "alpha": self.asked.alpha, "targets": list(self.asked.targets)}

    def attach(self, model: nn.Module) -> None:
        """From now on the model computes with the adapter. Attached twice it would count twice: it must not be on."""
        assert not self._hooks and not self._kept, "this adapter is on a model already"
        for name, pair in self._pairs():
            self._hooks.append(model.get_submodule(name).register_forward_hook(_adding(self, pair)))

    def detach(self) -> None:
        """The model computes as it did before. What is merged has to be unmerged first."""
        assert not self._kept, "this adapter is merged into the weights"
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    @torch.no_grad()
    def merge(self, model: nn.Module) -> None:
        """Fold the attached adapter into the weights: no cost while the model runs, and the weights as they were are
        kept beside. In float32 the output is the same within 1e-5 of its largest value; in bfloat16 the sum is rounded
        as weights are, which is of the size of a bfloat16 model's own error. ValueError where they are not
        whole, or not here.
        """
        assert self._hooks and not self._kept, "only an attached adapter is merged"
        weights = self._weights(model, "merge before that, or leave the adapter beside it")
        self.detach()
        for name, pair in self._pairs():
            weight = weights[name]
            self._kept[name] = weight.data
            added = pair.lora_B.weight @ pair.lora_A.weight * (pair.scale * self.strength)
            weight.data = (weight.data.to(added.dtype) + added.to(weight.device)).to(weight.dtype)

    @torch.no_grad()
    def unmerge(self, model: nn.Module) -> None:
        """Put the weights back as they were before `merge`, and the adapter on again. Errors as of `merge`."""
        assert self._kept, "only a merged adapter is taken out"
        for name, weight in self._weights(model, "undo that before the adapter is taken out").items():
            weight.data = self._kept[name]
        self._kept = {}
        self.attach(model)

    def tensors(self) -> dict[str, Tensor]:
        """A and B by the names that diffusers gives them, whole and in float32."""
        found = {}
        for name, pair in self._pairs():
            for part in ("lora_A", "lora_B"):
                found[f"{PREFIX}{name}.{part}.weight"] = _whole(getattr(pair, part).weight)
        return found

    @torch.no_grad()
    def load_tensors(self, found: Mapping[str, Tensor]) -> None:
        """The reverse of `tensors`; ValueError where `found` is of other layers, or of other shapes."""
        ours = {
            f"{PREFIX}{name}.{part}.weight": getattr(pair, part).weight
            for name, pair in self._pairs()
            for part in ("lora_A", "lora_B")
        }
        odd = sorted(set(ours) ^ set(found)) or [key for key in ours if ours[key].shape != found[key].shape]
        if odd:
            raise ValueError(f"{len(odd)} weights do not fit the model's layers, {odd[0]} among them")
        for key, weight in ours.items():
            weight.copy_(found[key])

    def _weights(self, model: nn.Module, instead: str) -> dict[str, Tensor]:
        found = {}
        for name in self.names:
            weight = model.get_submodule(name).weight
            assert isinstance(weight, Tensor)
            if type(weight.data) is not Tensor or is_absent(weight.data):
                raise ValueError(f"{name} is sharded, offloaded or quantised: {instead}.")
            found[name] = weight
        return found

    def _pairs(self) -> Iterator[tuple[str, Pair]]:
        for name in self.names:
            pair = self.pairs[_key(name)]
            assert isinstance(pair, Pair)
            yield name, pair


def save_adapter(adapter: Adapter, folder: Path) -> None:
    """Write the weights as diffusers and peft read them."""
    about = {
        "peft_type": "LORA",
        "r": adapter.asked.rank,
        "lora_alpha": adapter.asked.alpha,
        "target_modules": list(adapter.names),
    }
    header = json.dumps({f"{PREFIX}{key}": value for key, value in about.items()}, sort_keys=True)
    tensors = {key: value.contiguous() for key, value in adapter.tensors().items()}
    save_file(tensors, folder / WEIGHTS, {"format": "pt", METADATA: header})
    (folder / WEIGHTS).chmod(0o644)


def put_on(model: nn.Module, bundle: Bundle | Path, base: Bundle, part: str, *, strength: float = 1.0) -> Adapter:
    """Put an adapter bundle on `part` of the loaded bundle `base`: "single_dit", "multimodal_dit" or "transformer".

    `strength` scales what it adds: 0 is the base, 1 what was trained. BundleError where it is no adapter, or one of
    another base, part or shape.
    """
    bundle = bundle if isinstance(bundle, Bundle) else read_bundle(bundle)
    about = _about(bundle)
    trained_on = about["base"]
    if trained_on["digest"] != base.digest:
        raise BundleError(
            f"The adapter {bundle.name} was trained on {trained_on['name']} {trained_on['version']} "
            f"({trained_on['digest'][:19]}), and this is {base.name} {base.version} ({base.digest[:19]}): "
            f"use it with that bundle, or train it anew on this one."
        )
    if about["part"] != part:
        raise BundleError(f"The adapter {bundle.name} is for {about['part']} of {base.name}, not for {part}.")
    with explained(bundle, WEIGHTS):
        asked = LowRank(int(about["rank"]), float(about["alpha"]), tuple(about["targets"]))
        adapter = Adapter(model, asked)
        with safe_open(bundle.file(WEIGHTS), "pt") as file:
            adapter.load_tensors({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
    adapter.requires_grad_(False).strength = strength
    adapter.attach(model)
    return adapter


def _about(bundle: Bundle) -> dict[str, Any]:
    about = bundle.capabilities.get(KIND)
    if KIND not in bundle.kinds or not isinstance(about, dict):
        raise BundleError(f"The bundle {bundle.name} is no adapter: it serves {', '.join(bundle.kinds)}.")
    lacking = [key for key in ("base", "part", "rank", "alpha", "targets") if key not in about]
    if lacking or not isinstance(about["base"], dict) or {"name", "version", "digest"} - set(about["base"]):
        raise BundleError(f"The adapter {bundle.name} does not say what it is for. Export it again.")
    return about


def _layers(model: nn.Module, targets: tuple[str, ...]) -> Iterator[tuple[str, nn.Linear]]:
    every = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    found = [one for one in every if any(fnmatchcase(one[0], target) for target in targets)]
    if not found:
        some = ", ".join(name for name, _ in every[:: max(1, len(every) // 4)][:4])
        raise ValueError(f"No linear layer is named like {', '.join(targets)}. There are {len(every)}, such as {some}.")
    yield from found


def _adding(adapter: Adapter, pair: Pair) -> Any:
    def hook(layer: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> Tensor:
        return out + (pair(given[0]) * adapter.strength).to(out.dtype)

    return hook


def _whole(weight: Tensor) -> Tensor:
    """A sharded weight gathered: every rank takes part."""
    full = getattr(weight, "full_tensor", None)
    return (weight if full is None else full()).detach().float()


def _key(name: str) -> str:
    return name.replace(".", "/")  # a module's name holds no dots
