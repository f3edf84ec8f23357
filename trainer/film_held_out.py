"""Held-out films for the transformers of latent video: drawn anew from seeds that no bank has.

Every film has one task, and its words are always said. Legend: B films; rows are films at one time after the other.
"""

from __future__ import annotations

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from torch import Tensor

from engine.device import device_of
from engine.models.ernie import ErnieEncoder, PromptTokenizer
from engine.models.video_dit import VideoDiT
from trainer.evaluate.held_out import HeldOutFilms
from trainer.film_latents import FilmLatents, boxes_in, hide_boxes, latents_of
from trainer.films import FilmsConfig
from trainer.kernels import kernels
from trainer.objectives.video_flow import TASKS, TIME_SHIFT, TIME_SPREAD, velocity_error
from trainer.validation import HELD_OUT_FROM, Probe, Validation, noise_of, time_grid

FILMS, TOGETHER = 16, 4
FIRST = 1_000_000  # of the held-out films: evaluation and calibration draw earlier ones
BOXES = 5  # seed


def check_apart(films: FilmsConfig) -> None:
    """ValueError where the bank draws scenes that are held out."""
    last = films.seed + films.scenes - 1
    if last >= HELD_OUT_FROM:
        raise ValueError(
            f"Scenes from {HELD_OUT_FROM:,} on are held out, and the films' go up to {last:,}: lower films.seed, or "
            f"set dit_loop.validate_every to 0."
        )


def film_validation(
    dit: VideoDiT,
    text: ErnieEncoder,
    tokenizer: PromptTokenizer,
    vae: AutoencoderKLWan,
    latents: FilmLatents,
    weights_C: Tensor,
    size: tuple[int, int],
    films: int = FILMS,
) -> Validation:
    """Unseen films of `size` (height, width), each with the next of the tasks; the error as the stage learns it."""
    times = time_grid(TIME_SHIFT, TIME_SPREAD)
    shown = HeldOutFilms.draw(films, *size, first=FIRST)
    whole = latents.scaled(latents_of(vae, shown.frames))
    boxes = boxes_in((whole.shape[3], whole.shape[4]), films, BOXES)
    boxed = latents.scaled(latents_of(vae, hide_boxes(shown.frames, boxes)))
    tasks = [list(TASKS)[i % len(TASKS)] for i in range(films)]
    probes = []
    for start in range(0, films, TOGETHER):
        part = slice(start, start + TOGETHER)
        told = (tokenizer(shown.prompts[part]), text)
        probes.append(_probe(dit, whole[part], boxed[part], boxes[part], tasks[part], told, weights_C, times, start))
    return Validation.of(times, probes, [whole, boxed], [shown.prompts, boxes.tolist()])


def _probe(
    dit: VideoDiT,
    whole: Tensor,
    boxed: Tensor,
    boxes: np.ndarray,
    tasks: list[str],
    told: tuple[tuple[Tensor, Tensor], ErnieEncoder],
    weights_C: Tensor,
    times: tuple[float, ...],
    place: int,
) -> Probe:
    (ids, mask), text = told
    device, count = device_of(dit), len(times)
    at = tuple(i for i in range(count) for _ in tasks)
    noise = noise_of((len(at), *whole.shape[1:]), place)
    with torch.no_grad(), kernels(device):
        features = text(ids.to(device), mask.to(device))
    repeated = (torch.cat([one] * count).to(device) for one in (whole, boxed, features, mask))
    data, hidden, said, words = repeated
    time, noise = torch.tensor(times)[list(at)].to(device), noise.to(device)

    def errors() -> Tensor:
        wrong = velocity_error(
            dit, data, hidden, np.concatenate([boxes] * count), tasks * count, said, words, time, noise
        )
        return (wrong.mean((2, 3, 4)) * weights_C).mean(1)

    return Probe(at, errors)
