"""Motion fields: what the model says, and how it is read between its key times."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np

from engine.media.framing import MIN_SCALE, Framing

_SUBDIVISIONS = 4  # between two keys, where an interpolated path can overshoot both
_FREE = 0.5  # of the way to the canvas' border: a flow that is held back there goes this far unchanged
_SEEN = 320  # pixels of the long side on which is looked whether a product leaves the window
_SHARES = 65  # factors that are tried there
_FINER = 4  # points on the border for each cell
_SOLID = 64  # of 255: the rim of a product is gone sooner than its half
_NO_MAP: Any = None  # the first map holds x and y
_FITS = 0.998  # as good as all of it
_LEAST_WAY = 0.001  # of the window
_RESERVE = 0.012  # of the window: for what is between keys and cells


class Moment(NamedTuple):
    """The fields at one time: scene and product flow [h, w, 2], light [h, w]."""

    scene: np.ndarray
    product: np.ndarray
    light: np.ndarray


@dataclass(frozen=True)
class MotionFields:
    """Motion of a clip on T key times spread evenly over it and an h x w grid over the output window, float32.

    Grid cell (j, i) is centred on window coordinates ((i + 0.5) / w, (j + 0.5) / h).

    - `scene_flow`, `product_flow` [T, h, w, 2]: backward offsets (x, y) in fractions of the window's width and height.
      The output pixel at window coordinates p shows the layer's photo content at p + flow. Zero at the first key.
    - `light` [T, h, w]: luminance added to the product, fraction of full scale, -1..1. Zero at the first key.
    - `plate` [ph, pw, 3]: low-resolution RGB (0..1) of the background behind the product at photo time.
    """

    scene_flow: np.ndarray
    product_flow: np.ndarray
    light: np.ndarray
    plate: np.ndarray

    def __post_init__(self) -> None:
        for name in ("scene_flow", "product_flow", "light", "plate"):
            value = np.ascontiguousarray(getattr(self, name), dtype=np.float32)
            if not np.isfinite(value).all():
                raise ValueError(f"Motion field {name} holds values that are not finite.")
            object.__setattr__(self, name, value)
        if self.light.ndim != 3 or self.light.shape[0] < 2 or min(self.light.shape[1:]) < 2:
            raise ValueError(f"Motion fields need at least 2 keys and a 2 x 2 grid, not {self.light.shape}.")
        if self.plate.ndim != 3 or self.plate.shape[2] != 3:
            raise ValueError(f"The plate must be [ph, pw, 3], not {self.plate.shape}.")
        for name in ("scene_flow", "product_flow"):
            if getattr(self, name).shape != (*self.light.shape, 2):
                raise ValueError(f"{name} is {getattr(self, name).shape}, but light is {self.light.shape}.")
        for name in ("scene_flow", "product_flow", "light"):
            if getattr(self, name)[0].any():
                raise ValueError(f"{name} must be zero at the first key: the clip starts with the photo.")

    @classmethod
    def still(cls, plate: np.ndarray, *, keys: int = 17, grid: tuple[int, int] = (32, 18)) -> MotionFields:
        """Fields without any motion; `grid` is (h, w)."""
        flow = np.zeros((keys, *grid, 2), np.float32)
        return cls(flow, flow.copy(), np.zeros((keys, *grid), np.float32), plate)

    def scaled(self, factor: float) -> MotionFields:
        """The same path, shorter: both flows times `factor`."""
        return replace(self, scene_flow=self.scene_flow * factor, product_flow=self.product_flow * factor)

    def at(self, u: float) -> Moment:
        """The fields at time `u` in [0, 1] of the clip: Catmull-Rom through the keys, so the speed never jumps."""
        if not 0.0 <= u <= 1.0:
            raise ValueError(f"Time must be within 0 and 1, not {u}.")
        weights = _catmull_rom(u, len(self.light))
        return Moment(*(_combine(weights, field) for field in (self.scene_flow, self.product_flow, self.light)))


def fit_to_canvas(
    fields: MotionFields, framing: Framing, product: np.ndarray | None = None
) -> tuple[MotionFields, float]:
    """Keep the window from looking outside the canvas of `framing`, and the product from leaving the window.

    The scene's reach sets one factor for both flows and the whole clip, which keeps the path's shape; so does that of
    `product`, its alpha in the window, uint8 [H, W], on the sides that `framing` keeps it in by. Together with the
    framing's own scale it is never below half of what was asked. What is asked beyond the canvas even then, or of a
    scene beyond what was planned to be made up, is held back near that border alone. The product is held back within
    the photo on the sides where it runs on beyond photo or canvas, and nowhere else: elsewhere there is nothing but
    air. Returns the fields and the factor (1: the move was not scaled).
    """
    sides = _sides(framing.room)
    fits = min(_share_that_fits(fields, "scene", side) for side in sides)
    kept = 1.0 if product is None else share_that_keeps(fields.product_flow, product, framing)
    factor = min(1.0, max(min(fits, kept), MIN_SCALE / framing.strength_scale))
    fitted = fields if factor == 1.0 else fields.scaled(factor)
    limits = zip(_sides(framing.planned_room), _sides(framing.real_room), framing.cut, strict=True)
    for planned, real, runs_on in limits:
        if _share_that_fits(fitted, "scene", planned) < _FITS:
            fitted = replace(fitted, scene_flow=_hold_back(fitted.scene_flow, planned))
        if runs_on and _share_that_fits(fitted, "product", real) < _FITS:
            fitted = replace(fitted, product_flow=_hold_back(fitted.product_flow, real))
    return fitted, factor


def share_that_keeps(flow: np.ndarray, product: np.ndarray, framing: Framing) -> float:
    """The largest factor, at most 1, by which no border of the window that keeps the product in shows any of it.

    What a border shows goes from the border itself along the flow, farther with the factor: the product is still inside
    as long as none of these ways has met it.
    """
    height, width = flow.shape[1:3]
    scale = min(1.0, _SEEN / max(product.shape))
    size = max(1, round(product.shape[1] * scale)), max(1, round(product.shape[0] * scale))
    solid = cv2.resize(product, size, interpolation=cv2.INTER_AREA)
    grid = np.stack(np.meshgrid(_border_places(width + 2), _border_places(height + 2)), -1)
    ways = np.stack([_with_borders(_combine(weights, flow)) for weights in _between(len(flow))])
    shares = np.linspace(0.0, 1.0, _SHARES)
    fits = 1.0
    for keeps, border, way in zip(framing.keeps, _borders(grid), _borders(ways), strict=True):
        if not keeps:
            continue
        place = ((border + shares[:, None, None, None] * way) * size - 0.5).astype(np.float32)
        seen = cv2.remap(solid, place.reshape(_SHARES, -1, 2), _NO_MAP, cv2.INTER_LINEAR) > _SOLID
        at_first = np.ascontiguousarray(place[0].reshape(1, -1, 2))  # what crosses the border in the photo already
        seen &= cv2.remap(solid, at_first, _NO_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) <= _SOLID
        met = seen.any(1)
        if met.any():
            fits = min(fits, float(shares[max(0, int(met.argmax()) - 1)]))
    return fits


def extrapolate(grid: np.ndarray, cells: int) -> np.ndarray:
    """Continue [h, w, ...] by `cells` on each side along its own slope: a zoom stays a zoom up to the border."""
    for axis in (0, 1):
        first, second = np.take(grid, [0], axis), np.take(grid, [1], axis)
        last, before = np.take(grid, [-1], axis), np.take(grid, [-2], axis)
        head = [first + (first - second) * n for n in range(cells, 0, -1)]
        tail = [last + (last - before) * n for n in range(1, cells + 1)]
        grid = np.concatenate([*head, grid, *tail], axis)
    return grid


def _catmull_rom(u: float, keys: int) -> list[tuple[int, float]]:
    """(key, weight) pairs at time `u`. Beyond its ends the path is mirrored through the end key: it arrives evenly."""
    place = u * (keys - 1)
    left = min(int(place), keys - 2)
    t = place - left
    four = (
        0.5 * (-t + 2 * t**2 - t**3),
        0.5 * (2 - 5 * t**2 + 3 * t**3),
        0.5 * (t + 4 * t**2 - 3 * t**3),
        0.5 * (-(t**2) + t**3),
    )
    weights: dict[int, float] = {}
    for key, weight in zip(range(left - 1, left + 3), four, strict=True):
        end, inner = (0, 1) if key < 0 else (keys - 1, keys - 2)
        terms = [(end, 2 * weight), (inner, -weight)] if not 0 <= key < keys else [(key, weight)]
        for index, value in terms:
            weights[index] = weights.get(index, 0.0) + value
    return [(key, weight) for key, weight in weights.items() if weight]


def _combine(weights: list[tuple[int, float]], field: np.ndarray) -> np.ndarray:
    total = np.zeros(field.shape[1:], np.float32)
    for key, weight in weights:
        total += np.float32(weight) * field[key]
    return total


def _with_borders(values: np.ndarray) -> np.ndarray:
    """[h, w, ...] at cell centres -> [h + 2, w + 2, ...] with the window's own borders added, half a cell out."""
    wide = extrapolate(values, 1)
    for axis in (0, 1):
        wide = np.moveaxis(wide, axis, 0).copy()
        wide[0], wide[-1] = (wide[0] + wide[1]) / 2, (wide[-1] + wide[-2]) / 2
        wide = np.moveaxis(wide, 0, axis)
    return wide


