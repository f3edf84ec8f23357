"""A tiny WanTransformer3DModel and its short training on films of the worlds, from words.

There is no VAE in it: a latent is 4 x 4 pixels of a frame of 32 x 32, unshuffled to 48 channels, of every fourth frame.
A prompt is what the world says of its film (things, colours, places, backdrop, camera, subject), a fixed random vector
each.
"""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from datapipe.worlds.film import caption, make_films, shown_words

SIDE, CELL, EVERY = 32, 4, 4
WORDS, WIDTH = 10, 64
RATE = 1.5e-3
MOTIONS, BATCH = 4, 16
HELD_OUT = 930_000_000  # seed of the first scene
SHAPE = {
    "patch_size": (1, 2, 2), "num_attention_heads": 3, "attention_head_dim": 32, "in_channels": 3 * CELL**2,
    "out_channels": 3 * CELL**2, "text_dim": WIDTH, "freq_dim": 64, "ffn_dim": 256, "num_layers": 4,
    "rope_max_seq_len": 32,
}  # fmt: skip
KEPT = Path(__file__).parents[2] / "build" / "bench"


@dataclass(frozen=True)
class Films:
    """Latents [N, C, 5, 8, 8] and the text of each [N, WORDS, WIDTH]."""

    latents: Tensor
    text: Tensor


def films(first: int, scenes: int, motions: int) -> Films:
    latents, texts = [], []
    for seed in range(first, first + scenes):
        scene, made = make_films(seed, SIDE, SIDE, motions)
        for motion, frames in made:
            said = caption(motion, shown_words(scene, frames[0]), np.random.default_rng(seed))[1]
            latents.append(latents_of(frames[::EVERY]))
            texts.append(embedded(said))
    return Films(torch.stack(latents), torch.stack(texts))


def latents_of(frames_THW3: np.ndarray) -> Tensor:
    """[C, T, h, w], of variance about 1."""
    pixels = torch.from_numpy(frames_THW3).permute(0, 3, 1, 2).float() / 63.75 - 2
    return F.pixel_unshuffle(pixels, CELL).transpose(0, 1)


def frames_of(latents_BCThw: Tensor) -> np.ndarray:
    """Frames [B, T, H, W, 3] uint8."""
    pixels = F.pixel_shuffle(latents_BCThw.transpose(1, 2), CELL)
    return ((pixels + 2) * 63.75).round().clamp(0, 255).to(torch.uint8).permute(0, 1, 3, 4, 2).numpy()


def embedded(said: dict[str, str]) -> Tensor:
    """[WORDS, WIDTH]; zero where nothing is said, and wholly for no prompt."""
    found = torch.zeros(WORDS, WIDTH)
    for place, (key, word) in enumerate(sorted(said.items())[:WORDS]):
        seed = int.from_bytes(hashlib.sha256(f"{key} {word}".encode()).digest()[:4], "little")
        found[place] = torch.randn(WIDTH, generator=torch.Generator().manual_seed(seed))
    return found


def trained(scenes: int, steps: int) -> WanTransformer3DModel:
    """From `build/`, or trained now on four films of each scene."""
    torch.manual_seed(0)
    model, kept = WanTransformer3DModel(**SHAPE), KEPT / f"tiny-wan-told-{scenes}-{steps}.safetensors"
    if kept.exists():
        model.load_state_dict(load_file(kept))
        return model.eval().requires_grad_(False)
    begun = time.process_time()
    shown = films(1_000_000, scenes, MOTIONS)
    print(f"{len(shown.latents)} films after {time.process_time() - begun:.0f} s", flush=True)
    average = [p.detach().clone() for p in model.parameters()]
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01, betas=(0.9, 0.99))
    draws = torch.Generator().manual_seed(1)
    total = 0.0
    for step in range(steps):
        rate = min(1.0, (step + 1) / 50) * (0.02 + 0.98 * (1 + math.cos(math.pi * step / steps)) / 2)
        optimiser.param_groups[0]["lr"] = RATE * rate
        picked = torch.randint(len(shown.latents), (BATCH,), generator=draws)
        data, text = shown.latents[picked], shown.text[picked]
        unasked = torch.rand(BATCH, 1, 1, generator=draws) < 0.1
        loss = flow_loss(model, data, text.masked_fill(unasked, 0.0), draws)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, list(model.parameters()), 1 - min(0.99, (step + 1) / (step + 10)))
        total += loss.item()
        if step % 100 == 99:
            print(f"step {step + 1}: {total / 100:.4f} after {time.process_time() - begun:.0f} s", flush=True)
            total = 0.0
    with torch.no_grad():
        for parameter, mean in zip(model.parameters(), average, strict=True):
            parameter.copy_(mean)
    KEPT.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), kept)
    return model.eval().requires_grad_(False)


def flow_loss(model: WanTransformer3DModel, data: Tensor, text: Tensor, draws: torch.Generator) -> Tensor:
    """Rectified flow, times logit-normal."""
    share = torch.sigmoid(torch.randn(len(data), generator=draws) + 0.5)
    noise = torch.randn(data.shape, generator=draws)
    mixed = torch.lerp(data, noise, share.view(-1, 1, 1, 1, 1))
    made = model(mixed, share * 1000, text, return_dict=False)[0]
    return F.mse_loss(made, noise - data)


def estimated(model: WanTransformer3DModel, shown: Films, text: Tensor, share: float) -> Tensor:
    """What the model makes of held-out films under so much noise."""
    noise = torch.randn(shown.latents.shape, generator=torch.Generator().manual_seed(5))
    mixed = torch.lerp(shown.latents, noise, share)
    made = model(mixed, torch.full((len(mixed),), share * 1000), text, return_dict=False)[0]
    return mixed - share * made
