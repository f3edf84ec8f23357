"""The camera that was asked for: what the fields have beside such a camera's motion is taken out.

The model says how a move looks in this photo: when it goes how far, and how near each thing is. It also makes what no
camera does: the picture drifts aside, walls wave at the seams of the decoder's patches, a pan ends five percent short.
So both flows are replaced by the nearest ones that a pinhole camera on the asked move has, with a path, a nearness of
each cell and a roundness of the product that are found in the model's own flow. How far the model went is read off the
product, whose depth is known; then all goes as far as it was asked to. Where the product tells nothing (nobody set how
it moves, or a camera orbits it) the scene goes as far as the model took it. A model whose motion is no such camera's is
left as it is: nothing here moves what the model did not.

Legend: T keys after the first, h w field grid, H W grid of the mask; isotropic coordinates (see `pinhole`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from engine.media.body import BULGES, TURN, Body, Extent
from engine.media.fields import MotionFields
from engine.media.pinhole import Pinhole, frame_size
from engine.media.steady import where_it_is

_FAR = 0.3  # nearness of a wall behind a product, where a move tells none
_DOUBT = 2e-4  # how little a move may tell of it: a squared slope summed over keys, against 0.005 of a full pan
_FARTHEST, _NEAREST = 0.0, 4.0
_SMOOTH = 2.0  # cells, as wide as the waves of patches of 4: what is near changes no faster in a field so coarse
_EXPLAINED = 0.8  # of a flow, to be such a camera's: a trained model has over 0.9 of the scene's, random weights less
_OFF = 0.35  # of the asked move: what the model's may miss of it, by the product
_OFF_LEAST = 0.06  # of the full move, where the asked one is weak
_STILL = 0.01  # half a percent of the frame: what drifts less may be held still
_LEAST_CELLS = 6.0  # a product that covers fewer does not tell how it moves


@dataclass(frozen=True)
class Asked:
    """What was asked of camera and subject: names and strengths as in `requests`."""

    camera: str
    camera_strength: float | None  # None: as far as the model goes, where words asked for the move
    subject: str
    subject_strength: float


@dataclass(frozen=True)
class _Made:
    """The model's flows [T, h, w, 2], and where the product is at each key [T, h, w]."""

    scene: np.ndarray
    product: np.ndarray
    weight: np.ndarray

    @property
    def shows_product(self) -> bool:
        return bool(self.weight[-1].sum() >= _LEAST_CELLS)


def as_asked(fields: MotionFields, mask_HW: np.ndarray, asked: Asked, aspect: float) -> MotionFields:
    """`fields` of such a camera, and of a product that moves so before it.

    `mask_HW`: the product in the window at photo time, 0..1. `aspect`: of the film. A subject that nobody set keeps the
    model's motion, but for the camera's drift; before an orbit whose strength nobody set all is kept.
    """
    frame, box = frame_size(aspect), Extent.around(mask_HW)
    weight = np.stack([where_it_is(flow, mask_HW) for flow in fields.product_flow[1:]])
    scene, product = (flow[1:].astype(np.float64) * frame for flow in (fields.scene_flow, fields.product_flow))
    made = _Made(scene, product, weight)
    camera = Pinhole.over(asked.camera, aspect, fields.light.shape[1:], box.middle)
    body = Body(camera.points_hw2, (np.array(box.middle) - 0.5) * frame, box.half_width * frame[0])
    found = _stands_still(made) if asked.camera == "static" else _goes(camera, body, made, asked)
    if found is None:
        return fields
    product = _product(camera, body, replace(made, product=product - found.drift), found, asked)
    if product is None:  # it keeps its motion, and so the scene its size: it would slide on its floor
        found, product = replace(found, far=1.0), made.product - found.drift
    scene = camera.flow(found.sizes * found.far, found.near)
    return replace(fields, scene_flow=_whole(scene / frame), product_flow=_whole(product / frame))


@dataclass(frozen=True)
class _Found:
    """The camera in the model's flows: sizes of the move [T], nearness [T, h, w] or one number, drift [T, 1, 1, 2]; and
    how many times as far it was asked to go.
    """

    sizes: np.ndarray
    near: np.ndarray | float
    drift: np.ndarray
    far: float = 1.0


