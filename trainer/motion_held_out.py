"""Held-out clips of every format for a transformer that learns motion: drawn anew from seeds that no bank has.

Legend: B clips, T times of the grid; rows are clips at one time after the other.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from datapipe.worlds.clip import GRIDS, Controls, Fields, Picture, make_clips, sample_controls
from engine.conditions import dense_condition, photo_tensor
from engine.device import device_of
from engine.models.ernie import ErnieEncoder, PromptTokenizer
from engine.models.motion_vae import MotionVAE
from engine.models.relief import Relief
from engine.models.single_dit import SingleDiT
from trainer.closeups import CloseupsConfig
from trainer.data import BankConfig, scene_seed
from trainer.kernels import kernels
from trainer.objectives.rectified_flow import TIME_SHIFT, TIME_SPREAD, channel_weights, velocity_error
from trainer.validation import HELD_OUT_FROM, SCENES, Probe, Validation, noise_of, time_grid

CLIPS = 4  # of each format


def check_apart(bank: BankConfig) -> None:
    """ValueError where the bank draws scenes that are held out."""
    last = scene_seed(bank.seed, list(GRIDS)[-1], bank.scenes - 1)
    if last >= HELD_OUT_FROM:
        raise ValueError(
            f"Scenes from {HELD_OUT_FROM:,} on are held out, and the bank's go up to {last:,}: lower bank.seed, or set "
            f"dit.validate_every to 0."
        )


def check_closeups_apart(closeups: CloseupsConfig) -> None:
    """ValueError where closeups are of scenes that are held out: benchmarks measure roundness there."""
    last = closeups.seed + closeups.count - 1
    if last >= HELD_OUT_FROM:
        raise ValueError(
            f"Scenes from {HELD_OUT_FROM:,} on are held out, and those of the closeups go up to {last:,}: lower "
            f"closeups.seed."
        )


def motion_validation(
    dit: SingleDiT,
    text: ErnieEncoder,
    tokenizer: PromptTokenizer,
    vae: MotionVAE,
    relief: Relief,
    clips: int = CLIPS,
) -> Validation:
    """The flow's error as the stage learns it, without the text's alignment. Everything is asked of each clip that a
    user may ask, in words and by controls.
    """
    device, times = device_of(dit), time_grid(TIME_SHIFT, TIME_SPREAD)
    probes, samples, prompts = [], [], []
    for format in GRIDS:
        rows, photo, fields = _drawn(format, clips)
        photo, fields = photo.to(device), fields.to(device)
        with torch.no_grad(), kernels(device):
            reference = vae.reference(photo)
            latents = vae.scale_latents(vae.encode(fields, reference)[0].half().float())  # as a bank's are kept
            condition = dense_condition(photo, reference, relief(photo))
        probes.append(_probe(dit, text, tokenizer, channel_weights(vae).detach(), latents, condition, rows, times))
        samples.append(latents)
        prompts += [row.prompt for row in rows]
    return Validation.of(times, probes, samples, prompts)


def _probe(
    dit: SingleDiT,
    text: ErnieEncoder,
    tokenizer: PromptTokenizer,
    weights: Tensor,
    latents: Tensor,
    condition: Tensor,
    rows: list[Controls],
    times: tuple[float, ...],
) -> Probe:
    device, count = latents.device, len(times)
    at = tuple(i for i in range(count) for _ in rows)
    noise = noise_of((count * len(rows), *latents.shape[1:]), *latents.shape[3:]).to(device)
    time = torch.tensor(times)[list(at)].to(device)
    data, conditions = torch.cat([latents] * count), torch.cat([condition] * count)
    ids, mask = (x.to(device) for x in tokenizer([row.prompt for row in rows]))

    def errors() -> Tensor:
        features = torch.cat([text(ids, mask)] * count)
        made = velocity_error(dit, data, noise, time, features, torch.cat([mask] * count), conditions, rows * count)
        return (made * weights).mean((1, 2, 3, 4))

    return Probe(at, errors)


def _drawn(format: str, clips: int) -> tuple[list[Controls], Tensor, Tensor]:
    """What is asked, photo [B, 4, H, W] and fields [B, 5, T, h, w] of clips, as a bank would hold them."""
    rng = np.random.default_rng(SCENES)
    drawn = [make_clips(scene_seed(SCENES, format, i), format, 1) for i in range(clips)]
    rows = [sample_controls(motion, scene.words, rng) for _, scene, [(motion, _)] in drawn]
    photos = np.stack([_photo(picture) for picture, _, _ in drawn])
    fields = np.stack([_fields(made) for _, _, [(_, made)] in drawn])
    return rows, photo_tensor(photos), torch.from_numpy(fields)


def _photo(picture: Picture) -> np.ndarray:
    return np.concatenate([picture.rgb, picture.mask[..., None]], -1)


def _fields(made: Fields) -> np.ndarray:
    parts = [*made.scene_flow.transpose(3, 0, 1, 2), *made.product_flow.transpose(3, 0, 1, 2), made.light]
    return np.stack(parts).astype(np.float16).astype(np.float32)
