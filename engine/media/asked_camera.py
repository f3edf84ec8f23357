"""The camera that was asked for: what the fields have beside such a camera's motion is taken out.

The model says how a move looks in this photo: when it goes how far, how near each thing is (`models/relief`) and how
round the product (`models/roundness`). It also makes what no camera does: the picture drifts aside, walls wave at the
seams of the decoder's patches, a pan ends five percent short, a floor goes along as a wall. So both flows are replaced
by those of a pinhole camera on the asked move before a scene so near, with a path that is found in the model's own
flow. How far the model went is found there too; then all goes exactly as far as it was asked to. A move that words
asked for goes as far as the model took it. A model whose motion is no such camera's is left as it is: nothing here
moves what the model did not.

Legend: T keys after the first, h w field grid, H W grid of the mask; isotropic coordinates (see `pinhole`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engine.media.body import BULGES, TURN, Body, Extent
from engine.media.fields import MotionFields
from engine.media.pinhole import Pinhole, frame_size
from engine.media.steady import where_it_is

# Of a flow, to be such a camera's: so is the trained model's in 120 of 120 held-out scenes, that of random weights in
# none of 80 (`tests/benchmarks/fields.py`).
_EXPLAINED = 0.8
_NEAR = 0.4  # of the asked move: what the model's may miss of it, and is corrected as a whole
_OFF = 0.6  # and what is left as the model has it
_STILL = 0.01  # half a percent of the frame: what drifts less may be held still
_LEAST_CELLS = 6.0  # a product that covers fewer does not tell how it moves


@dataclass(frozen=True)
class Depths:
    """What the model sees of the photo's: how near the scene is [h, w], 1 / depth in product depths, behind the product
    too; how round the product is, its depth over its width; how far it reaches, as the mask tells without it; and
    `along` [h, w], how far what is there goes with the product instead, 0..1 (`glue`); None for nowhere.
    """

    nearness: np.ndarray
    roundness: float
    extent: Extent | None = None
    along: np.ndarray | None = None


@dataclass(frozen=True)
class Asked:
    """What was asked of camera and subject: names and strengths as in `requests`."""

    camera: str
    camera_strength: float | None  # None: as far as the model goes, where words asked for the move
    subject: str
    subject_strength: float


@dataclass(frozen=True)
class _Made:
    """The model's flow of the product [T, h, w, 2], and where that is at each key [T, h, w]."""

    flow: np.ndarray
    weight: np.ndarray

    @property
    def is_seen(self) -> bool:
        return bool(self.weight[-1].sum() >= _LEAST_CELLS)


def as_asked(fields: MotionFields, mask_HW: np.ndarray, depths: Depths, asked: Asked, aspect: float) -> MotionFields:
    """`fields` of such a camera, and of a product that moves so before it.

    `mask_HW`: the product in the window at photo time, 0..1. `aspect`: of the film. A subject that nobody set keeps the
    model's motion, but for the camera's drift, and goes as far along with the camera as was asked for.
    """
    frame, box = frame_size(aspect), depths.extent or Extent.around(mask_HW)
    weight = np.stack([where_it_is(flow, mask_HW) for flow in fields.product_flow[1:]])
    scene, product = (flow[1:].astype(np.float64) * frame for flow in (fields.scene_flow, fields.product_flow))
    camera = Pinhole.over(asked.camera, aspect, fields.light.shape[1:], box.middle)
    body = Body(camera.points_hw2, (np.array(box.middle) - 0.5) * frame, box.half_width * frame[0])
    found = _stands_still(scene) if asked.camera == "static" else _goes(camera, scene, depths, asked)
    if found is None:
        risen = _risen(body, scene, product, weight) if (asked.camera, asked.subject) == ("auto", "float") else None
        return fields if risen is None else replace(fields, product_flow=_whole(risen / frame))
    made = _Made(product - found.drift, weight)
    if found.sizes.any() and asked.camera_strength:
        found = replace(found, far=_farther(camera, made, found.sizes, asked.camera_strength))
    product = _product(camera, body, made, depths, found, asked)
    if product is None:  # it keeps its motion, and so the scene its size: it would slide on its floor
        product, found = made.flow, replace(found, far=1.0) if made.is_seen else found
    scene = camera.scene_flow(found.sizes * found.far, depths.nearness, depths.along)
    return replace(fields, scene_flow=_whole(scene / frame), product_flow=_whole(product / frame))


