"""Films and their captions become latents and text features: derived shards, made once and learnt from by any run.

A derived set is keyed by the digest of what encodes (video VAE, text encoder, tokenizer, statistics) and by that of the
shards it was made from. Source records hold `frames` [T, H, W, 3] uint8, and `captions` among their facts. Legend: C
channels, t h w latents, M text tokens.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from rich.progress import track
from torch import Tensor

from datapipe.shards import ShardError, ShardSet, ShardWriter
from engine.bundles import Bundle, read_bundle
from engine.latent_video import HIDDEN_GREY, SPACE, TIME, pixels_of, statistics_of
from engine.weights import load_model, load_text
from trainer.lora import cropped
from trainer.plan.command import RECIPES as LARGE
from trainer.recipes.large import Grid, LargeVideoConfig
from trainer.recipes.multimodal_dit_13b import multimodal_dit_13b_smoke
from trainer.recipes.single_dit_2b import single_dit_2b_smoke
from trainer.settings import override

KIND = "video latents"
RECORDS = 32  # of a shard: a pause comes behind a whole one
VAE = ("vae.json", "vae.safetensors")
PARTS = (*VAE, "text.json", "text.safetensors", "tokenizer.json")
TEXT = ("text_encoder", "tokenizer")  # folders of an imported text encoder
WAN = "WanPipeline"  # of the imported ones, that which makes latents and text as these recipes read them
SMOKES = {"single_dit_2b_smoke": single_dit_2b_smoke, "multimodal_dit_13b_smoke": multimodal_dit_13b_smoke}
RECIPES = {**LARGE, **SMOKES}


@dataclass(frozen=True)
class Job:
    """A record that is to be made: which film, at which size of latents."""

    film: int
    grid: Grid


class Encoder:
    """The video VAE and the text encoder of a bundle of latent video, or of an imported pipeline of Wan."""

    def __init__(self, bundle: Bundle) -> None:
        if bundle.layout == "diffusers":
            from trainer.wan_encoder import wan_vae  # and with it the pipelines of diffusers

            self.vae, (self.mean, self.std) = wan_vae(bundle)
        else:
            self.vae = load_model(bundle, AutoencoderKLWan, "vae")
            self.mean, self.std = statistics_of(bundle, self.vae.config["z_dim"])
        self.text, self.tokenizer = load_text(bundle)

    @torch.inference_mode()
    def latents(self, frames_THW3: np.ndarray) -> np.ndarray:
        """[C, t, h, w] float16 of frames uint8, scaled as the transformers read them."""
        video = pixels_of(frames_THW3)
        found = (self.vae.encode(video).latent_dist.mode() - self.mean) / self.std
        return found[0].half().numpy()

    @torch.inference_mode()
    def features(self, prompts: Sequence[str]) -> list[np.ndarray]:
        """Of each prompt [M, C] float16."""
        found: list[Tensor] = []
        for prompt in prompts:
            ids, mask = self.tokenizer([prompt])
            found.append(self.text(ids, mask)[0].half())
        return [one.numpy() for one in found]


def encoder_digest(bundle: Bundle) -> str:
    """Of what encodes, whichever transformers lie beside it: equal digests, equal latents and features.

    ValueError where the bundle is neither one of latent video nor an imported pipeline of Wan.
    """
    if bundle.layout == "diffusers":
        return _digest([[name, bundle.files[name]] for name in encoding_files(bundle)])
    parts = parts_of(bundle)
    missing = [name for name in parts if name not in bundle.files]
    if missing:
        raise ValueError(f"The bundle {bundle.name} cannot encode: it has no {', '.join(missing)}.")
    told = [[name, bundle.files[name]] for name in parts]
    statistics = {key: bundle.capabilities.get("latents", {}).get(key) for key in ("mean", "std")}
    read_by = [bundle.capabilities["text"]] if bundle.layout == "folders" else []
    return _digest([told, statistics, *read_by])


def parts_of(bundle: Bundle) -> list[str]:
    """The files of a bundle of ours that encode."""
    if bundle.layout == "flat":
        return list(PARTS)
    return [*VAE, *sorted(name for name in bundle.files if name.split("/")[0] in TEXT)]


def _digest(told: Any) -> str:
    return "sha256:" + hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def encoding_files(bundle: Bundle) -> list[str]:
    """What encodes of an imported pipeline; ValueError where our transformers cannot read what it makes."""
    pipeline = bundle.capabilities.get("pipeline")
    if pipeline != WAN:
        raise ValueError(f"The bundle {bundle.name} cannot encode: it is a {pipeline}, and a {WAN} could.")
    return sorted(name for name in bundle.files if name.split("/")[0] in ("vae", *TEXT))


def encode(
    bundle: Bundle, source: ShardSet, out: Path, stages: Sequence[Sequence[Grid]], deadline: float = math.inf
) -> bool:
    """Write the derived set of these films into `out`: of each film one record for each stage that it is large enough
    for. True when all is there, False when the deadline came first: another call goes on.

    ValueError where `out` holds what another encoder made, or what was made of other films or for other stages, or
    where no film fits.
    """
    key = encoder_digest(bundle)
    jobs, left_out, cut = jobs_of(source, stages)
    if not jobs:
        raise ValueError(f"None of the {len(source)} films in {source.folder} is as long and large as any bucket.")
    if left_out:
        print(f"{left_out} of {len(source)} films are too short or small for every bucket, and are not encoded.")
    if cut:
        print(f"{cut} frames lie behind the longest bucket of their film, and are not encoded.")
    about = {
        "kind": KIND,
        "encoder": key,
        "source": source.digest,
        "stages": [[list(grid) for grid in grids] for grids in stages],
        "left_out": left_out,
        "frames_left_out": cut,
    }
    if is_finished(out, about):
        return True
    encoder = Encoder(bundle)
    with ShardWriter(out, about, records=RECORDS) as shards:
        begun = shards.count
        for number in track(range(begun, len(jobs) + 1), f"encode {out.name}"):
            if number == shards.count > begun and time.monotonic() >= deadline:  # nothing is lost behind a whole shard
                return False
            job = jobs[number] if number < len(jobs) else None
            shards.add(*(_encoded(encoder, source, job) if job else _unsaid(encoder)))
        shards.finish()
    return True


def is_finished(out: Path, about: dict[str, Any]) -> bool:
    """Whether this very set lies there whole."""
    try:
        return ShardSet(out).about == about
    except ShardError:
        return False  # it is begun, gone on with or refused by the writer


def jobs_of(source: ShardSet, stages: Sequence[Sequence[Grid]]) -> tuple[list[Job], int, int]:
    """What is encoded, in order; how many films are not; and how many frames of those that are lie behind the longest
    of their records. ValueError names the record that is no film, or that no words ask for.
    """
    jobs: list[Job] = []
    left_out = cut = 0
    for film in range(len(source)):
        shape = source.shapes(film).get("frames")
        if shape is None or len(shape) != 4:
            raise ValueError(f"Record {film} in {source.folder} holds no frames [T, H, W, 3]: these are no films.")
        found = [grid for grids in stages if (grid := grid_for(shape, grids)) is not None]
        if found and not source.facts(film).get("captions"):
            raise ValueError(f"Record {film} in {source.folder} has no captions: there is nothing to ask for it by.")
        jobs += [Job(film, grid) for grid in dict.fromkeys(found)]
        left_out += not found
        cut += shape[0] - max((length_of(grid) for grid in found), default=shape[0])
    return jobs, left_out, cut


def length_of(grid: Grid) -> int:
    """Frames of a film that a record of this size is made of."""
    return 1 + TIME * (grid[0] - 1)


def grid_for(shape_THW3: Sequence[int], grids: Sequence[Grid]) -> Grid | None:
    """The size for a film: as long as it can be, then of the nearest form, then the largest; nothing is stretched."""
    frames, height, width = shape_THW3[:3]

    def likeness(grid: Grid) -> tuple[int, float, int]:
        return grid[0], -abs(math.log(height / width * grid[2] / grid[1])), grid[1] * grid[2]

    fits = [
        grid for grid in grids if length_of(grid) <= frames and grid[1] * SPACE <= height and grid[2] * SPACE <= width
    ]
    return max(fits, key=likeness, default=None)


def box_of(film: int, grid: Grid) -> tuple[int, int, int, int]:
    """Top, left, bottom, right of what is hidden of a film, in latents: a half to three quarters of each side."""
    rng = np.random.default_rng((film, *grid))
    sides = [int(rng.integers(max(1, n // 2), max(n // 2, 3 * n // 4) + 1)) for n in grid[1:]]
    top, left = (int(rng.integers(0, n - side + 1)) for n, side in zip(grid[1:], sides, strict=True))
    return top, left, top + sides[0], left + sides[1]


def _encoded(encoder: Encoder, source: ShardSet, job: Job) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """A film's latents, whole and with its box hidden before they were made, and the features of its captions."""
    record, (_, h, w) = source[job.film], job.grid
    captions = record.facts["captions"]
    whole = record.values["frames"][: length_of(job.grid)]
    frames = np.stack([cropped(frame, h * SPACE, w * SPACE) for frame in whole])
    box = box_of(job.film, job.grid)
    boxed = frames.copy()
    top, left, bottom, right = (side * SPACE for side in box)
    boxed[:, top:bottom, left:right] = HIDDEN_GREY
    features = encoder.features(captions)
    values = {"latents": encoder.latents(frames), "boxed": encoder.latents(boxed), **_text(features)}
    return values, {"film": job.film, "grid": list(job.grid), "box": list(box), "captions": captions}