def _stands_still(made: _Made) -> _Found | None:
    if np.sqrt(np.square(made.scene).sum(-1).mean((1, 2))).max() > _STILL:
        return None
    return _Found(np.zeros(len(made.scene)), _FAR, np.median(made.scene, axis=(1, 2), keepdims=True))


def _goes(camera: Pinhole, body: Body, made: _Made, asked: Asked) -> _Found | None:
    """None where the model makes no such move."""
    strength = asked.camera_strength
    if asked.camera == "auto" or (strength is None and camera.orbits):  # how far it goes cannot be told from how near
        return None
    own_T = _path(made.scene, np.ones_like(made.weight)) * (strength or _size(camera, made.scene[-1], _FAR))
    if own_T[-1] <= 0:
        return None
    is_anchored = made.shows_product and not camera.orbits and asked.subject != "auto"
    if is_anchored:
        own_T = own_T * (_product_size(camera, body, made, own_T[-1], asked) / own_T[-1])
    if own_T[-1] <= 0 or (strength and abs(own_T[-1] - strength) > max(_OFF * strength, _OFF_LEAST)):
        return None
    far = strength / own_T[-1] if strength else 1.0
    near = _nearness(camera, made.scene, own_T)
    own_T = _timed(camera, made, own_T, near, by_product=is_anchored and asked.subject in ("still", "light-sweep"))
    near = _nearness(camera, made.scene, own_T)
    own = camera.flow(own_T, near)
    missed, moved = np.square(made.scene - own).sum(), np.square(made.scene).sum()
    if (own[-1] * made.scene[-1]).sum() <= 0 or missed > max((1 - _EXPLAINED) * moved, _STILL**2 * own[..., 0].size):
        return None
    drift = np.median(made.scene - own, axis=(1, 2), keepdims=True)
    if camera.orbits:
        drift[..., 0] = 0.0  # that way a nearer or farther wall looks the same
    return _Found(own_T, near, drift, far)


def _path(flow_Thw2: np.ndarray, weight_Thw: np.ndarray) -> np.ndarray:
    """How far of its way something is at each key: 1 at the last."""
    last = flow_Thw2[-1] * weight_Thw[-1, ..., None]
    along = (flow_Thw2 * last).sum((1, 2, 3))
    return along / along[-1] if along[-1] > 0 else np.linspace(0, 1, len(along) + 1)[1:]


def _size(camera: Pinhole, flow_hw2: np.ndarray, nearness: float) -> float:
    """How large the move is in a flow, were all of it so near."""
    full = camera.flow(np.ones(1), nearness)[0]
    return max(0.0, float((flow_hw2 * full).sum() / (full * full).sum()))


def _product_size(camera: Pinhole, body: Body, made: _Made, size: float, asked: Asked) -> float:
    """How large the move is in the product's last flow: over every roundness, where it turns."""
    turn = np.array([_turn(asked)])
    weight, flow = made.weight[-1:, ..., None], made.product[-1:]

    def fitted(bulge: float) -> tuple[float, float]:
        now = size
        for _ in range(3):
            at, ahead = (body.flow(camera.product_flow(np.array([s])), turn, bulge) for s in (now, now + 1e-3))
            slope = (ahead - at) * 1e3
            now += float((weight * (flow - at) * slope).sum() / ((weight * slope * slope).sum() + 1e-12))
        return float((weight * np.square(flow - at)).sum()), now

    return min(fitted(bulge) for bulge in (BULGES[::5] if turn.any() else BULGES[:1]))[1]


def _timed(camera: Pinhole, made: _Made, sizes_T: np.ndarray, near_Thw: np.ndarray, *, by_product: bool) -> np.ndarray:
    """How large the move is at each key: by the product, where nothing but the camera moves it, or by the scene."""
    flow = made.product if by_product else made.scene
    weight = made.weight[..., None] if by_product else 1.0
    now_T = sizes_T
    for _ in range(2):
        at, ahead = (
            camera.product_flow(some) if by_product else camera.flow(some, near_Thw) for some in (now_T, now_T + 1e-3)
        )
        slope = (ahead - at) * 1e3
        told_T = (weight * (flow - at) * slope).sum((1, 2, 3))
        now_T = now_T + told_T / ((weight * slope * slope).sum((1, 2, 3)) + 1e-12)
    return now_T * (sizes_T[-1] / now_T[-1]) if now_T[-1] > 0 else sizes_T