@dataclass(frozen=True)
class _Found:
    """The camera in the model's flow of the scene: sizes of the move [T], drift [T, 1, 1, 2], and how many times as far
    it was asked to go.
    """

    sizes: np.ndarray
    drift: np.ndarray
    far: float = 1.0


def _stands_still(scene_Thw2: np.ndarray) -> _Found | None:
    if np.sqrt(np.square(scene_Thw2).sum(-1).mean((1, 2))).max() > _STILL:
        return None
    return _Found(np.zeros(len(scene_Thw2)), np.median(scene_Thw2, axis=(1, 2), keepdims=True))


def _goes(camera: Pinhole, scene_Thw2: np.ndarray, depths: Depths, asked: Asked) -> _Found | None:
    """None where the model makes no such move."""
    if asked.camera == "auto":
        return None
    sizes_T = _sizes(camera, scene_Thw2, depths.nearness)
    if sizes_T[-1] <= 0:
        return None
    own = camera.scene_flow(sizes_T, depths.nearness)
    if not _explains(own, scene_Thw2, np.ones_like(own[..., 0])):
        return None
    # What is more is no drift: the scene is not as near as it seems.
    drift = np.clip(np.median(scene_Thw2 - own, axis=(1, 2), keepdims=True), -_STILL, _STILL)
    if camera.orbits:
        drift[..., 0] = 0.0  # that way a nearer or farther wall looks the same
    return _Found(sizes_T, drift)


def _farther(camera: Pinhole, made: _Made, sizes_T: np.ndarray, strength: float) -> float:
    """How many times as far it goes: to where it was asked to, and less the more the model is off, without a jump.
    A dolly shows so little of itself in a far wall that the scene may tell twice the size; the product tells it too.
    """
    size = sizes_T[-1]
    told = [size, size * _share(camera, made, sizes_T)] if made.is_seen else [size]
    missed = min(abs(one / strength - 1) for one in told)
    return float(1 + (strength / size - 1) * np.clip((_OFF - missed) / (_OFF - _NEAR), 0, 1))


def _sizes(camera: Pinhole, scene_Thw2: np.ndarray, nearness_hw: np.ndarray) -> np.ndarray:
    """How large the move is at each key [T], by least squares."""
    sizes_T = np.linspace(0, 0.5, len(scene_Thw2) + 1)[1:]
    for _ in range(3):
        at, ahead = (camera.scene_flow(some, nearness_hw) for some in (sizes_T, sizes_T + 1e-3))
        slope = (ahead - at) * 1e3
        told_T = ((scene_Thw2 - at) * slope).sum((1, 2, 3))
        sizes_T = sizes_T + told_T / ((slope * slope).sum((1, 2, 3)) + 1e-12)
    return sizes_T


def _explains(guess_Thw2: np.ndarray, flow_Thw2: np.ndarray, weight_Thw: np.ndarray) -> bool:
    moved = _missed(np.zeros_like(flow_Thw2), flow_Thw2, weight_Thw)
    limit = max((1 - _EXPLAINED) * moved, _STILL**2 * float(weight_Thw.sum()))
    return _missed(guess_Thw2, flow_Thw2, weight_Thw) <= limit


def _missed(guess_Thw2: np.ndarray, flow_Thw2: np.ndarray, weight_Thw: np.ndarray) -> float:
    return float((weight_Thw[..., None] * np.square(flow_Thw2 - guess_Thw2)).sum())