def _border_places(count: int) -> np.ndarray:
    cells = count - 2
    return np.concatenate([[0.0], (np.arange(cells) + 0.5) / cells, [1.0]])


class _Side(NamedTuple):
    """A border of the canvas: across x (0) or y (1), before (-1) or after (1), fractions of the window beyond it."""

    axis: int
    sign: int
    room: float

    def way_out(self, places: np.ndarray) -> np.ndarray:
        """From places along the axis, in window coordinates, to this border of the canvas; broadcasts to [h, w]."""
        way = self.room + (places if self.sign < 0 else 1.0 - places)
        return way[None, :] if self.axis == 0 else way[:, None]


def _sides(room: tuple[tuple[float, float], tuple[float, float]]) -> tuple[_Side, _Side, _Side, _Side]:
    (left, top), (right, bottom) = room
    return _Side(0, -1, left), _Side(1, -1, top), _Side(0, 1, right), _Side(1, 1, bottom)


def _share_that_fits(fields: MotionFields, layer: Literal["scene", "product"], side: _Side) -> float:
    """The largest factor, at most 1, by which a layer's flow never looks past one border of the canvas."""
    flow = fields.scene_flow if layer == "scene" else fields.product_flow
    keys = side.sign * flow[..., side.axis]
    outward = _with_borders(np.stack([_combine(weights, keys) for weights in _between(len(keys))], -1))
    way = side.way_out(_border_places(outward.shape[1 - side.axis]))[..., None]
    over = outward > np.maximum(way, 0)
    return float((np.broadcast_to(way, outward.shape)[over] / outward[over]).min()) if over.any() else 1.0