def _unsaid(encoder: Encoder) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The last record: what is read where nothing is said, which guidance needs."""
    return _text(encoder.features([""])), {"unsaid": True}


def _text(features: list[np.ndarray]) -> dict[str, np.ndarray]:
    return {"text": np.concatenate(features), "text_ends": np.cumsum([len(one) for one in features])}


# --- the command ---


def run_encode(options: argparse.Namespace) -> int:
    """Exit status 0: all is there; 3: the minutes were over."""
    bundle, stages = _asked(options.what, options.set)
    deadline = math.inf if options.minutes is None else time.monotonic() + 60 * options.minutes
    whole = encode(bundle, ShardSet(options.data), options.out, stages, deadline)
    print(f"{len(ShardSet(options.out)) - 1} records in {options.out}" if whole else "paused: the same call goes on")
    return 0 if whole else 3


def _asked(what: str, settings: list[str]) -> tuple[Bundle, list[Sequence[Grid]]]:
    """The encoder and the sizes of each stage: a recipe's own, or what the bundle was trained for."""
    if what in RECIPES:
        config: LargeVideoConfig = override(RECIPES[what](), settings)
        if not config.encoder:
            raise ValueError(f"Say whose video VAE and text encoder {what} learns on: --set encoder=BUNDLE.")
        return read_bundle(config.encoder), [stage.grids for stage in config.stages]
    if not Path(what).is_dir():
        raise ValueError(f"{what} is neither the folder of a bundle nor one of the recipes {', '.join(RECIPES)}.")
    if settings:
        raise ValueError("--set is for recipes: a bundle has no settings.")
    bundle = read_bundle(what)
    if bundle.layout == "diffusers":
        raise ValueError(f"Say for which recipe {bundle.name} is to encode: encode RECIPE --set encoder={what}.")
    native = bundle.capabilities.get("latents", {})
    sides = (native.get("height", 64) // SPACE, native.get("width", 64) // SPACE)
    return bundle, [[(1 + (native.get("frames", 17) - 1) // TIME, *sides)]]