def _nearness(camera: Pinhole, flow_Thw2: np.ndarray, sizes_T: np.ndarray) -> np.ndarray:
    """How near each cell's content is at each key [T, h, w]: one map, of the last key's picture, carried along."""
    near_Thw, power_Thw = camera.nearness(sizes_T, flow_Thw2)
    ahead = flow_Thw2[-1] - flow_Thw2
    power = np.stack([_at(*pair) for pair in zip(power_Thw, ahead / _cell(camera), strict=True)])
    near = np.stack([_at(*pair) for pair in zip(near_Thw, ahead / _cell(camera), strict=True)])
    whole = (_DOUBT * _FAR + (power * np.clip(near, _FARTHEST, _NEAREST)).sum(0)) / (_DOUBT + power.sum(0))
    beyond = math.ceil(3 * _SMOOTH)
    wide = np.pad(whole, beyond, mode="reflect", reflect_type="odd")  # a table comes nearer up to the border
    smooth = cv2.GaussianBlur(wide, (0, 0), _SMOOTH)[beyond:-beyond, beyond:-beyond]
    return np.stack([_at(np.clip(smooth, _FARTHEST, _NEAREST), shift) for shift in -ahead / _cell(camera)])


def _at(values_hw: np.ndarray, shift_hw2: np.ndarray) -> np.ndarray:
    """Values that lie `shift` cells (x, y) from each cell."""
    y, x = np.mgrid[0 : values_hw.shape[0], 0 : values_hw.shape[1]]
    at_x, at_y = ((axis + shift_hw2[..., n]).astype(np.float32) for n, axis in enumerate((x, y)))
    return cv2.remap(values_hw.astype(np.float32), at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _cell(camera: Pinhole) -> np.ndarray:
    height, width = camera.points_hw2.shape[:2]
    return frame_size(camera.aspect) / np.array([width, height])


def _product(camera: Pinhole, body: Body, made: _Made, found: _Found, asked: Asked) -> np.ndarray | None:
    """The nearest to what the model made of a product that moves as it was asked to; None where it is far from that."""
    if asked.subject == "auto" or not made.shows_product:
        return None
    sizes_T = found.sizes
    path_T = sizes_T / sizes_T[-1] if sizes_T.any() else _path(made.product, made.weight)
    angles_T = path_T * (_turn(asked) + (camera.angle(sizes_T[-1:])[0] if camera.orbits else 0.0))
    plane, farther = camera.product_flow(sizes_T), camera.product_flow(sizes_T * found.far)

    def own(bulge: float) -> tuple[float, np.ndarray, float]:
        """How far off the model it is, how it floats, and its roundness."""
        flow = body.flow(plane, angles_T, bulge)
        left = made.product - flow
        floats = body.floating(left, plane, made.weight) if asked.subject == "float" else np.zeros_like(left)
        return float((made.weight[..., None] * np.square(left - floats)).sum()), floats, bulge

    missed, floats, bulge = min(map(own, BULGES if angles_T.any() else BULGES[:1]), key=lambda one: one[0])
    moved = float((made.weight[..., None] * np.square(made.product)).sum())
    if missed > max((1 - _EXPLAINED) * moved, _STILL**2 * made.weight.sum()):
        return None
    return body.flow(farther, angles_T, bulge) + floats


def _turn(asked: Asked) -> float:
    return -TURN * asked.subject_strength if asked.subject == "turn" else 0.0


def _whole(flow_Thw2: np.ndarray) -> np.ndarray:
    """With the first key, where nothing has moved yet."""
    return np.concatenate([np.zeros_like(flow_Thw2[:1]), flow_Thw2]).astype(np.float32)
