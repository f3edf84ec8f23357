"""A photo as the models see it, and their answer as motion fields.

Legend: B batch of one, C channels, T key times after the first, h w field grid, H W the models' own grid.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from engine.conditions import GRIDS, dense_condition, photo_tensor
from engine.media.asked_camera import Asked, Depths, as_asked
from engine.media.body import Extent
from engine.media.closeup import closeup
from engine.media.colour import to_rgb
from engine.media.fields import MotionFields
from engine.media.framing import ASPECTS
from engine.media.glue import goes_along
from engine.media.layers import Layers
from engine.media.steady import in_one_piece, moves_flat, without_stains
from engine.models.motion_vae import MotionVAE, Reference
from engine.models.relief import Relief
from engine.models.roundness import Roundness
from engine.requests import ImageToVideo


@dataclass(frozen=True)
class Seen:
    """A picture as the models see it: made once for all requests that show them the same."""

    reference: Reference
    nearness: np.ndarray
    plate: np.ndarray
    condition_CTHW: Tensor


def picture_tensor(layers: Layers, format: str) -> Tensor:
    """What the models see of the window: [1, 4, H, W], rgb in [-1, 1] and mask in [0, 1]."""
    (width, height), (x0, y0) = layers.size, (round(layers.origin[0]), round(layers.origin[1]))
    grid_height, grid_width = GRIDS[format]
    window = np.s_[y0 : y0 + height, x0 : x0 + width]
    rgb = cv2.resize(
        to_rgb(np.ascontiguousarray(layers.photo[window])), (grid_width, grid_height), interpolation=cv2.INTER_AREA
    )
    alpha = cv2.resize(layers.alpha[window], (grid_width, grid_height), interpolation=cv2.INTER_AREA)
    return photo_tensor(np.concatenate([rgb, alpha[..., None]], -1)[None])


def product_tensor(layers: Layers) -> Tensor:
    """The product from close, also what of it is beyond the window: [1, 4, SIDE, SIDE], read like the picture."""
    return photo_tensor(closeup(to_rgb(layers.photo), layers.alpha)[None])


def see(picture_BCHW: Tensor, vae: MotionVAE, relief: Relief) -> Seen:
    """All that is made of a picture before anything is denoised."""
    reference = vae.reference(picture_BCHW)
    plate = vae.plate(reference)[0].permute(1, 2, 0).numpy()
    disparity_B1hw = relief(picture_BCHW)
    return Seen(
        reference,
        disparity_B1hw[0, 0].numpy(),
        np.clip((plate + 1) / 2, 0, 1),
        dense_condition(picture_BCHW, reference, disparity_B1hw)[0],
    )


def depths_of(layers: Layers, seen: Seen, roundness: Roundness) -> Depths:
    """What a camera goes before: of all the photo, of which a request shows the models a part."""
    extent = Extent.around(layers.alpha / np.float32(255), (*layers.origin, *layers.size))
    return Depths(seen.nearness, float(roundness(product_tensor(layers))[0]), extent, goes_along(layers, seen.nearness))


@torch.inference_mode()
def seen_fields(
    vae: MotionVAE,
    request: ImageToVideo,
    asked: Asked,
    picture_BCHW: Tensor,
    data_CTHW: Tensor,
    seen: Seen,
    depths: Depths,
) -> MotionFields:
    """What is denoised as motion, without what is known to be wrong of it. ValueError where it is no numbers."""
    fields_BCThw = vae.decode(vae.unscale_latents(data_CTHW[None]), seen.reference)
    made = motion_fields(fields_BCThw[0].numpy(), seen.plate)
    if request.subject.motion != "light-sweep":  # a weak one that is asked for is no stain
        made = replace(made, light=without_stains(made.light))
    product = picture_BCHW[0, 3].numpy()
    made = in_one_piece(made, product, flat=moves_flat(request.camera.move, request.subject.motion))
    return as_asked(made, product, depths, asked, ASPECTS[request.format])


def motion_fields(fields_CThw: np.ndarray, plate: np.ndarray) -> MotionFields:
    """The model's fields with the first key, where nothing has moved yet."""
    first = np.zeros_like(fields_CThw[:, :1])
    every = np.concatenate([first, fields_CThw], 1)
    return MotionFields(
        scene_flow=every[0:2].transpose(1, 2, 3, 0),
        product_flow=every[2:4].transpose(1, 2, 3, 0),
        light=np.clip(every[4], -1, 1),
        plate=plate,
    )