def _product(
    camera: Pinhole, body: Body, made: _Made, depths: Depths, found: _Found, asked: Asked
) -> np.ndarray | None:
    """What a product so round does that moves as it was asked to; None where the model's moves otherwise, however round
    it be. It floats as the model lets it, and does as the model does where nobody asked.
    """
    if not made.is_seen:
        return None
    sizes_T, farther = found.sizes, camera.product_flow(found.sizes * found.far)
    if asked.subject == "auto":
        share = _share(camera, made, sizes_T)
        off = abs(share * sizes_T[-1] / asked.camera_strength - 1) if asked.camera_strength else 0.0
        return made.flow + farther - camera.product_flow(share * sizes_T) if off < _OFF else None
    path_T = sizes_T / sizes_T[-1] if sizes_T.any() else _path(made)
    angles_T = path_T * (_turn(asked) + (camera.angle(sizes_T[-1:] * found.far)[0] if camera.orbits else 0.0))

    def floats(flow: np.ndarray, plane: np.ndarray, *, rises: bool = False) -> np.ndarray:
        left = made.flow - flow
        return body.floating(left, plane, made.weight, rises=rises) if asked.subject == "float" else 0 * left

    # The model may have it right where the scene, which is not as near as it seems, told another size.
    planes, bulges = (camera.product_flow(sizes_T), farther), BULGES if angles_T.any() else BULGES[:1]
    guesses = [(plane, body.flow(plane, angles_T, bulge)) for plane in planes for bulge in bulges]
    plane, flow = min(guesses, key=lambda guess: _missed(guess[1] + floats(guess[1], guess[0]), made.flow, made.weight))
    if not _explains(flow + floats(flow, plane), made.flow, made.weight):
        return None
    roundness = float(np.clip(depths.roundness, BULGES[0], BULGES[-1]))
    return body.flow(farther, angles_T, roundness) + floats(body.flow(plane, angles_T, roundness), plane, rises=True)


def _risen(body: Body, scene_Thw2: np.ndarray, product_Thw2: np.ndarray, weight_Thw: np.ndarray) -> np.ndarray | None:
    """The product's flow before a camera that nobody asked for, where it floats: it rises only. None where it does not
    float.
    """
    left = product_Thw2 - scene_Thw2
    floating, risen = (body.floating(left, scene_Thw2, weight_Thw, rises=rises) for rises in (False, True))
    if weight_Thw[-1].sum() < _LEAST_CELLS or not _explains(floating, left, weight_Thw):
        return None
    return product_Thw2 - floating + risen


def _share(camera: Pinhole, made: _Made, sizes_T: np.ndarray) -> float:
    """How far the product goes along with a camera that moves by `sizes`: 1 where both flows are of one move. At the
    end, where what floats is at rest.
    """
    share, size, flow, weight = 1.0, sizes_T[-1:], made.flow[-1], made.weight[-1, ..., None]
    for _ in range(2):
        at, ahead = (camera.product_flow(some * size)[0] for some in (share, share + 1e-3))
        slope = (ahead - at) * 1e3
        share += float((weight * (flow - at) * slope).sum() / ((weight * slope * slope).sum() + 1e-12))
    return share


def _path(made: _Made) -> np.ndarray:
    """How far of its way the product is at each key: 1 at the last."""
    last = made.flow[-1] * made.weight[-1, ..., None]
    along = (made.flow * last).sum((1, 2, 3))
    return along / along[-1] if along[-1] > 0 else np.linspace(0, 1, len(along) + 1)[1:]


def _turn(asked: Asked) -> float:
    return -TURN * asked.subject_strength if asked.subject == "turn" else 0.0


def _whole(flow_Thw2: np.ndarray) -> np.ndarray:
    """With the first key, where nothing has moved yet."""
    return np.concatenate([np.zeros_like(flow_Thw2[:1]), flow_Thw2]).astype(np.float32)
