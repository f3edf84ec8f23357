"""Rectified flow on motion latents, conditioned on photo, mask, controls and prompt.

Source: Liu et al. (arXiv 2209.03003).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from datapipe.worlds.captions import USUAL
from datapipe.worlds.clip import Controls, sample_controls
from datapipe.worlds.motion import sample_motion
from engine.conditions import LATENT_TIMES, control_tensors, dense_condition
from engine.models.ernie import ErnieEncoder, PromptTokenizer
from engine.models.motion_vae import MotionVAE
from engine.models.relief import Relief
from engine.models.single_dit import SingleDiT
from trainer.data import FormatBank
from trainer.objectives.times import shifted

ALIGN_WEIGHT = 0.2
SHARPNESS = 6.0  # of the classes: the logit of a distance of one mean spacing
DROP_TEXT, DROP_ALL = 0.05, 0.08  # what guidance needs: a model that also knows the unconditional flow
# A move is told by some twenty numbers and written in two thousand, so noise hides it only near time 1: at time 0.9 it
# can still be read off the latents. Where it can, the controls are not asked, and so not learnt. Times are drawn
# where they are: unshifted ones lie above 0.95 once in 600 draws, these once in three.
TIME_SHIFT, TIME_SPREAD = 8.0, 1.6
LEAST_WEIGHT = 0.05  # of a latent in the loss, the mean being 1: the small ones are light, seams and wobble


def sample_conditions(bank: FormatBank, items: np.ndarray, seed: tuple[int, ...]) -> list[Controls]:
    """What users may have asked to get these clips; drawn anew at every step."""
    rng = np.random.default_rng(seed)
    rows = []
    for item in items:
        scene, motion = divmod(int(item), len(bank.motions[0]))
        controls = sample_controls(bank.motions[scene][motion], bank.words[scene], rng)
        draw = rng.random()
        if draw < DROP_ALL:
            controls = Controls("auto", 0.0, "auto", 0.0, "")
        elif draw < DROP_ALL + DROP_TEXT:
            controls = Controls(
                controls.camera, controls.camera_strength, controls.subject, controls.subject_strength, ""
            )
        rows.append(controls)
    return rows


def sample_captions(words: list[dict[str, str]], count: int, seed: tuple[int, ...]) -> list[Controls]:
    """Sentences without a clip, for the text encoder alone: it needs more of them than there are clips in a batch."""
    rng = np.random.default_rng(seed)
    return [sample_controls(sample_motion(rng), words[int(rng.integers(len(words)))], rng) for _ in range(count)]


def rectified_flow_loss(
    dit: SingleDiT,
    text: ErnieEncoder,
    tokenizer: PromptTokenizer,
    vae: MotionVAE,
    relief: Relief,
    latents_BCThw: Tensor,
    photo_BCHW: Tensor,
    rows: list[Controls],
    captions: list[Controls],
    generator: torch.Generator,
) -> tuple[Tensor, dict[str, float]]:
    """Mean squared error of the velocity at shifted times. Latents are scaled to unit variance, and on the device of
    the models, as the photo is.
    """
    batch, device = len(rows), latents_BCThw.device
    time_B = shifted(torch.randn(batch, generator=generator), TIME_SHIFT, TIME_SPREAD).to(device)
    noise = torch.randn(latents_BCThw.shape, generator=generator).to(device)
    with torch.no_grad():
        condition = dense_condition(photo_BCHW, vae.reference(photo_BCHW), relief(photo_BCHW))
    every = [*rows, *captions]
    token_ids, token_mask = (x.to(device) for x in tokenizer([row.prompt for row in every]))
    features = text(token_ids, token_mask)
    error_BCThw = velocity_error(
        dit, latents_BCThw, noise, time_B, features[:batch], token_mask[:batch], condition, rows
    )
    flow = (error_BCThw * channel_weights(vae)).mean()
    align, named = alignment_loss(dit, features, token_mask, every)
    return flow + ALIGN_WEIGHT * align, {"plain": error_BCThw.mean().item(), "align": align.item(), "named": named}


def velocity_error(
    dit: SingleDiT,
    latents_BCThw: Tensor,
    noise: Tensor,
    time_B: Tensor,
    features_BMC: Tensor,
    mask_BM: Tensor,
    condition: Tensor,
    rows: list[Controls],
) -> Tensor:
    """[B, C, T, h, w]: the squared error of the velocity at these times and with this noise, on the latents' device."""
    t = time_B[:, None, None, None, None]
    noisy = (1 - t) * latents_BCThw + t * noise
    controls = control_tensors([(r.camera, r.camera_strength, r.subject, r.subject_strength) for r in rows])
    ids, strengths = (x.to(latents_BCThw.device) for x in controls)
    velocity = dit(noisy, time_B, features_BMC, mask_BM, condition, ids, strengths).float()
    return (velocity - (noise - latents_BCThw)).square()


def alignment_loss(dit: SingleDiT, features_BMC: Tensor, mask_BM: Tensor, rows: list[Controls]) -> tuple[Tensor, float]:
    """Draws what the text says to the control of the same meaning; and the share of rows that name all their controls.

    Through the flow alone the text encoder, which starts from nothing, had learnt little after 1,500 steps. The squared
    distance alone was not enough either: the controls share a large common part, and with that part most of the loss
    was gone while only a fifth of the moves were told apart. Hence the class among all controls, by distance, too.
    """
    controls = control_tensors(
        [(r.said_camera, r.said_camera_strength, r.said_subject, r.said_subject_strength) for r in rows]
    )
    ids, strengths = (x.to(features_BMC.device) for x in controls)
    said_BKD = dit.said(features_BMC, mask_BM).float()
    loss, right = said_BKD.new_zeros(()), torch.ones_like(ids[:, 0], dtype=torch.bool)
    with torch.no_grad():
        target_BKD = (dit.controls(ids, strengths) - dit.controls(torch.zeros_like(ids), strengths)).float()
    for k in range(ids.shape[1]):
        classes_ND = dit.classes(k, USUAL)
        spread = torch.cdist(classes_ND[1:], classes_ND[1:]).mean().square().clamp(min=1e-6)
        distance_BN = (said_BKD[:, k, None] - classes_ND).square().sum(-1) / spread
        exact = (said_BKD[:, k] - target_BKD[:, k]).square().sum(-1).mean() / spread
        loss = loss + F.cross_entropy(-SHARPNESS * distance_BN, ids[:, k]) + exact
        right &= distance_BN.argmin(1) == ids[:, k]
    return loss, right.float().mean().item()


def channel_weights(vae: MotionVAE) -> Tensor:
    """[C, T, 1, 1], mean about 1: what a latent's error costs in the fields, the square of how far it moves them.

    Latents have equal variance, and two of 32 hold 85 % of all motion. Counted by their size
    and clamped at 4, they had a quarter of the weight.
    """
    synthesis = vae.decoder.synthesis.weight  # [C * T, fields * times, 4, 4]
    size = synthesis.flatten(1).norm(dim=1) * vae.latent_std.repeat_interleave(LATENT_TIMES)
    cost = size.square()
    return (cost / cost.mean()).clamp(min=LEAST_WEIGHT).reshape(-1, LATENT_TIMES, 1, 1)
