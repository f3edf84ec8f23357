"""The product in one piece and in its own colours: what the model's motion of it has in waves, and its light in stains,
is taken out; motion and light themselves stay.

The model's fields are made of patches, and in photographs their seams show: a bottle's sides and a cup's rim go wavy by
a percent of the width. So each key's product flow is replaced by the nearest flow (least squares, inside the product)
out of a family that cannot wave: nothing is added to what the model made. Solid things seen by a camera move like this:

- a plane: the eight terms of the flow of a moving plane (Longuet-Higgins 1984; Bergen et al. 1992);
- a round body that turns about its upright axis, by itself or because the camera goes around it: beside the plane's
  terms, each column of the photo shifts by an amount of its own. Two powers of the column hold that to within the
  model's own error, and are too stiff for waves.

Legend: T keys, h w field grid, H W grid of the mask; cells are those of the field grid.
"""

from __future__ import annotations

import cv2
import numpy as np

from engine.media.fields import MotionFields

_LEAST_CELLS = 6.0  # a product that covers fewer holds no wave, nor enough to tell how it moves
_LEAST_COLUMNS = 4.0  # across; less of it does not show a turn, and what is fitted there is noise
_AFFINE = 6  # terms of a plane's flow that are believed as they are told
_RESERVED = 1e-3  # ridge on the terms beyond an affine motion: what few cells say of them is not believed
_BEYOND = 1.0  # cells past the product's sides where the shift of columns still grows: its soft edge

# Of full scale: what still, floating and turning products, which have no light, are given stayed below 0.017 in 44
# held-out scenes and below 0.025 in five photographs at a temperature of 0.4, and there is more of it at 0.7; a light
# sweep has 0.25 and more in its band.
_STAIN, _LIGHT = 0.03, 0.06


def in_one_piece(fields: MotionFields, mask_HW: np.ndarray, *, flat: bool) -> MotionFields:
    """`fields` whose product moves without waves; all else stays as it is.

    `mask_HW`: the product in the window at photo time, 0..1, on any grid. `flat`: what was asked moves the product as a
    plane (no turn, no camera around it), so of the model's field only a plane's motion is kept. Where there is next to
    no product at a key, that key stays.
    """
    mask = mask_HW.astype(np.float32)
    flows = [_steadied(flow, mask, flat) for flow in fields.product_flow]
    return MotionFields(fields.scene_flow, np.stack(flows), fields.light, fields.plate)


def without_stains(light: np.ndarray) -> np.ndarray:
    """The light [T, h, w], fraction of full scale, without what is too faint to be one: on a flat product it shows."""
    return np.asarray(light * np.clip((np.abs(light) - _STAIN) / (_LIGHT - _STAIN), 0, 1), np.float32)


def moves_flat(camera: str, subject: str) -> bool:
    """Whether these controls move the product as a plane: so the model was taught. Left to itself, it may turn it."""
    goes_around = camera == "auto" or camera.startswith("orbit")
    return not goes_around and subject not in ("auto", "turn")


def where_it_is(flow_hw2: np.ndarray, mask_HW: np.ndarray) -> np.ndarray:
    """The product [h, w], 0..1, after it moved by a backward `flow` in fractions of the window."""
    (height, width), (rows, columns) = flow_hw2.shape[:2], mask_HW.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    at_x = ((x + 0.5) / width + flow_hw2[..., 0]) * columns - 0.5
    at_y = ((y + 0.5) / height + flow_hw2[..., 1]) * rows - 0.5
    return cv2.remap(mask_HW, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def _steadied(flow_hw2: np.ndarray, mask_HW: np.ndarray, flat: bool) -> np.ndarray:
    """One key: the nearest flow, weighed by the product where that key shows it."""
    weight = where_it_is(flow_hw2, mask_HW).astype(np.float64)
    if not flow_hw2.any() or weight.sum() < _LEAST_CELLS:
        return flow_hw2
    cells = np.array([weight.shape[1], weight.shape[0]])
    moved = (flow_hw2 * cells).astype(np.float64)
    plane = _plane(weight)
    nearest = _nearest(plane, moved, weight)
    if not flat:
        turn = _turn(weight, nearest)
        if turn is not None:
            nearest = _nearest(np.concatenate([plane, turn], -1), moved, weight)
    return np.asarray(nearest / cells, np.float32)


def _nearest(terms_2hwn: np.ndarray, moved_hw2: np.ndarray, weight_hw: np.ndarray) -> np.ndarray:
    """The sum of terms that is nearest to what moved, in cells [h, w, 2]."""
    count = terms_2hwn.shape[-1]
    weighed = terms_2hwn * weight_hw[..., None]
    moment = np.einsum("chwi,chwj->ij", weighed, terms_2hwn)
    moment[np.diag_indices(count)] += _RESERVED * weight_hw.sum() * (np.arange(count) >= _AFFINE) + 1e-9
    told = np.einsum("chwi,hwc->i", weighed, moved_hw2)
    return np.einsum("chwi,i->hwc", terms_2hwn, np.linalg.solve(moment, told))


def _plane(weight_hw: np.ndarray) -> np.ndarray:
    """What each term of a plane's flow moves in x and in y [2, h, w, 8]; the first six are affine."""
    y, x = np.mgrid[0 : weight_hw.shape[0], 0 : weight_hw.shape[1]].astype(np.float64)
    total = weight_hw.sum()
    x, y = (axis - (axis * weight_hw).sum() / total for axis in (x, y))
    size = np.sqrt((weight_hw * (x * x + y * y)).sum() / (2 * total)) + 1e-6
    x, y, one, none = x / size, y / size, np.ones_like(x), np.zeros_like(x)
    in_x = np.stack([one, x, y, none, none, none, x * x, x * y], -1)
    in_y = np.stack([none, none, none, one, x, y, x * y, y * y], -1)
    return np.stack([in_x, in_y])


def _turn(weight_hw: np.ndarray, moved_hw2: np.ndarray) -> np.ndarray | None:
    """The two terms [2, h, w, 2] of a turn, or None where the product is too narrow to show one.

    `moved`: in cells, how the product moves as a plane. It tells which column of the photo a cell shows, also where
    the product leans or the camera rolls: the axis is upright in the photo.
    """
    column = np.arange(weight_hw.shape[1]) + moved_hw2[..., 0]
    inside = column[weight_hw > 0.5]
    if not inside.size or np.ptp(inside) < _LEAST_COLUMNS:
        return None
    total = weight_hw.sum()
    middle = (column * weight_hw).sum() / total
    spread = np.sqrt((weight_hw * (column - middle) ** 2).sum() / total) + 1e-6
    # Held beyond the sides: a power runs off, and the product would be seen a second time far from itself.
    across = (np.clip(column, inside.min() - _BEYOND, inside.max() + _BEYOND) - middle) / spread
    in_x = np.stack([across**2, across**3], -1)
    return np.stack([in_x, np.zeros_like(in_x)])
