"""How well a latent-video transformer does each task: the error of its velocity, with the condition right and wrong.

Held-out films, fixed times and noise. A model that reads its condition errs more where the condition is another film's
or is left out; one that does not, errs the same. Legend: B films, C channels, t h w the grid of the latents.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine.latent_video import SPACE, LatentVideo
from trainer.evaluate.cases import NONE, OURS, SHUFFLED, STILL
from trainer.evaluate.figures import Figure
from trainer.evaluate.held_out import HeldOutFilms

TIMES = (0.5, 0.7, 0.8, 0.9, 0.95)  # where noise hides most of the film, so that the condition has to say it
TASKS = ("text_to_video", "image_to_video", "continuation", "inpainting")
KNOWN_FRAMES = {"image_to_video": 1, "continuation": 5, "inpainting": 17}
MEANING = {
    "text_to_video": "told in words alone",
    "image_to_video": "shown the first frame",
    "continuation": "shown the first five frames",
    "inpainting": "shown all but the middle of every frame",
}


def task_figures(model: LatentVideo, films: HeldOutFilms) -> list[Figure]:
    """A figure a task, beside the same model with another film's condition and with none, and the still photo."""
    return [
        Figure(
            f"{task.replace('_', ' ').capitalize()}: error of the velocity",
            "mean square",
            "lower",
            f"{MEANING[task].capitalize()}, on {len(films.prompts)} unseen films, with fixed noise at times "
            f"{', '.join(map(str, TIMES))}, where the film is not known.",
            dict(task_errors(model, films, task)),
            scenes=len(films.prompts),
        )
        for task in TASKS
    ]


@torch.inference_mode()
def task_errors(model: LatentVideo, films: HeldOutFilms, task: str) -> dict[str, float]:
    """Mean squared error of the velocity with the right condition, with the next film's, and with none; and of the
    velocity to the first frame held still, for tasks that show it.

    Of text_to_video the condition is the prompt, of the other tasks the known frames: the prompt stays. Errors are of
    latents where they are not known, each channel weighed by how much of the picture it moves.
    """
    data = torch.cat([model.encode(frames) for frames in films.frames])
    other = np.roll(np.arange(len(data)), 1)
    hidden = _box(films.frames.shape[2:4]) if task == "inpainting" else None
    shape = (data.shape[2], data.shape[3], data.shape[4])
    blank = model.condition(None, None, shape).expand(len(data), -1, -1, -1, -1)
    prompts, conditions = dict.fromkeys((OURS, SHUFFLED, NONE), films.prompts), dict.fromkeys((OURS, NONE), blank)
    asked = torch.ones(1, 1, *shape)
    if task == "text_to_video":
        prompts = {OURS: films.prompts, SHUFFLED: [films.prompts[i] for i in other], NONE: [""] * len(data)}
        conditions[SHUFFLED] = blank
    else:
        known = [model.condition(frames[: KNOWN_FRAMES[task]], hidden, shape) for frames in films.frames]
        conditions[OURS] = torch.cat(known)
        conditions[SHUFFLED] = conditions[OURS][torch.from_numpy(other)]
        asked = 1 - conditions[OURS][:, data.shape[1] :].amax(1, keepdim=True)
    weights = asked * _weights(model, shape)
    found = {kind: _error(model, data, weights, prompts[kind], conditions[kind]) for kind in (OURS, SHUFFLED, NONE)}
    if task in ("image_to_video", "continuation"):
        still = torch.cat([model.encode(np.repeat(frames[:1], len(frames), 0)) for frames in films.frames])
        found[STILL] = float(np.mean([_mean((still - data).square() / time**2, weights) for time in TIMES]))
    return found


def _box(size: tuple[int, int]) -> np.ndarray:
    """The middle half of each side, in whole latents."""
    hidden = np.zeros(size, bool)
    top, left = (n // SPACE // 4 * SPACE for n in size)
    hidden[top : size[0] - top, left : size[1] - left] = True
    return hidden


def _weights(model: LatentVideo, shape: tuple[int, int, int]) -> Tensor:
    """[1, C, 1, 1, 1], mean 1: the squared change of the decoded picture when a channel changes by its deviation."""
    channels = model.mean.shape[1]
    moved = torch.cat([torch.zeros(1, channels), torch.eye(channels)])[:, :, None, None, None].expand(-1, -1, *shape)
    still, *others = (model.vae.decode(one[None] * model.std + model.mean).sample for one in moved)
    size = torch.stack([(other - still).square().mean() for other in others])
    return (size / size.mean()).reshape(1, -1, 1, 1, 1)


def _error(model: LatentVideo, data: Tensor, weights: Tensor, prompts: list[str], condition: Tensor) -> float:
    token_ids, token_mask = model.tokenizer(prompts)
    text = model.text(token_ids, token_mask)
    generator, errors = torch.Generator().manual_seed(0), []
    for time in TIMES:
        noise = torch.randn(data.shape, generator=generator)
        noisy, times = (1 - time) * data + time * noise, torch.full((len(data),), time)
        velocity = model.dit(noisy, times, text, token_mask, condition)
        errors.append(_mean((velocity - (noise - data)).square(), weights))
    return sum(errors) / len(errors)


def _mean(wrong: Tensor, weights: Tensor) -> float:
    return float((wrong * weights).sum() / weights.expand_as(wrong).sum())
