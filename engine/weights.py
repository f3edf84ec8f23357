"""The parts of a verified bundle, loaded. Whatever is wrong with them is a BundleError, before any work begins.

The torch side of `bundles`, which knows no weights.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar, cast

from diffusers.models.modeling_utils import ModelMixin
from safetensors.torch import load_file

from engine.bundles import Bundle, BundleError, explained
from engine.conditions import CONDITION_CHANNELS, CONTROL_SIZES
from engine.models.ernie import ErnieEncoder, PromptTokenizer
from engine.models.motion_vae import MotionVAE
from engine.models.single_dit import SingleDiT

M = TypeVar("M", bound=ModelMixin)


def load_model(bundle: Bundle, kind: type[M], name: str) -> M:
    """The model `NAME.json` with the weights `NAME.safetensors`, cast once to the type that computes.

    BundleError where a file is missing, is not what its name says, or where the weights are another model's.
    """
    settings, weights = config_of(bundle, name), bundle.file(f"{name}.safetensors")
    with explained(bundle, f"{name}.json"):
        model = cast(M, cast(Any, kind).from_config(settings))  # of ConfigMixin, which every kind is too
    with explained(bundle, weights.name):
        model.load_state_dict(load_file(weights))
    return model.float().eval().requires_grad_(False)


def config_of(bundle: Bundle, name: str) -> dict[str, Any]:
    """What `NAME.json` says; BundleError where it is missing or no JSON object."""
    path = bundle.file(f"{name}.json")
    with explained(bundle, path.name):
        settings = json.loads(path.read_text())
        if not isinstance(settings, dict):  # diffusers would take anything else for a path or an address
            raise TypeError("a JSON object is needed")
    return settings


def load_tokenizer(bundle: Bundle, text: ErnieEncoder) -> PromptTokenizer:
    """The tokenizer of the text encoder; BundleError where it has words that the encoder does not know."""
    path = bundle.file("tokenizer.json")
    with explained(bundle, path.name):
        tokenizer = PromptTokenizer.load(path, text.config["max_tokens"])
    words, known = tokenizer.tokenizer.get_vocab_size(), text.config["vocab_size"]
    if words > known:
        raise BundleError(f"The bundle {bundle.name} mixes models: {words} words in {path.name}, {known} in text.json.")
    return tokenizer


def load_text(bundle: Bundle) -> tuple[Any, Any]:
    """The text encoder of a bundle of ours, and its tokenizer: ERNIE's, or those of an imported pipeline.

    `tokenizer(prompts)` gives ids and mask [B, M], `text(ids, mask)` features [B, M, text.config["nlu_width"]].
    """
    if bundle.layout == "flat":
        text = load_model(bundle, ErnieEncoder, "text")
        return text, load_tokenizer(bundle, text)
    from engine.pretrained.t5 import load_t5  # and with it the models of transformers

    return load_t5(bundle)


def check_parts(bundle: Bundle, vae: MotionVAE, dit: SingleDiT, text: ErnieEncoder) -> None:
    """BundleError where the parts are whole, but not of one model or not of this engine."""
    pairs = {
        "single_dit.json reads latents of another width than motion_vae.json makes": (
            dit.config["in_channels"],
            vae.config["latent_channels"],
        ),
        "single_dit.json reads text of another width than text.json makes": (
            dit.config["text_dim"],
            text.config["nlu_width"],
        ),
        "single_dit.json has other condition channels than this engine": (
            dit.config["condition_channels"],
            CONDITION_CHANNELS,
        ),
        "single_dit.json has other controls than this engine": (tuple(dit.config["control_sizes"]), CONTROL_SIZES),
    }
    wrong = [f"{what} ({one} and {other})" for what, (one, other) in pairs.items() if one != other]
    if wrong:
        raise BundleError(f"The bundle {bundle.name} cannot be used: {'; '.join(wrong)}. Export it again.")