def _borders(values: np.ndarray) -> tuple[np.ndarray, ...]:
    """[..., h, w, 2] along the left, top, right and bottom border, [..., n, 2] with points between the cells too."""
    lines = values[..., :, 0, :], values[..., 0, :, :], values[..., :, -1, :], values[..., -1, :, :]
    return tuple(_finer(line) for line in lines)


def _finer(along: np.ndarray) -> np.ndarray:
    """[..., n, 2] with `_FINER` points for each step."""
    count = along.shape[-2]
    places = np.linspace(0, count - 1, _FINER * (count - 1) + 1)
    low = np.minimum(places.astype(int), count - 2)
    share = (places - low)[:, None]
    before, after = np.take(along, low, axis=-2), np.take(along, low + 1, axis=-2)
    return np.asarray(before * (1 - share) + after * share)


def _between(keys: int) -> list[list[tuple[int, float]]]:
    """What to weigh the keys with at times so near to each other that nothing is missed."""
    return [_catmull_rom(float(u), keys) for u in np.linspace(0.0, 1.0, _SUBDIVISIONS * (keys - 1) + 1)]


def _hold_back(flow: np.ndarray, side: _Side) -> np.ndarray:
    """[T, h, w, 2] with what goes out on one side bent smoothly, so that it comes near to the border at most."""
    count = flow.shape[2 - side.axis]
    way = side.way_out((np.arange(count) + 0.5) / count)
    way = np.maximum(np.maximum(way - _RESERVE, way / 2), _LEAST_WAY)
    free = _FREE * way
    outward = side.sign * flow[..., side.axis]
    beyond = np.maximum(outward - free, 0.0) / (way - free)
    held = flow.copy()
    held[..., side.axis] = side.sign * (np.minimum(outward, free) + (way - free) * -np.expm1(-beyond))
    return held
