"""Rectified flow on video latents, all tasks at once: each row draws what of it is known.

Source: Liu et al. (arXiv 2209.03003); known latents and their mask as channels as in Wan 2.1 (arXiv 2503.20314).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine.latent_video import condition_of
from engine.models.video_dit import VideoDiT
from trainer.draws import normal_like_whole
from trainer.objectives.times import shifted

# What of a clip is known, and how often: nothing, its first latent frame, its first two, all but a box.
TASKS = {"text_to_video": 0.2, "image_to_video": 0.4, "continuation": 0.15, "inpainting": 0.25}
DROP_TEXT = 0.12  # what guidance needs: a model that also knows the flow without the text
TIME_SHIFT, TIME_SPREAD = 4.0, 1.3  # towards the noise: a film's latents repeat what its first frame and its text say


def sample_tasks(count: int, rng: np.random.Generator) -> list[str]:
    return [str(task) for task in rng.choice(list(TASKS), count, p=list(TASKS.values()))]


def possible(task: str, frames: int) -> str:
    """A task at this length: where its known frames would be all there are, it is text to video."""
    known = {"image_to_video": 1, "continuation": 2}.get(task, 0)
    return task if frames > known else "text_to_video"


def known_mask(tasks: list[str], boxes: np.ndarray, shape: tuple[int, int, int]) -> Tensor:
    """[B, 1, t, h, w]: 1 where the latents are known. `boxes` [B, 4] are top, left, bottom, right in latents."""
    mask = torch.zeros(len(tasks), 1, *shape)
    for row, task, (top, left, bottom, right) in zip(mask, tasks, boxes.tolist(), strict=True):
        if task == "image_to_video":
            row[:, :1] = 1
        elif task == "continuation":
            row[:, :2] = 1
        elif task == "inpainting":
            row.fill_(1)[:, :, top:bottom, left:right] = 0
    return mask


def video_flow_loss(
    dit: VideoDiT,
    latents_BCThw: Tensor,
    boxed_BCThw: Tensor,
    boxes_B4: np.ndarray,
    tasks: list[str],
    text_BMC: Tensor,
    text_mask_BM: Tensor,
    weights_C: Tensor,
    generator: torch.Generator,
) -> tuple[Tensor, dict[str, float]]:
    """Weighted mean squared error of the velocity. Latents are scaled to unit variance; `boxed` are those of the clip
    whose box was hidden before it was encoded: what surrounds a box must not tell what was in it.
    """
    time_B = shifted(normal_like_whole(generator, len(tasks)), TIME_SHIFT, TIME_SPREAD).to(latents_BCThw.device)
    noise = normal_like_whole(generator, *latents_BCThw.shape).to(latents_BCThw.device)
    return video_flow_error(
        dit, latents_BCThw, boxed_BCThw, boxes_B4, tasks, text_BMC, text_mask_BM, weights_C, time_B, noise
    )


def video_flow_error(
    dit: VideoDiT,
    latents_BCThw: Tensor,
    boxed_BCThw: Tensor,
    boxes_B4: np.ndarray,
    tasks: list[str],
    text_BMC: Tensor,
    text_mask_BM: Tensor,
    weights_C: Tensor,
    time_B: Tensor,
    noise: Tensor,
) -> tuple[Tensor, dict[str, float]]:
    """The same at these times and with this noise; all tensors are on one device, the model's."""
    error_BCThw = velocity_error(
        dit, latents_BCThw, boxed_BCThw, boxes_B4, tasks, text_BMC, text_mask_BM, time_B, noise
    )
    error_C = error_BCThw.mean((0, 2, 3, 4))
    return (error_C * weights_C).mean(), {"plain": error_C.mean().item()}


def velocity_error(
    dit: VideoDiT,
    latents_BCThw: Tensor,
    boxed_BCThw: Tensor,
    boxes_B4: np.ndarray,
    tasks: list[str],
    text_BMC: Tensor,
    text_mask_BM: Tensor,
    time_B: Tensor,
    noise: Tensor,
) -> Tensor:
    """[B, C, t, h, w]: the squared error of the velocity."""
    device, t = latents_BCThw.device, time_B[:, None, None, None, None]
    known = known_mask(tasks, boxes_B4, tuple(latents_BCThw.shape[2:])).to(device)  # type: ignore[arg-type]
    inside = torch.tensor([task == "inpainting" for task in tasks], device=device)[:, None, None, None, None]
    given = torch.where(inside, boxed_BCThw, latents_BCThw)
    condition = condition_of(given, known, dit.config["condition_channels"] - latents_BCThw.shape[1])
    velocity = dit((1 - t) * latents_BCThw + t * noise, time_B, text_BMC, text_mask_BM, condition)
    assert isinstance(velocity, Tensor)
    return (velocity.float() - (noise - latents_BCThw)).square()
