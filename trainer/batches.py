"""From bank rows to the tensors that objectives take."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine.conditions import photo_tensor
from trainer.data import FormatBank


def motion_batch(bank: FormatBank, items: np.ndarray) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Photo [B, 4, H, W], plate [B, 3, H, W], fields [B, 5, T, h, w], product alpha [B, T, h, w] of bank items.

    Item i is motion i % M of scene i // M.
    """
    motions = bank.fields.shape[1]
    scene, motion = items // motions, items % motions
    photo = photo_tensor(bank.photo[scene])
    plate = torch.from_numpy(bank.plate[scene]).permute(0, 3, 1, 2).float() / 127.5 - 1
    fields = torch.from_numpy(bank.fields[scene, motion]).float()
    alpha = torch.from_numpy(bank.alpha[scene, motion]).float() / 255
    return photo, plate, fields, alpha
