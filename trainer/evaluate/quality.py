"""Figures of a film that need no model: steadiness, identity, colour, sharpness, and nearness to the exact film.

Films are uint8 RGB [T, H, W, 3], T = 17 times spread evenly over the clip; masks uint8 [H, W] of the first frame.
Sources: warp error, Lai et al. (arXiv 1808.00449); the rest is ours, and small enough to be read here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from trainer.evaluate import flow
from trainer.evaluate.pictures import psnr

_NONE: Any = None
_SEEN = 0.004  # share of the frame that a product has to fill to be recognised
_PATCH, _CELLS, _WAYS = 16, 4, 8  # of a product's features: side of its picture, cells of edges, directions of edges
_CONSISTENT = 1.0  # pixels: flow there and back ends nearer than this to where it began
_MOVES = 45.0  # dB: films whose last frame is nearer to the photo than this are still ones
_UNLIKE = -1.0  # margin of a product that is not there at all


@dataclass(frozen=True)
class Quality:
    """What one film scored; None where its scene says nothing about a figure."""

    flicker: float  # 0..255
    warp_error: float  # 0..255
    colour_drift: float | None  # CIE76 difference of the product's mean colour, last frame against the photo
    sharpness: float  # detail of the last frame over that of the exact one
    fidelity: float | None  # dB, mean over the frames after the first; of films that should move
    features: np.ndarray | None  # of the product in the last frame


def score_film(film: np.ndarray, exact: np.ndarray, mask: np.ndarray) -> Quality:
    """All figures of a film against the exact one of the same scene."""
    followed = follow_mask(film, mask)
    fidelity = [psnr(made, true) for made, true in zip(film[1:], exact[1:], strict=True)]
    return Quality(
        flicker=flicker(film),
        warp_error=warp_error(film),
        colour_drift=colour_drift(film, mask, followed),
        sharpness=detail(film[-1]) / max(detail(exact[-1]), 1e-6),
        fidelity=float(np.mean(fidelity)) if psnr(exact[-1], exact[0]) < _MOVES else None,
        features=product_features(film[-1], followed),
    )


def flicker(film: np.ndarray) -> float:
    """Mean distance of a frame from the mean of its two neighbours, 0..255: steady motion leaves little of it."""
    values = film.astype(np.float32)
    return float(np.abs(values[1:-1] - (values[:-2] + values[2:]) / 2).mean())


def warp_error(film: np.ndarray) -> float:
    """Root mean square difference of each frame to the next one warped back onto it, 0..255, where the flow there and
    back agrees. A frozen film has none of it: it is read beside the motion.
    """
    pictures = [flow.small(frame) for frame in film]
    height, width = pictures[0].shape
    frames = [cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR) for frame in film]
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    errors = []
    for k in range(0, len(film) - 1, 2):
        there, back = (dis.calc(pictures[a], pictures[b], _NONE) for a, b in ((k, k + 1), (k + 1, k)))
        places = x + there[..., 0], y + there[..., 1]
        returned = there + cv2.remap(back, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        agree = np.linalg.norm(returned, axis=-1) < _CONSISTENT
        warped = cv2.remap(frames[k + 1], *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        off = np.square(warped.astype(np.float32) - frames[k].astype(np.float32)).mean(-1)
        errors.append(float(off[agree].mean()) if agree.any() else float(off.mean()))
    return float(np.sqrt(np.mean(errors)))


def follow_mask(film: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The product's mask in the last frame, 0..255, by the film's own flow: wherever the film has taken it."""
    pictures = [flow.small(frame) for frame in film[::4]]
    back = flow.backward_flows(pictures)[-1]
    height, width = film.shape[1:3]
    full = cv2.resize(back, (width, height), interpolation=cv2.INTER_LINEAR) * (width / back.shape[1])
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return cv2.remap(mask, x + full[..., 0], y + full[..., 1], cv2.INTER_LINEAR)


def colour_drift(film: np.ndarray, mask: np.ndarray, followed: np.ndarray) -> float | None:
    """Distance in CIE Lab (1976) of the product's mean colour, last frame against the first."""
    if min((mask > 127).mean(), (followed > 127).mean()) < _SEEN:
        return None
    first, last = (_lab(film[0])[mask > 127].mean(0), _lab(film[-1])[followed > 127].mean(0))
    return float(np.linalg.norm(first - last))


def detail(frame: np.ndarray) -> float:
    """Variance of the Laplacian: what blur takes away."""
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())


def product_features(frame: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    """What a product looks like, wherever and how large it is: its colours in a small picture of its box, and the
    directions of its edges. Unit length each; None where there is no product.
    """
    rows, columns = np.nonzero(mask > 127)
    if len(rows) < _SEEN * mask.size:
        return None
    box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    inside = (mask[box] > 127)[..., None]
    lab = np.where(inside, _lab(frame[box]), _lab(frame)[mask > 127].mean(0)).astype(np.float32)
    colours = cv2.resize(lab, (_PATCH, _PATCH), interpolation=cv2.INTER_AREA).reshape(-1) / 100
    grey = cv2.resize(lab[..., 0], (4 * _PATCH, 4 * _PATCH), interpolation=cv2.INTER_AREA)
    return np.concatenate([_unit(colours), _unit(_edges(grey))])


def identity_margins(found: list[np.ndarray | None], photos: list[np.ndarray | None]) -> list[float]:
    """Of each film: likeness (cosine) to its own photo's product less that to the likest other product of the run.

    Above 0 the film shows its own product. What all products share is taken away first.
    """
    assert len(found) == len(photos)
    known = np.stack([one for one in photos if one is not None])
    mean = known.mean(0)
    gallery = [None if one is None else _unit(one - mean) for one in photos]
    margins = []
    for own, features in enumerate(found):
        mine = gallery[own]
        if mine is None:
            continue
        others = [one for index, one in enumerate(gallery) if index != own and one is not None]
        if features is None or not others:
            margins.append(_UNLIKE)
            continue
        shown = _unit(features - mean)
        margins.append(float(shown @ mine) - max(float(shown @ one) for one in others))
    return margins


def _edges(grey: np.ndarray) -> np.ndarray:
    """Histograms of gradient directions, one a cell, weighted by how strong they are."""
    dx, dy = (cv2.Sobel(grey, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    way = ((np.arctan2(dy, dx) % np.pi) / np.pi * _WAYS).astype(int) % _WAYS
    side = len(grey) // _CELLS
    cell = np.arange(len(grey)) // side
    index = (cell[:, None] * _CELLS + cell[None]) * _WAYS + way
    return np.bincount(index.reshape(-1), np.hypot(dx, dy).reshape(-1), _CELLS * _CELLS * _WAYS)


def _lab(picture: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def _unit(values: np.ndarray) -> np.ndarray:
    return values / max(float(np.linalg.norm(values)), 1e-9)
