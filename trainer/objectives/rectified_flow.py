"""Rectified flow on motion latents, conditioned on photo, mask, controls and prompt.

Source: Liu et al. (arXiv 2209.03003); logit-normal times after Esser et al. (arXiv 2403.03206).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from datapipe.worlds.clip import Controls, sample_controls
from engine.conditions import LATENT_TIMES, control_tensors, dense_condition
from engine.models.ernie import ErnieEncoder, PromptTokenizer
from engine.models.motion_vae import MotionVAE
from engine.models.single_dit import SingleDiT
from trainer.data import FormatBank

ALIGN_WEIGHT = 0.2
DROP_TEXT, DROP_ALL = 0.05, 0.08  # what guidance needs: a model that also knows the unconditional flow


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


def rectified_flow_loss(
    dit: SingleDiT,
    text: ErnieEncoder,
    tokenizer: PromptTokenizer,
    vae: MotionVAE,
    latents_BCThw: Tensor,
    photo_BCHW: Tensor,
    rows: list[Controls],
    generator: torch.Generator,
) -> tuple[Tensor, dict[str, float]]:
    """Mean squared error of the velocity at logit-normal times. Latents are scaled to unit variance."""
    batch = len(rows)
    time_B = torch.sigmoid(torch.randn(batch, generator=generator))
    noise = torch.randn(latents_BCThw.shape, generator=generator)
    t = time_B[:, None, None, None, None]
    noisy = (1 - t) * latents_BCThw + t * noise
    with torch.no_grad():
        condition = dense_condition(photo_BCHW, vae.reference(photo_BCHW))
    token_ids, token_mask = tokenizer([row.prompt for row in rows])
    features = text(token_ids, token_mask)
    ids, strengths = control_tensors([(r.camera, r.camera_strength, r.subject, r.subject_strength) for r in rows])
    velocity = dit(noisy, time_B, features, token_mask, condition, ids, strengths).float()
    error_BCThw = (velocity - (noise - latents_BCThw)).square()
    flow = (error_BCThw * channel_weights(vae)).mean()
    align = alignment_loss(dit, features, token_mask, rows)
    return flow + ALIGN_WEIGHT * align, {"plain": error_BCThw.mean().item(), "align": align.item()}


def alignment_loss(dit: SingleDiT, features_BMC: Tensor, mask_BM: Tensor, rows: list[Controls]) -> Tensor:
    """Draws what the text says to the control of the same meaning, relative to the free control.

    Through the flow alone the text encoder, which starts from nothing, had learnt little after 1,500 steps.
    """
    ids, strengths = control_tensors(
        [(r.said_camera, r.said_camera_strength, r.said_subject, r.said_subject_strength) for r in rows]
    )
    with torch.no_grad():
        target_BKD = dit.controls(ids, strengths) - dit.controls(torch.zeros_like(ids), strengths)
    difference = dit.said(features_BMC, mask_BM).float() - target_BKD.float()
    return difference.square().mean() / target_BKD.float().square().mean().clamp(min=1e-6)


def channel_weights(vae: MotionVAE) -> Tensor:
    """[C, T, 1, 1], mean 1: latents have equal variance but move the picture unequally, so each counts by how much."""
    synthesis = vae.decoder.synthesis.weight  # [C * T, fields * times, 4, 4]
    size = synthesis.flatten(1).norm(dim=1) * vae.latent_std.repeat_interleave(LATENT_TIMES)
    return (size / size.mean()).clamp(0.1, 4.0).reshape(-1, LATENT_TIMES, 1, 1)
